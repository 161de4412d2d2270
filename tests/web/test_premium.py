"""My Premium over HTTP: the numbers of the API, the advice, the statement, and changes of plan."""

# ruff: noqa: RUF001  (pages write a true minus sign)

from __future__ import annotations

import csv
import hashlib
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from io import StringIO

import httpx
import pytest

from overture.actions import credits, subscriptions
from overture.core.ids import MemberId
from overture.core.refusals import Refusal
from overture.store import installation
from overture.store.accounts import Viewer
from overture.web.premium import patches_for_credits
from overture.web.statement_file import safe
from tests.web.conftest import Browser, Place, text_of


def utc(month: int, day: int, *time: int) -> datetime:
    return datetime(2025, month, day, *time, tzinfo=UTC)


async def at(place: Place, instant: datetime) -> None:
    place.town.now = instant
    await place.town.do(lambda tx: installation.set_test_clock(tx, instant))


async def sends(place: Place, sender: Browser, *recipients: str) -> list[str]:
    """InMails to new Premium members of these handles."""
    assert sender.id is not None
    sent: list[str] = []
    for handle in recipients:
        to = await place.town.member(handle, premium="premium_career")
        conversation = await place.town.sends(sender.id, to)
        assert not isinstance(conversation, Refusal)
        sent.append(conversation)
    return sent


async def worked_example(place: Place) -> Browser:
    """The worked example of the rules, up to the upgrade on 3 July."""
    ada = await place.member("ada", premium="premium_career")
    assert ada.id is not None
    grace = await place.town.member("grace", premium="premium_career")
    alan = await place.town.member("alan", premium="premium_career")
    await at(place, utc(2, 10, 9))
    asked = await place.town.sends(ada.id, grace)
    assert not isinstance(asked, Refusal)
    await at(place, utc(5, 11, 9))
    await place.town.accepts(grace, asked)
    await at(place, utc(5, 20))
    assert not isinstance(await place.town.sends(ada.id, alan), Refusal)
    await at(place, utc(7, 3, 12))
    return ada


def lines(answer: httpx.Response) -> list[tuple[str, str, str, str]]:
    """The statement's rows as they are read: entry, date, credits, balance."""
    table = answer.text.partition('class="card statement"')[2].partition("</section>")[0]
    rows = re.findall(r"<tr><td>.*?</tr>", table, re.DOTALL)
    cells = [re.findall(r"<td.*?</td>", row, re.DOTALL) for row in rows]
    return [tuple(" ".join(re.sub(r"<[^>]+>", " ", c).split()) for c in row) for row in cells]  # pyright: ignore[reportReturnType]


def balance(answer: httpx.Response, pool: str = "premium") -> str:
    found = re.search(rf'class="big" data-balance="{pool}">([^<]*)<', answer.text)
    assert found, text_of(answer)
    return found[1]


def form_in(answer: httpx.Response, number: int = 0) -> tuple[str, dict[str, str]]:
    form = re.findall(r"<form method=\"post\".*?</form>", answer.text, re.DOTALL)[number]
    action = re.search(r'action="([^"]+)"', form)
    assert action
    return action[1], dict(re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)"', form))


# What it shows -----------------------------------------------------------------------------------


async def test_the_worked_example_stands_on_the_page_line_by_line(place: Place) -> None:
    ada = await worked_example(place)

    page = await ada.get("/premium/statement")

    assert page.status_code == 200
    assert lines(page) == [
        ("Monthly grant, Premium Career", "30 Jun 2025", "+5", "15"),
        ("February grant, unused after 120 days", "28 Jun 2025", "−5", "10"),
        ("Monthly grant, Premium Career (2 over the limit)", "31 May 2025", "+3", "15"),
        ("January grant, unused after 120 days", "31 May 2025", "−3", "12"),
        ("Returned, now that there is room: Grace", "20 May 2025", "+1", "15"),
        ("InMail to Alan", "20 May 2025", "−1", "14"),
        ("Waits for room under your limit: Grace answered", "11 May 2025", "0", "15"),
        ("Monthly grant, Premium Career (4 over the limit)", "30 Apr 2025", "+1", "15"),
        ("Monthly grant, Premium Career", "31 Mar 2025", "+5", "14"),
        ("Monthly grant, Premium Career", "28 Feb 2025", "+5", "9"),
        ("InMail to Grace", "10 Feb 2025", "−1", "4"),
        ("First grant, Premium Career", "31 Jan 2025", "+5", "5"),
    ]


