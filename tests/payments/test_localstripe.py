"""Against localstripe, which plays Stripe: its webhooks arrive at our server, ours cancels there.

It speaks the old form of Stripe's API, tells nothing of a subscription that changes, and has neither
checkouts nor test clocks: upgrades, cancels at a period's end and grace are tried with recorded events.
"""

from __future__ import annotations

import asyncio
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn

from overture.actions.payments import ENDINGS
from overture.api.app import api_app
from overture.clock import TestClock
from overture.core.jobs import DONE, Again, Job
from overture.payments import stripe
from overture.payments.door import Bookkeeper
from tests.api.conftest import Caller, Site, site_in
from tests.payments.conftest import Paid, setup
from tests.payments.recorded import SECRET
from tests.ports import free_port
from tests.running import PATIENCE

API_KEY = "sk_test_of_the_tests"


@asynccontextmanager
async def localstripe(folder: Path) -> AsyncIterator[httpx.AsyncClient]:
    with socket.socket(socket.AF_INET6) as there:
        try:
            there.bind(("::1", 0))
        except OSError:
            pytest.skip("localstripe listens on IPv6, which is not there")
    port = free_port()
    with (folder / "localstripe.log").open("wb") as log:
        running = subprocess.Popen(  # noqa: ASYNC220  it only starts it
            [sys.executable, "-m", "localstripe", "--port", str(port), "--from-scratch"],
            cwd=folder,
            stdout=log,
            stderr=log,
        )
    try:
        base = f"http://localhost:{port}"
        async with httpx.AsyncClient(base_url=base, auth=(API_KEY, ""), timeout=PATIENCE) as http:

            async def answers() -> bool:
                try:
                    return (await http.get("/v1/customers")).status_code == 200
                except httpx.ConnectError:
                    assert running.poll() is None, (folder / "localstripe.log").read_text()
                    return False

            await until(answers, wanted=True)
            yield http
    finally:
        running.terminate()
        running.wait(PATIENCE)


@asynccontextmanager
async def served(site: Site) -> AsyncIterator[str]:
    server = uvicorn.Server(
        uvicorn.Config(api_app(site.context), port=0, log_level="error", lifespan="off", ws="none")
    )
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110  uvicorn has no event for it
        await asyncio.sleep(0.01)
    try:
        port = server.servers[0].sockets[0].getsockname()[1]
        yield f"http://127.0.0.1:{port}/api/v1/payments/stripe"
    finally:
        server.should_exit = True
        await serving


async def until(look: Callable[[], Awaitable[object]], wanted: object) -> None:
    async with asyncio.timeout(60):
        while await look() != wanted:  # noqa: ASYNC110  another process tells nothing
            await asyncio.sleep(0.05)


async def made(http: httpx.AsyncClient, path: str, form: dict[str, Any]) -> dict[str, Any]:
    answer = await http.post(path, data=form)
    assert answer.status_code == 200, answer.text
    return answer.json()


@dataclass
class Played:
    """Stripe as localstripe plays it, with one contract at our price that our server was told of."""

    paid: Paid
    ada: Caller
    http: httpx.AsyncClient
    contract: str

    @property
    def address(self) -> str:
        return str(self.http.base_url).rstrip("/")

    async def holds(self) -> list[str]:
        return [plan for plan, _ in (await self.paid.holds(self.ada)).values()]


@pytest.fixture
async def played(database_url: str, tmp_path: Path) -> AsyncIterator[Played]:
    given = setup(plans={"career": "premium_career"})
    async with (
        localstripe(tmp_path) as http,
        site_in(database_url, payments=given) as site,
        served(site) as url,
    ):
        ada = await site.member("ada")
        hook = await http.post("/_config/webhooks/overture", json={"url": url, "secret": SECRET})
        assert hook.status_code == 200
        plan = {"id": "career", "amount": 2999, "currency": "eur", "interval": "month"}
        await made(http, "/v1/plans", plan | {"product[name]": "Premium Career"})
        # A card that localstripe knows to be good.
        card = {"number": "4242424242424242", "exp_month": 12, "exp_year": 2040, "cvc": "123"}
        card = {f"card[{name}]": value for name, value in card.items()}
        method = await made(http, "/v1/payment_methods", {"type": "card"} | card)
        customer = await made(http, "/v1/customers", {"metadata[member_id]": ada.id})
        attached = f"/v1/payment_methods/{method['id']}/attach"
        await made(http, attached, {"customer": customer["id"]})
        default = {"invoice_settings[default_payment_method]": method["id"]}
        await made(http, f"/v1/customers/{customer['id']}", default)
        wanted = {"customer": customer["id"], "items[0][plan]": "career"}
        contract = await made(http, "/v1/subscriptions", wanted)
        assert contract["status"] == "active"
        yield Played(Paid(site), ada, http, contract["id"])


async def test_a_subscription_there_is_a_plan_here_until_it_ends_there(played: Played):
    await until(played.holds, ["premium_career"])
    client = stripe.Client(API_KEY, played.address)

    refused = await stripe.Client("no key at all", played.address).cancel(played.contract)
    assert refused is not None
    assert "no key" not in refused
    assert await client.cancel(played.contract) is None

    await until(played.holds, [])
    assert await client.cancel(played.contract) is None, "nothing is left to cancel"
    assert await client.cancel("sub_unheard_of") is None


async def test_a_closed_account_is_canceled_there(played: Played):
    await until(played.holds, ["premium_career"])
    town = played.paid.site.town
    client = stripe.Client(API_KEY, played.address)
    books = Bookkeeper(setup().dealing, client, town.db, TestClock(), town.book)
    assert played.ada.id is not None
    job = Job(1, ENDINGS, played.ada.id, "1", town.now, b"{}", 1)
    away = replace(books, client=stripe.Client(API_KEY, "http://127.0.0.1:9"))
    assert (await played.ada.delete("/me")).status_code == 204

    assert isinstance(await away.end(job), Again)
    assert await books.end(job) == DONE

    there = await played.http.get(f"/v1/subscriptions/{played.contract}")
    assert there.json()["status"] == "canceled"

    async def known() -> object:
        answer = await played.paid.site.operator.get("/operator/payments/contracts")
        return answer.json()["items"]

    await until(known, [])
    (told,) = [e for e in await played.paid.audit() if e["action"] == "payments.contract_canceled"]
    assert told["detail"] == {"contract": played.contract}
