from django.urls import path

from people import hooks, views

urlpatterns = [
    path("", views.home),
    path("sign-in", views.sign_in),
    path("sign-out", views.sign_out),
    path("people/<slug:handle>", views.profile),
    path("messages", views.messages),
    path("plan", views.plan),
    path("overture/go", views.go),
    path("overture/hook", hooks.hook),
    path("host.css", views.style),
    path("host.js", views.script),
]
