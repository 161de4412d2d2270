"""The pages of the host. Of Overture's they show what stands in its frame and its button."""

from pathlib import Path

from django.conf import settings
from django.contrib.auth import authenticate, login, logout
from django.contrib.auth.decorators import login_required
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.views.decorators.http import require_POST

from people import overture
from people.models import Heard, Person

HERE = Path(__file__).parent


def sign_in(request: HttpRequest) -> HttpResponse:
    if request.method == "POST":
        user = authenticate(
            request, username=request.POST["username"], password=request.POST["password"]
        )
        if user is not None:
            login(request, user)
            return redirect("/")
    return _page(request, "sign_in", refused=request.method == "POST")


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    logout(request)
    return redirect("/sign-in")


@login_required
def home(request: HttpRequest) -> HttpResponse:
    me = request.user.person
    heard = Heard.objects.order_by("-at")[:10]
    return _page(
        request,
        "home",
        people=Person.objects.exclude(pk=me.pk),
        waiting=overture.waiting(me),
        heard=heard,
    )


@login_required
def profile(request: HttpRequest, handle: str) -> HttpResponse:
    return _page(request, "profile", person=get_object_or_404(Person, user__username=handle))


@login_required
def messages(request: HttpRequest) -> HttpResponse:
    return _page(request, "messages")


@login_required
def plan(request: HttpRequest) -> HttpResponse:
    """Pretends to take a payment: a real page would come back here from a payment provider's."""
    me = request.user.person
    if request.method == "POST":
        overture.subscribe(me, request.POST["pool"], request.POST["plan"])
        return redirect("/plan")
    return _page(request, "plan", plans=overture.plans(), mine=overture.premium(me))


@login_required
def go(request: HttpRequest) -> HttpResponse:
    """Over to Overture: signs at this moment, and has the browser post the token, so that it stands in
    no address. Without a script it is one more press."""
    me = request.user.person
    answer = _page(request, "go", token=overture.token(me), to=request.GET.get("to", "inbox"))
    answer["Cache-Control"] = "no-store"
    answer["Referrer-Policy"] = "origin"
    # Shown within our own pages' frames, on its way.
    answer["Content-Security-Policy"] = "frame-ancestors 'self'"
    return answer


def style(_request: HttpRequest) -> HttpResponse:
    return HttpResponse((HERE / "host.css").read_bytes(), content_type="text/css")


def script(_request: HttpRequest) -> HttpResponse:
    return HttpResponse(_SCRIPT, content_type="text/javascript")


_SCRIPT = """
document.getElementById("over")?.submit();
addEventListener("message", ({ origin, data }) => {
  const badge = document.getElementById("unread");
  if (!badge || origin !== badge.dataset.overture || data.source !== "overture") return;
  if (data.type === "unread") badge.textContent = data.count || "";
});
"""


def _page(request: HttpRequest, name: str, **values: object) -> HttpResponse:
    return render(request, f"people/{name}.html", {"overture_url": settings.OVERTURE_URL, **values})