async def test_its_numbers_are_those_of_the_api(place: Place) -> None:
    ada = await worked_example(place)
    assert ada.id is not None
    member = ada.id
    told = await place.town.look(
        lambda tx: subscriptions.premium(tx, member, place.town.now, place.town.book)
    )

    page = await ada.get("/premium")

    shown = text_of(page)
    (pool,) = told.pools
    assert balance(page) == str(pool.balance) == "15"
    assert f"of {pool.cap} at most" in shown
    assert pool.renews_at == utc(7, 31, 10)
    assert "Renews 31 July 2025" in shown
    lots = re.findall(r'<span class="num"><b>(\d+)</b>', page.text)
    assert sum(map(int, lots)) == pool.balance
    assert "Sent in 90 days 1 " in shown


async def test_a_year_of_every_kind_of_entry_is_told_as_the_ledger_has_it(place: Place) -> None:
    ada = await worked_example(place)
    assert ada.id is not None
    member = ada.id
    await place.town.chooses(member, "premium", "premium_business")
    await place.days_pass(3)
    await place.town.cancels(member, "premium", "now")
    await place.days_pass(1)
    await place.town.chooses(member, "premium", "premium_business")
    await place.days_pass(60)
    await place.town.do(
        lambda tx: credits.adjust(
            tx,
            member,
            "premium",
            credits=2,
            reason="=1+1",
            now=place.town.now,
            book=place.town.book,
        )
    )

    page = await ada.get("/premium/statement")

    ledger = await place.town.look(
        lambda tx: credits.ledger(
            tx,
            member,
            "premium",
            cursor=None,
            limit=100,
            now=place.town.now,
            book=place.town.book,
        )
    )
    assert not isinstance(ledger, Refusal)
    shown = [(int(credits.replace("−", "-")), int(after)) for _, _, credits, after in lines(page)]
    assert shown == [(x.entry.credits, x.entry.balance) for x in ledger.items][::-1]
    told = text_of(page)
    assert "Plan changed: the credits of the old one are gone" in told
    assert "Plan ended: its credits are gone" in told
    assert "No second grant within a month, Premium Business (15 not granted)" in told
    assert "Added by the operator: =1+1" in told


