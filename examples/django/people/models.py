"""The host's people: its own users, and whom Overture knows them as."""

from django.conf import settings
from django.db import models


class Person(models.Model):
    """`overture_id` is the member's id there, kept so that it need not be asked for."""

    user = models.OneToOneField(settings.AUTH_USER_MODEL, models.CASCADE, related_name="person")
    name = models.CharField(max_length=100)
    headline = models.CharField(max_length=220, blank=True)
    overture_id = models.CharField(max_length=40, blank=True)
    knows = models.ManyToManyField("self", blank=True)

    @property
    def handle(self) -> str:
        return self.user.username

    @property
    def external_id(self) -> str:
        """Ours, for good: usernames may change."""
        return f"user-{self.user_id}"


class Heard(models.Model):
    """A webhook that was taken; the same comes more than once."""

    webhook_id = models.CharField(max_length=80, unique=True)
    kind = models.CharField(max_length=60)
    member_id = models.CharField(max_length=40, blank=True)
    at = models.DateTimeField(auto_now_add=True)
