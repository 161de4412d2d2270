"""Mail in the console: what waits, what was counted, and addresses, in whole for a reason alone."""

from __future__ import annotations

from overture.actions import mailings
from overture.store import mailboxes
from overture.store.db import Tx, all_rows
from overture.store.mail_counts import Came
from overture.store.mailboxes import Mailbox
from tests.web.conftest import Browser, Place, text_of


async def comes_back(place: Place, member: Browser) -> str:
    """The address of a member from which mail came back."""
    assert member.id
    address = f"{member.id}@overture.example"
    mailbox = Mailbox(member.id, address, account=True, verified=True, failing=False)

    async def fail(tx: Tx) -> None:
        await tx.execute("update members set email = %s where id = %s", (address, member.id))
        await mailboxes.fail(tx, mailbox, "5.1.1", place.town.now)

    await place.town.do(fail)
    return address


async def test_what_went_out_and_came_in_is_counted_with_reasons(place: Place):
    otto = await place.operator("otto")
    assert "Mail comes back from no address." in text_of(await otto.get("/ops/mail"))
    for came, why in (
        (Came.SENT, ""),
        (Came.SENT, ""),
        (Came.FAILED, "The mail server took too long."),
        (Came.NOT_TAKEN, "5.7.1 This conversation is closed."),
        (Came.TAKEN, ""),
    ):
        await mailings.count(place.town.db, came, why)

    page = text_of(await otto.get("/ops/mail"))

    assert "Sent within a day 2" in page
    assert "The mail server took too long. 1" in page
    assert "5.7.1 This conversation is closed. 1" in page
    await place.town.do(
        lambda tx: tx.execute("update mail_counts set hour = hour - interval '25 hours'")
    )
    assert "Sent within a day 0" in text_of(await otto.get("/ops/mail"))


async def test_an_address_is_shown_in_whole_for_a_reason_that_is_written_down(place: Place):
    otto, ada = await place.operator("otto"), await place.member("ada")
    address = await comes_back(place, ada)
    url = f"/ops/mail/{ada.id}/address"
    noted = "select actor, action, member_id::text, detail ->> 'reason' from audit"

    page = await otto.get("/ops/mail")
    assert "5.1.1" in text_of(page)
    assert f"{address[0]}…@overture.example" in text_of(page)
    assert address not in page.text
    refused = await otto.post(url, {"reason": " "})
    assert refused.status_code == 422
    assert address not in refused.text
    assert await place.town.look(lambda tx: all_rows(tx, noted)) == []

    shown = await otto.post(url, {"reason": "Their help desk asks."})

    assert address in shown.text
    assert await place.town.look(lambda tx: all_rows(tx, noted)) == [
        (f"operator:{otto.id}", "address.shown", ada.id, "Their help desk asks.")
    ]
    assert address not in (await otto.get("/ops/mail")).text