async def test_the_advice_says_what_loses_nothing(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    await at(place, utc(5, 30, 12))

    urgent = text_of(await ada.get("/premium"))

    assert "Send 5 InMails before 31 May and you lose none at the renewal." in urgent
    assert "Otherwise 5 credits expire on 31 May" in urgent


async def test_with_room_it_says_that_nothing_is_lost(place: Place) -> None:
    ada = await place.member("ada", premium="premium_business")

    shown = text_of(await ada.get("/premium"))

    assert "Nothing is lost at the renewal on 28 February: all new credits fit." in shown


async def test_what_waits_for_room_is_shown_with_its_name(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    (asked,) = await sends(place, ada, "grace")
    await at(place, utc(5, 1, 9))
    grace = await place.town.look(lambda tx: _member(tx, "grace"))
    await place.town.accepts(grace, asked)  # pyright: ignore[reportArgumentType]

    page = await ada.get("/premium")

    assert "1 returned credit waits for room" in text_of(page)
    assert f'<a href="/inbox/{asked}">Grace</a>' in page.text


async def _member(tx: object, handle: str) -> MemberId:
    row = await (
        await tx.execute("select id from members where handle = %s", (handle,))  # type: ignore[attr-defined]
    ).fetchone()
    return row[0]


async def test_answers_are_counted_and_empty_ones_say_so(place: Place) -> None:
    ada = await place.member("ada", premium="premium_business")

    before = text_of(await ada.get("/premium"))
    asked = await sends(place, ada, "grace", "alan")
    await place.days_pass(1.25)
    grace = await place.town.look(lambda tx: _member(tx, "grace"))
    await place.town.accepts(grace, asked[0])  # pyright: ignore[reportArgumentType]
    after = text_of(await ada.get("/premium"))

    assert "Answer rate – nothing sent yet" in before
    assert "No InMail was sent in the last months." in before
    assert "Sent in 90 days 2 Answered 1 of 2 Answer rate 50%" in after
    assert "Median time to answer 1 d 6 h" in after


async def test_charts_have_a_title_and_a_table_with_the_same_numbers(place: Place) -> None:
    ada = await worked_example(place)

    page = await ada.get("/premium")

    assert page.text.count("<desc ") == 2
    shown = text_of(page)
    assert "Month Granted Returned Spent Expired" in shown
    assert "May +3 +1 −1 −3" in shown
    assert "June +5 0 0 −5" in shown


@pytest.mark.parametrize(
    ("show", "count"), [("spent", 2), ("returned", 2), ("granted", 6), ("expired", 2), ("other", 0)]
)
async def test_the_statement_can_be_filtered(place: Place, show: str, count: int) -> None:
    ada = await worked_example(place)

    page = await ada.get(f"/premium?show={show}")
    part = await ada.get(f"/premium?show={show}", live="statement")

    assert len(lines(page)) == count
    assert f'id="newest-premium-{show}"' in part.text
    assert "data-balance" not in part.text


async def test_a_long_statement_goes_on(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    await place.days_pass(2000)

    seen: Sequence[tuple[str, ...]] = lines(await ada.get("/premium/statement"))
    page = await ada.get("/premium/statement")
    more = re.search(r'data-more="([^"]+)"', page.text)
    assert more
    follows = await ada.get(more[1].replace("&amp;", "&"), live="more")
    plain = await ada.get(more[1].replace("&amp;", "&"))

    assert len(seen) == 50
    assert '<template data-at="#more" data-how="replace">' in follows.text
    assert follows.text.count("<tr><td>") == len(lines(plain)) > 40
    assert lines(plain)[0] != seen[-1]


# The file ----------------------------------------------------------------------------------------


async def test_the_file_adds_up_to_the_balance(place: Place) -> None:
    ada = await worked_example(place)
    assert ada.id is not None
    await place.town.chooses(ada.id, "recruiter", "recruiter_lite")

    answer = await ada.get("/premium/statement.csv")

    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert "overture-statement-2025-07-03.csv" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(StringIO(answer.text.lstrip("\ufeff"))))
    for pool in ("premium", "recruiter"):
        own = [row for row in rows if row["pool"] == pool]
        page = await ada.get(f"/premium?pool={pool}")
        assert str(sum(int(row["credits"]) for row in own)) == balance(page, pool)
        assert own[-1]["balance"] == balance(page, pool)
    assert "InMail to Grace" in [row["entry"] for row in rows]


async def test_the_file_lets_anyone_check_that_nothing_was_rewritten(place: Place) -> None:
    """With nothing but the file, the member's id and what docs/ledger.md says of the chain."""
    ada = await worked_example(place)
    assert ada.id is not None
    answer = await ada.get("/premium/statement.csv")
    rows = list(csv.DictReader(StringIO(answer.text.lstrip("\ufeff"))))
    assert len(rows) > 10

    assert first_broken(rows, ada.id) is None
    for place_of, column in ((4, "credits"), (0, "at"), (7, "reason"), (len(rows) - 1, "balance")):
        changed = [dict(row) for row in rows]
        changed[place_of][column] += "1"
        if column == "at":
            changed[place_of][column] = "2025-01-31T10:00:01+00:00"
        assert first_broken(changed, ada.id) == rows[place_of]["number"]
    assert first_broken(rows[:3] + rows[4:], ada.id) == rows[4]["number"]


def first_broken(rows: list[dict[str, str]], owner: str) -> str | None:
    """The number of the first line whose link does not follow from the one before it and itself."""
    before: dict[str, str] = {}
    for row in rows:
        fields = [
            before.get(row["pool"], ""),
            owner,
            row["pool"],
            row["number"],
            _in_utc(row["at"]),
            row["kind"],
            row["credits"],
            row["forfeited"],
            row["plan"],
            row["lot"].removeprefix("L"),
            _in_utc(row["expires_at"]),
            row["inmail_id"],
            row["balance"],
            row["reason"],
        ]
        before[row["pool"]] = hashlib.sha256("\n".join(fields).encode()).hexdigest()
        if before[row["pool"]] != row["link"]:
            return row["number"]
    return None


def _in_utc(text: str) -> str:
    if not text:
        return ""
    return datetime.fromisoformat(text).astimezone(UTC).isoformat(timespec="microseconds")


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@SUM(A1)", "\tx", "\rx"])
def test_no_cell_is_a_formula(text: str) -> None:
    assert safe(text) == "'" + text


def test_other_cells_stay_as_they_are() -> None:
    assert safe("Grace = good") == "Grace = good"


# Plans -------------------------------------------------------------------------------------------


async def test_without_a_plan_one_is_welcomed_with_the_plans(place: Place) -> None:
    ada = await place.member("ada")

    page = await ada.get("/premium")
    shown = text_of(page)

    assert "Write to someone you do not know yet" in shown
    assert "This installation does not take payments" in shown
    for title in ("Premium Career", "Premium Business", "Recruiter Lite", "Sales Navigator Core"):
        assert title in shown
    assert (await ada.get("/premium/statement")).status_code == 404


async def test_a_plan_is_started_after_one_saw_what_it_brings(place: Place) -> None:
    ada = await place.member("ada")

    asked = await ada.get("/premium/change?pool=premium&plan=premium_career")
    action, form = form_in(asked)
    page = await ada.follow(await ada.post(action, form))

    assert "Start Premium Career?" in text_of(asked)
    assert "You get 5 credits" in text_of(asked)
    assert balance(page) == "5"
    assert "You now have Premium Career." in text_of(page)


async def test_an_upgrade_shows_what_is_lost_and_then_takes_exactly_that(place: Place) -> None:
    ada = await worked_example(place)

    asked = await ada.get("/premium/change?pool=premium&plan=premium_business")
    action, form = form_in(asked)
    page = await ada.follow(await ada.post(action, form))

    assert "You lose 15 credits You get 15 credits" in text_of(asked)
    assert "The next credits 3 August 2025" in text_of(asked)
    assert balance(page) == "15"
    assert lines(page)[:2] == [
        ("Grant of the new plan, Premium Business", "3 Jul 2025", "+15", "15"),
        ("Plan changed: the credits of the old one are gone", "3 Jul 2025", "−15", "0"),
    ]


async def test_what_changed_meanwhile_is_shown_anew_and_not_done(place: Place) -> None:
    ada = await worked_example(place)
    action, form = form_in(await ada.get("/premium/change?pool=premium&plan=premium_business"))
    await sends(place, ada, "mary")

    answer = await ada.post(action, form)
    again, fresh = form_in(answer)
    still = await ada.get("/premium")
    done = await ada.post(again, fresh)

    assert answer.status_code == 409
    assert "Something changed since you looked, so nothing was done." in text_of(answer)
    assert "You lose 14 credits" in text_of(answer)
    assert "Premium Career" in re.findall(r'<h2 id="plan-premium">([^<]*)<', still.text)
    assert done.status_code == 303


async def test_a_form_without_what_was_shown_does_nothing(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")

    bare = await ada.post("/premium/cancel", {"pool": "premium", "at": "now"})

    assert bare.status_code == 409
    assert balance(await ada.get("/premium")) == "5"


async def test_a_downgrade_waits_and_can_be_withdrawn(place: Place) -> None:
    ada = await place.member("ada", premium="premium_business")
    asked = await ada.get("/premium/change?pool=premium&plan=premium_career")
    action, form = form_in(asked)
    waiting = await ada.follow(await ada.post(action, form))

    kept = await ada.get("/premium/change?pool=premium&plan=premium_business")
    page = await ada.follow(await ada.post(*form_in(kept)))

    assert "Takes effect 28 February 2025 You lose 15 credits You get 5 credits" in text_of(asked)
    assert "Premium Career begins on 28 February 2025." in text_of(waiting)
    assert "Send 15 InMails before 28 February" in text_of(waiting)
    assert "You lose Nothing" in text_of(kept)
    assert "You keep Premium Business." in text_of(page)
    assert "Then Premium Career" not in text_of(page)


async def test_canceling_now_leaves_nothing_and_the_statement_says_so(place: Place) -> None:
    ada = await worked_example(place)
    asked = await ada.get("/premium/cancel?pool=premium")
    now = next(n for n in (0, 1) if form_in(asked, n)[1]["at"] == "now")

    page = await ada.follow(await ada.post(*form_in(asked, now)))

    assert balance(page) == "0"
    assert "Your plan has ended" in text_of(page)
    assert lines(page)[0] == ("Plan ended: its credits are gone", "3 Jul 2025", "−15", "0")


async def test_canceling_at_the_end_keeps_the_credits_until_then(place: Place) -> None:
    ada = await worked_example(place)
    asked = await ada.get("/premium/cancel?pool=premium")
    later = next(n for n in (0, 1) if form_in(asked, n)[1]["at"] == "period_end")

    page = await ada.follow(await ada.post(*form_in(asked, later)))
    shown = text_of(page)
    again = text_of(await ada.get("/premium/cancel?pool=premium"))
    await place.days_pass(30)

    assert balance(page) == "15"
    assert "Ends 31 July 2025" in shown
    assert "Your plan ends −10" in shown
    assert "End it when this period ends" not in again
    assert balance(await ada.get("/premium")) == "0"


async def test_pools_stand_side_by_side(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career", recruiter="recruiter_lite")

    first = await ada.get("/premium")
    second = await ada.get("/premium?pool=recruiter")

    assert balance(first) == "5"
    assert balance(second, "recruiter") == "30"
    for page in (first, second):
        assert "Premium 5 Recruiter 30" in text_of(page)


@pytest.mark.parametrize(
    "path",
    [
        "/premium/change?pool=premium&plan=nonsense",
        "/premium/change?pool=nonsense&plan=premium_career",
        "/premium/change",
        "/premium/cancel?pool=recruiter",
    ],
)
async def test_what_there_is_not_is_refused_in_a_sentence(place: Place, path: str) -> None:
    ada = await place.member("ada", premium="premium_career")

    answer = await ada.get(path)

    assert answer.status_code == 404
    assert 'role="alert"' in answer.text


async def test_a_stranger_is_sent_to_sign_in(place: Place) -> None:
    answer = await place.browser().get("/premium")

    assert answer.headers["location"] == "/login?next=/premium"


# Live --------------------------------------------------------------------------------------------


async def test_after_a_send_the_stream_brings_the_balances(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career", recruiter="recruiter_lite")
    assert ada.id is not None
    viewer = Viewer(ada.id, "ada", "Ada", "", None, True, None, "UTC", "")
    await sends(place, ada, "grace")

    patches = await patches_for_credits(place.site, viewer)

    assert "<template data-at=\"[data-balance='premium']\">4</template>" in patches
    assert "<template data-at=\"[data-balance='recruiter']\">30</template>" in patches


async def test_my_premium_then_fetches_what_else_is_new(place: Place) -> None:
    ada = await place.member("ada", premium="premium_career")
    assert ada.id is not None
    viewer = Viewer(ada.id, "ada", "Ada", "", None, True, None, "UTC", "")
    page = await ada.get("/premium")
    await sends(place, ada, "grace")

    patches = await patches_for_credits(place.site, viewer)
    more = re.search(r'data-at="#fresh-premium"><span data-more="([^"]+)"', patches)
    assert more
    fresh = await ada.get(more[1], live="more")

    assert 'id="fresh-premium"' in page.text
    assert 'data-at="#premium-premium" data-how="replace"' in fresh.text
    assert 'data-at="#newest-premium-all" data-how="replace"' in fresh.text
    assert ">Grace</a>" in fresh.text
    assert balance(fresh) == "4"
