"""Whatever an operator changes stands in the audit log, with whose token it was."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from overture.api.app import operations
from overture.api.operation import Operation, Who
from overture.store import audit
from tests.access.asks import Ask
from tests.access.world import world_in

# What changes nothing when it is asked for here.
UNCHANGED = {
    # No job was given up.
    "POST /operator/jobs/replay",
    # To where it stands; tests/api/test_framework.py moves it.
    "PUT /operator/clock",
}
# What is refused in this world. What they note is shown by the tests of each.
REFUSED = {
    "POST /operator/webhooks/{endpoint_id}/deliveries/{delivery_id}/replay",
    "POST /operator/suspensions/{member_id}/lift",
    "PUT /operator/payments/customers/{customer}",
    "DELETE /operator/policies/{holds_from}",
}


def acts() -> list[Operation]:
    return [each for each in operations() if each.who is Who.OPERATOR and each.method != "GET"]


async def test_every_act_of_an_operator_stands_in_the_audit_log(
    database_url: str, monkeypatch: pytest.MonkeyPatch
):
    noted: list[str] = []
    record = audit.record

    async def listen(*given: Any, actor: str, **more: Any) -> None:
        await record(*given, actor=actor, **more)
        noted.append(actor)

    monkeypatch.setattr(audit, "record", listen)
    unnoted: set[str] = set()
    async with world_in(database_url) as world:
        for operation in acts():
            route = f"{operation.method} {operation.path}"
            noted.clear()
            ask = world.asks.get(f"api {route}", Ask())
            if route == "PATCH /operator/webhooks/{endpoint_id}":
                ask = replace(ask, body={"description": "Another one"})
            answer = await world.api(route, "operator", ask)
            assert (answer.status < 300) is (route not in REFUSED), (
                f"{route}: {answer.body[:300]!r}"
            )
            if not any(actor.startswith("token:") for actor in noted):
                unnoted.add(route)

    assert len(acts()) > 12
    assert unnoted == UNCHANGED | REFUSED
