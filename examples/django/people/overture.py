"""All that this site says to Overture."""

from functools import cache
from pathlib import Path

from django.conf import settings
from overture_client import Overture, Problem, handover_token
from overture_client.api.conversations import inbox_conversations
from overture_client.api.members import members_create, members_profile
from overture_client.api.network import network_upsert_pairs
from overture_client.api.premium_and_credits import premium_choose, premium_plans, premium_premium
from overture_client.api.webhooks import operator_webhooks_create
from overture_client.models import Box, ChooseIn, EndpointIn, NewMemberIn, PairsIn

from people.models import Person


@cache
def overture() -> Overture:
    return Overture(settings.OVERTURE_URL, settings.OVERTURE_TOKEN)


def sync(person: Person) -> None:
    """Makes the member of a person, once; a second time finds the one that is there."""
    if person.overture_id:
        return
    new = NewMemberIn(
        handle=person.handle,
        name=person.name,
        headline=person.headline,
        email=person.user.email,
        external_id=person.external_id,
    )
    try:
        made = overture().call(members_create.sync, body=new)
    except Problem as problem:
        if problem.code != "handle_taken":
            raise
        made = overture().call(members_profile.sync, id_or_handle=person.handle)
    person.overture_id = str(made.id)
    person.save()


def sync_connections() -> None:
    """Who knows whom: may be said again and again."""
    pairs = [
        [one.overture_id, other.overture_id]
        for one in Person.objects.prefetch_related("knows")
        for other in one.knows.all()
        if one.pk < other.pk
    ]
    if pairs:
        overture().call(network_upsert_pairs.sync, body=PairsIn(pairs))


def plans() -> list:
    return list(overture().each(premium_plans.sync))


def premium(person: Person):
    return overture().acting_as(person.overture_id).call(premium_premium.sync)


def subscribe(person: Person, pool: str, plan: str) -> None:
    """Once they have paid. Sent again it changes nothing: the plan is theirs already."""
    acting = overture().acting_as(person.overture_id)
    acting.call(premium_choose.sync, pool=pool, body=ChooseIn.from_dict({"plan": plan}))


def waiting(person: Person) -> list:
    """Letters that wait for an answer."""
    acting = overture().acting_as(person.overture_id)
    return list(acting.each(inbox_conversations.sync, box=Box.REQUESTS))


def token(person: Person) -> str:
    """With which they come over now; see docs/embed.md."""
    return handover_token(
        settings.OVERTURE_HANDOVER_SECRET,
        issuer=settings.OVERTURE_HANDOVER_ISSUER,
        audience=settings.OVERTURE_URL,
        external_id=person.external_id,
        name=person.name,
        email=person.user.email,
        email_verified=True,
    )


def listen(url: str) -> None:
    """Has webhooks sent to this address, and keeps what they are signed with."""
    made = overture().call(operator_webhooks_create.sync, body=EndpointIn(url=url))
    file: Path = settings.OVERTURE_WEBHOOK_SECRET_FILE
    file.touch(mode=0o600)
    file.write_text(str(made.secret))
