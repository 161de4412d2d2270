"""Being handed over by a host site that signs with its keys; and by some that only claim to be it."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator
from datetime import timedelta
from types import SimpleNamespace
from typing import Any

import httpx
import msgspec
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey

from overture import ids
from overture.actions import closing, members, notifying
from overture.clock import real_now
from overture.core.ids import MemberId
from overture.handover import Host, host_of
from overture.settings import SettingProblem, read
from overture.store import accounts, identities, outbox
from overture.store.db import all_rows
from tests.docs.blocks import code
from tests.web.conftest import PUBLIC_URL, Browser, Place, overtaken, place_in, text_of

ISSUER = "https://www.host.example"
OTHER = "https://other.example"
SECRET = "a secret of more than thirty-two bytes"
OLDER = "the secret before it, as long as that one"
FRAME = {"Sec-Fetch-Dest": "iframe", "Sec-Fetch-Site": "cross-site"}
WINDOW = {"Sec-Fetch-Dest": "document", "Sec-Fetch-Site": "cross-site"}

HOST = Host(ISSUER, (SECRET, OLDER))


@pytest.fixture
async def place(database_url: str) -> AsyncIterator[Place]:
    async with place_in(database_url, host=HOST, embed_origins=(ISSUER, OTHER)) as made:
        yield made


@pytest.fixture
async def creating(database_url: str) -> AsyncIterator[Place]:
    """Where hand-overs make members."""
    async with place_in(database_url, host=Host(ISSUER, (SECRET,), creates=True)) as made:
        yield made


@pytest.fixture
async def over_https(database_url: str) -> AsyncIterator[Place]:
    url = "https://overture.example"
    async with place_in(database_url, host=HOST, embed_origins=(ISSUER,), public_url=url) as made:
        yield made


def claims(subject: str = "user-17", **changed: Any) -> dict[str, Any]:
    """What a host says; None takes a claim away."""
    now = int(real_now().timestamp())
    said = {
        "iss": ISSUER,
        "aud": PUBLIC_URL,
        "sub": subject,
        "iat": now,
        "exp": now + 60,
        "jti": ids.new(),
    }
    return {name: each for name, each in (said | changed).items() if each is not None}


def signed(said: dict[str, Any] | None = None, *, key: Key | None = None, **header: Any) -> str:
    key = key or OctKey.import_key(SECRET)
    head = {"alg": "HS256"} | header
    return jwt.encode(head, claims() if said is None else said, key, algorithms=[head["alg"]])


async def known(
    place: Place, handle: str = "ada", external_id: str = "user-17", **more: Any
) -> MemberId:
    new = members.NewMember(
        MemberId(ids.new()),
        handle,
        handle.title(),
        email=f"{handle}@work.example",
        external_id=external_id,
        **more,
    )
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))
    return new.id


async def comes(
    browser: Browser, token: str, to: str = "", *, framed: bool = False
) -> httpx.Response:
    form = {"token": token, "to": to}
    return await browser.http.post("/handover", data=form, headers=FRAME if framed else WINDOW)


async def rows(place: Place, statement: Any, *params: object) -> list[tuple[Any, ...]]:
    return await place.town.look(lambda tx: all_rows(tx, statement, params))


async def refused(place: Place, token: str, *, framed: bool = False) -> str:
    """What is said to one who does not get in."""
    before = await rows(place, "select count(*) from sessions")
    browser = place.browser()
    answer = await comes(browser, token, framed=framed)
    assert answer.status_code == 303, text_of(answer)
    assert answer.headers["location"].startswith("/handover/again?why="), answer.headers
    assert not browser.http.cookies
    assert await rows(place, "select count(*) from sessions") == before
    page = await browser.follow(answer)
    assert page.status_code == 403
    return text_of(page)


# Who one is here --------------------------------------------------------------------------------


async def test_whom_the_host_hands_over_is_the_member_of_their_external_id(place: Place):
    ada = await known(place)
    browser = place.browser()

    answer = await comes(browser, signed())

    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert (await browser.follow(answer)).status_code == 200
    ((member, by, frame),) = await rows(
        place,
        "select e.owner_id, e.payload ->> 'by', e.payload ->> 'frame' from outbox e"
        " where e.kind = 'account.signed_in'",
    )
    assert (member, by, frame) == (ada, '["handover"]', None)


async def test_the_token_that_the_docs_sign_opens_the_way_over(database_url: str):
    (signing,) = code("docs/embed.md", "python")
    names: dict[str, Any] = {"SECRET": SECRET}
    exec(signing, names)
    user = SimpleNamespace(pk=17, name="Ada Example", email="ada@example.org")
    host = Host("https://www.example.org", (SECRET,), creates=True)
    async with place_in(database_url, host=host, public_url="https://inmail.example.org") as place:
        answer = await comes(place.browser(), names["handover_token"](user), "compose/bo")

    assert (answer.status_code, answer.headers["location"]) == (303, "/compose?to=bo")


async def test_a_link_does_as_well_and_leaves_no_token_behind(place: Place):
    await known(place)
    browser, token = place.browser(), signed()

    answer = await browser.get("/handover", params={"token": token, "to": "compose"})

    assert answer.headers["location"] == "/compose"
    assert answer.headers["referrer-policy"] == "no-referrer"
    assert answer.headers["cache-control"] == "no-store"
    assert token not in str(answer.headers) + answer.text
    assert (await browser.follow(answer)).status_code == 200


async def test_who_only_looks_uses_no_link_up(place: Place):
    await known(place)
    link = f"/handover?token={signed()}"

    assert (await place.browser().http.head(link)).status_code == 503
    early = await place.browser().http.get(link, headers={"Sec-Purpose": "prefetch;prerender"})
    assert early.status_code == 503

    assert (await place.browser().get(link)).headers["location"] == "/inbox"


async def test_it_opens_once_also_for_two_at_the_same_time(place: Place):
    await known(place)
    token = signed()

    answers = await asyncio.gather(*(comes(place.browser(), token) for _ in range(3)))

    went = sorted(each.headers["location"] for each in answers)
    assert went == ["/handover/again?why=handover_failed"] * 2 + ["/inbox"]
    assert "could not sign you in" in await refused(place, token)
    # Also once it is signed anew: it is the id that counts.
    said = claims()
    assert (await comes(place.browser(), signed(said))).headers["location"] == "/inbox"
    assert "could not" in await refused(place, signed(said | {"exp": said["exp"] + 10}))


async def test_what_was_used_is_forgotten_only_once_it_opens_nothing(place: Place):
    await known(place)
    token = signed()
    await comes(place.browser(), token)

    await place.town.do(accounts.prune)
    assert "could not" in await refused(place, token)

    await place.town.do(lambda tx: tx.execute("update handovers set over_at = now()"))
    await place.town.do(accounts.prune)
    assert await rows(place, "select from handovers") == []


TO = [
    ("", "/inbox"),
    ("inbox", "/inbox"),
    ("compose", "/compose"),
    ("compose/bo", "/compose?to=bo"),
    (
        "conversation/0199c7f3-1111-7222-8333-0123456789ab",
        "/inbox/0199c7f3-1111-7222-8333-0123456789ab",
    ),
    ("https://evil.example", "/inbox"),
    ("//evil.example", "/inbox"),
    ("/settings", "/inbox"),
    ("compose/../settings", "/inbox"),
    ("compose/bo\r\nLocation: https://evil.example", "/inbox"),
    ("conversation/https://evil.example", "/inbox"),
]


async def test_it_leads_to_letters_and_nowhere_else(place: Place):
    await known(place)

    for to, url in TO:
        assert (await comes(place.browser(), signed(), to)).headers["location"] == url, to


async def test_whom_nobody_made_here_is_told_so(place: Place):
    assert "has not told us of you yet" in await refused(place, signed())
    assert await rows(place, "select from members") == []


async def test_a_closed_member_is_not_let_in_again(place: Place):
    ada = await known(place)
    assert (await comes(place.browser(), signed())).headers["location"] == "/inbox"

    await place.town.do(lambda tx: closing.close(tx, ada, place.town.now, place.town.book))

    assert "has not told us of you yet" in await refused(place, signed())


async def test_a_suspended_member_comes_in_and_reads_why(place: Place):
    ada = await known(place)
    await place.town.do(
        lambda tx: tx.execute("update members set suspended_at = now() where id = %s", (ada,))
    )
    browser = place.browser()

    inbox = await browser.follow(await comes(browser, signed()))

    assert inbox.headers["location"] == "/suspended"


async def test_a_member_without_an_address_needs_a_verified_one(place: Place):
    new = members.NewMember(MemberId(ids.new()), "bo", "Bo", external_id="user-17")
    await place.town.do(lambda tx: members.create(tx, new, place.town.now))

    assert "not verified where you sign in" in await refused(place, signed())
    unsure = claims(email="bo@example.org", email_verified="true")
    assert "not verified where you sign in" in await refused(place, signed(unsure))

    none = claims(email="bo\x00@example.org", email_verified=True)
    assert "not verified where you sign in" in await refused(place, signed(none))

    sure = claims(email="bo@example.org", email_verified=True)
    assert (await comes(place.browser(), signed(sure))).headers["location"] == "/inbox"
    assert await rows(place, "select email, password from accounts") == [("bo@example.org", None)]


# Members who are made -----------------------------------------------------------------------------

NEW = {"name": "Ada Byron", "headline": "Analyst", "email": "ada@example.org"}


async def test_who_is_new_becomes_a_member_where_the_operator_said_so(creating: Place):
    place = creating
    token = signed(claims(**NEW, email_verified=True))
    assert (await comes(place.browser(), token)).headers["location"] == "/inbox"

    assert await rows(place, "select name, headline, email, external_id from members") == [
        ("Ada Byron", "Analyst", "ada@example.org", "user-17")
    ]
    # And is the same the next time, whatever is said of them by then.
    assert (await comes(place.browser(), signed())).headers["location"] == "/inbox"
    assert len(await rows(place, "select from members")) == 1


@pytest.mark.parametrize("headline", ["h" * 300, "two\nlines", "a\x00b"])
async def test_what_no_profile_can_have_keeps_nobody_out(creating: Place, headline: str):
    said = claims(**NEW | {"headline": headline, "name": "n" * 300}, email_verified=True)

    assert (await comes(creating.browser(), signed(said))).headers["location"] == "/inbox"

    assert await rows(creating, "select name, headline from members") == [("ada", "")]


async def test_two_at_once_make_one_member(creating: Place):
    tokens = [signed(claims(**NEW, email_verified=True)) for _ in range(3)]

    await asyncio.gather(*(comes(creating.browser(), each) for each in tokens))

    assert len(await rows(creating, "select from members")) == 1
    assert len(await rows(creating, "select from sessions")) == 3


async def test_who_finds_nobody_and_is_overtaken_is_the_one_who_came_first(
    creating: Place, monkeypatch: pytest.MonkeyPatch
):
    slow, quick = [signed(claims(**NEW, email_verified=True)) for _ in range(2)]

    async with overtaken(monkeypatch, identities, "by_external_id") as looked:
        coming = asyncio.create_task(comes(creating.browser(), slow))
        await looked.wait()
        assert (await comes(creating.browser(), quick)).headers["location"] == "/inbox"

    assert (await coming).headers["location"] == "/inbox"
    assert len(await rows(creating, "select from members")) == 1


async def test_an_address_that_nobody_verified_makes_nobody(creating: Place):
    for said in ({}, {"email": "ada@example.org"}, {**NEW, "email_verified": 1}):
        assert "not verified" in await refused(creating, signed(claims(**said)))
    assert await rows(creating, "select from members") == []


async def test_a_verified_address_brings_the_external_id_to_its_member_once(creating: Place):
    place = creating
    ada = await place.member("ada")
    sure = {"email": f"{ada.id}@overture.example", "email_verified": True}

    assert (await comes(place.browser(), signed(claims(**sure)))).headers["location"] == "/inbox"
    assert await rows(place, "select id, external_id from members") == [(ada.id, "user-17")]
    assert await rows(place, "select member_id from external_ids") == [(ada.id,)]

    # Another of the host's people with the same address is somebody else.
    assert "linked already" in await refused(place, signed(claims("user-18", **sure)))


async def test_an_address_whose_account_nobody_verified_is_not_the_owners(creating: Place):
    mallory = await creating.member("mallory")
    await creating.town.do(lambda tx: tx.execute("update accounts set verified_at = null"))
    sure = {"email": f"{mallory.id}@overture.example", "email_verified": True}

    assert "nobody has shown yet" in await refused(creating, signed(claims(**sure)))


async def test_an_imported_member_is_claimed_by_their_verified_address(creating: Place):
    new = members.NewMember(
        MemberId(ids.new()), "ada", "Ada", email="ada@example.org", claimed=False
    )
    await creating.town.do(lambda tx: members.create(tx, new, creating.town.now))

    await comes(creating.browser(), signed(claims(**NEW, email_verified=True)))

    assert await rows(creating, "select id, claimed, external_id from members") == [
        (new.id, True, "user-17")
    ]


# How much it opens ------------------------------------------------------------------------------


async def test_the_hosts_word_is_not_enough_for_what_nobody_may_do_in_their_place(place: Place):
    """Else whoever found the host's page open could change the address, or close the account."""
    await known(place)
    browser = place.browser()
    await comes(browser, signed())
    assert "/confirm" in (await browser.get("/settings/account/email")).headers["location"]

    long_ago = int((real_now() - timedelta(minutes=11)).timestamp())
    await comes(browser, signed(claims(auth_time=long_ago)))
    assert "/confirm" in (await browser.get("/settings/account/email")).headers["location"]

    await comes(browser, signed(claims(auth_time=int(real_now().timestamp()))))
    assert (await browser.get("/settings/account/email")).status_code == 200


async def test_no_mail_tells_of_it_as_one_does_of_other_new_browsers(place: Place):
    await known(place)
    await comes(place.browser(), signed())
    await place.town.do(lambda tx: tx.execute("update accounts set verified_at = now()"))
    ((sequence, owner, payload, at),) = await rows(
        place,
        "select sequence, owner_id, payload::text, at from outbox where kind = 'account.signed_in'",
    )

    async def told(by: str) -> int:
        said = payload.replace('"handover"', f'"{by}"').encode()
        event = outbox.Row(sequence, owner, "account.signed_in", said, at)
        return len(await place.town.look(lambda tx: notifying.plan(tx, [event])))

    assert await told("handover") == 0
    assert await told("password") == 1


# What must not be believed ----------------------------------------------------------------------

# In the place of true claims; of an instant, how far it lies ahead.
LIES: dict[str, dict[str, Any]] = {
    "another issuer": {"iss": OTHER},
    "another audience": {"aud": "https://another.example"},
    "audiences without us": {"aud": ["https://another.example"]},
    "no audience": {"aud": None},
    "over": {"iat": timedelta(seconds=-200), "exp": timedelta(seconds=-100)},
    "never over": {"exp": None},
    "for too long": {"exp": timedelta(hours=1)},
    "of the future": {"iat": timedelta(hours=1), "exp": timedelta(hours=1, minutes=1)},
    "no beginning": {"iat": None},
    "no id": {"jti": None},
    "a short id": {"jti": "1"},
    "an id that is a number": {"jti": 12345678901234567890},
    "nobody": {"sub": ""},
    "a number": {"sub": 17},
    "too long": {"sub": "x" * 300},
    "with blanks": {"sub": " user-17"},
    "times that are none": {"exp": "tomorrow", "iat": True},
    "times beyond all": {"exp": 1e300, "iat": 1e300},
}


async def test_a_token_that_does_not_fit_lets_nobody_in(place: Place):
    await known(place)

    for name, lie in LIES.items():
        said = {
            claim: int((real_now() + each).timestamp()) if isinstance(each, timedelta) else each
            for claim, each in lie.items()
        }
        assert "could not sign you in" in await refused(place, signed(claims(**said))), name

    assert (await comes(place.browser(), signed())).headers["location"] == "/inbox"


async def test_a_token_that_another_key_signed_lets_nobody_in(place: Place):
    await known(place)
    said = claims()
    for token in (
        signed(said, key=OctKey.import_key("another secret of thirty-two bytes and more")),
        signed(said, key=RSAKey.generate_key(2048), alg="RS256"),
        signed(said, alg="HS384"),
        # Unsigned, in both spellings that libraries fell for.
        f"{_part({'alg': 'none'})}.{_part(said)}.",
        f"{_part({'alg': 'None'})}.{_part(said)}.",
        f"{_part({'alg': 'HS256'})}.{_part(said)}.",
        "",
        "a.b.c",
        "x" * 9000,
        "ä.ä.ä",
        _forged(signed(said)),
    ):
        assert "could not sign you in" in await refused(place, token)


def _forged(token: str) -> str:
    """With another signature. Not its end is changed: of that, not every bit counts."""
    head, _, signature = token.rpartition(".")
    return f"{head}.{'B' if signature[0] == 'A' else 'A'}{signature[1:]}"


def _part(said: dict[str, Any]) -> str:
    return urlsafe_b64encode(msgspec.json.encode(said)).rstrip(b"=").decode()


KEYS: dict[str, tuple[Key, list[str]]] = {
    "RSA": (RSAKey.generate_key(2048), ["RS256", "PS256"]),
    "EC": (ECKey.generate_key("P-256"), ["ES256"]),
    "Ed25519": (OKPKey.generate_key("Ed25519"), ["Ed25519"]),
}


@pytest.mark.parametrize("kind", KEYS)
async def test_a_public_key_is_believed_for_what_its_owner_signs_alone(
    database_url: str, tmp_path: Any, kind: str
):
    """And never as a secret: whoever has read it could sign with it."""
    key, algorithms = KEYS[kind]
    file = tmp_path / "host.pem"
    file.write_bytes(key.as_pem(private=False))
    host = host_of(read({"handover_issuer": ISSUER, "handover_keys": str(file)}, {}))
    async with place_in(database_url, host=host) as place:
        await known(place)
        for algorithm in algorithms:
            answer = await comes(place.browser(), signed(key=key, alg=algorithm))
            assert answer.headers["location"] == "/inbox"

        said = f"{_part({'alg': 'HS256', 'typ': 'JWT'})}.{_part(claims())}"
        for public in (file.read_bytes(), file.read_bytes().strip(), host.keys.encode()):
            mac = hmac.digest(public, said.encode(), "sha256")
            forged = f"{said}.{urlsafe_b64encode(mac).rstrip(b'=').decode()}"
            assert "could not sign you in" in await refused(place, forged)
        assert "could not sign you in" in await refused(place, signed())


async def test_the_older_secret_holds_until_it_is_taken_away(place: Place):
    await known(place)

    answer = await comes(place.browser(), signed(key=OctKey.import_key(OLDER)))

    assert answer.headers["location"] == "/inbox"


async def test_where_nobody_is_handed_over_there_is_no_such_page(database_url: str):
    async with place_in(database_url) as place:
        assert (await comes(place.browser(), signed())).status_code == 404
        assert (await place.browser().get("/handover")).status_code == 404


async def test_no_log_has_the_token_whatever_goes_wrong(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
):
    caplog.set_level(logging.DEBUG)
    await known(place)
    tokens = [signed(), signed(claims(sub="somebody")), signed(claims(iss=OTHER))]
    for each in tokens:
        await place.browser().get("/handover", params={"token": each})

    async def fails(*_: Any, **__: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("overture.actions.handovers.store.use", fails)
    tokens.append(signed())
    answer = await place.browser().get("/handover", params={"token": tokens[-1]})
    assert answer.status_code == 500

    logged = "\n".join(
        each.getMessage() + (each.exc_text or "")
        for each in caplog.records
        if each.name.startswith("overture")
    )
    assert "a hand-over was refused: it is another issuer" in logged
    assert "/handover failed" in logged
    for each in tokens:
        assert each not in logged
        assert each.split(".")[1] not in logged


# In frames --------------------------------------------------------------------------------------


def shown_in(answer: httpx.Response) -> str:
    """Whose frames may show it."""
    found = re.search(r"frame-ancestors ([^;]*);", answer.headers["content-security-policy"])
    assert found is not None
    return found[1]


async def test_a_frame_has_a_session_of_its_own_for_letters_alone(place: Place):
    await known(place)
    browser = place.browser()

    answer = await comes(browser, signed(), framed=True)
    assert answer.headers["location"] == "/inbox"
    assert "frame" in browser.http.cookies
    assert "session" not in browser.http.cookies

    for path in ("/inbox", "/compose"):
        page = await browser.http.get(path, headers=FRAME)
        assert page.status_code == 200
        assert shown_in(page) == ISSUER
        assert f'data-frame="{ISSUER}"' in page.text
    for path in ("/premium", "/settings/security", "/in/ada", "/settings/data/close"):
        page = await browser.http.get(path, headers=FRAME)
        assert "This page is not shown inside another site." in text_of(page)
        assert "<form" not in page.text
    # In a window of its own it is nothing.
    page = await browser.http.get("/inbox", headers=WINDOW)
    assert page.headers["location"] == "/login?next=/inbox"
    assert await rows(place, "select frame from sessions") == [(ISSUER,)]


async def test_a_frame_that_is_handed_over_again_has_one_session(place: Place):
    await known(place)
    bo = await known(place, "bo", "user-18")
    browser = place.browser()
    await comes(browser, signed(), framed=True)

    answer = await comes(browser, signed(claims("user-18")), "compose/ada", framed=True)

    assert answer.headers["location"] == "/compose?to=ada"
    assert await rows(place, "select member_id from sessions") == [(bo,)]


async def test_a_window_s_session_is_shown_in_no_frame(place: Place):
    """Else whoever may embed could have a member press what they do not see."""
    ada = await place.member("ada")

    assert (await ada.http.get("/inbox", headers=WINDOW)).status_code == 200
    framed = await ada.http.get("/inbox", headers=FRAME)
    assert framed.headers["location"] == "/handover/again"
    assert shown_in(await ada.get("/inbox")) == "'none'"
    again = await ada.http.get("/handover/again", headers=FRAME)
    assert shown_in(again) == f"{ISSUER} {OTHER}"
    assert "Load the page that you came from anew" in text_of(again)


async def test_a_frame_is_of_the_origin_that_the_host_names(place: Place):
    await known(place)
    browser = place.browser()

    await comes(browser, signed(claims(origin=OTHER)), framed=True)

    page = await browser.http.get("/inbox", headers=FRAME)
    assert shown_in(page) == OTHER
    evil = signed(claims(origin="https://evil.example"))
    assert "could not sign you in" in await refused(place, evil, framed=True)


async def test_an_origin_that_may_embed_no_more_ends_what_was_opened_in_its_frames(place: Place):
    await known(place)
    browser = place.browser()
    await comes(browser, signed(claims(origin=OTHER)), framed=True)

    object.__setattr__(place.site, "embed_origins", (ISSUER,))

    page = await browser.http.get("/inbox", headers=FRAME)
    assert page.headers["location"] == "/handover/again"


async def test_without_origins_no_page_is_shown_in_a_frame(database_url: str):
    async with place_in(database_url, host=HOST) as place:
        await known(place)
        browser = place.browser()
        answer = await comes(browser, signed(), framed=True)
        assert answer.headers["location"] == "/inbox"
        page = await browser.http.get("/inbox", headers=FRAME)
        assert shown_in(page) == "'none'"
        assert shown_in(await browser.http.get("/handover/again", headers=FRAME)) == "'none'"


async def test_two_members_in_one_browser_are_never_taken_for_each_other(place: Place):
    """On one site a browser may send both cookies, and not everything says for which it asks."""
    await known(place, "bo", "user-18")
    ada = await place.member("ada")
    await comes(ada, signed(claims("user-18")), framed=True)

    asked = await ada.http.get("/inbox", headers={"Sec-Fetch-Dest": "empty"})
    assert asked.headers["location"].startswith("/login")
    said = {"Sec-Fetch-Dest": "empty", "X-Framed": "1", "X-Live": "1"}
    assert (await ada.http.get("/inbox", headers=said)).status_code == 200
    in_frame = await ada.http.get("/inbox", headers=FRAME)
    assert in_frame.status_code == 200
    assert f'data-me="{ada.id}"' in (await ada.http.get("/inbox", headers=WINDOW)).text
    assert f'data-me="{ada.id}"' not in in_frame.text


async def test_over_https_the_cookie_goes_to_the_frames_of_one_site(over_https: Place):
    await known(over_https)
    browser = over_https.browser()
    token = signed(claims(aud="https://overture.example"))

    answer = await browser.http.post(
        "https://overture.example/handover", data={"token": token}, headers=FRAME
    )

    (cookie,) = answer.headers.get_list("set-cookie")
    name, *said = (each.strip().lower() for each in cookie.split(";"))
    assert name.startswith("__host-frame=")
    assert {"httponly", "path=/", "samesite=none", "secure", "partitioned"} <= set(said)
    assert not [each for each in said if each.startswith("domain")]


async def test_another_site_s_form_is_taken_from_no_frame(place: Place):
    await known(place)
    browser = place.browser()
    await comes(browser, signed(), framed=True)

    answer = await browser.http.post("/compose", data={"to": "ada", "body": "x"}, headers=FRAME)

    assert answer.status_code == 403


# The settings -----------------------------------------------------------------------------------


def host(**given: str) -> Host | None:
    names = {f"OVERTURE_{name}".upper(): each for name, each in given.items()}
    return host_of(read({}, names))


def test_a_host_is_named_by_its_settings(tmp_path: Any):
    assert host() is None
    assert host(handover_issuer=ISSUER, handover_secret=f"{SECRET.replace(' ', '-')}") == Host(
        ISSUER, (SECRET.replace(" ", "-"),)
    )
    file = tmp_path / "keys.json"
    key = RSAKey.generate_key(2048, {"kid": "one"})
    file.write_text(f'{{"keys": [{_json(key.as_dict(private=False))}]}}')
    found = host(handover_issuer=ISSUER, handover_keys=str(file), handover_creates="true")
    assert found is not None
    assert found.creates
    assert '"kid":"one"' in (found.keys or "")


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


@pytest.mark.parametrize(
    ("key", "said"),
    [
        (lambda: RSAKey.generate_key(2048).as_pem(private=True), "holds a secret"),
        (lambda: OKPKey.generate_key("Ed25519").as_pem(private=True), "holds a secret"),
        (lambda: _json(OctKey.generate_key(256).as_dict()).encode(), "holds a secret"),
        (lambda: b"no key", "holds no key"),
        (lambda: b'{"keys": 1}', "holds no key"),
        (lambda: b"", "holds no key"),
    ],
    ids=range(6),
)
def test_a_file_of_other_keys_is_refused_with_a_sentence(tmp_path: Any, key: Any, said: str):
    file = tmp_path / "host.pem"
    file.write_bytes(key())

    with pytest.raises(SettingProblem, match=said):
        host(handover_issuer=ISSUER, handover_keys=str(file))


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"handover_issuer": ISSUER}, "needs what the host site signs with"),
        ({"handover_secret": "x" * 32}, "--handover-issuer is missing"),
        ({"handover_creates": "true"}, "--handover-issuer is missing"),
        ({"handover_issuer": ISSUER, "handover_secret": "too short"}, "could be guessed"),
        ({"embed_origins": "http://www.example.org"}, "is no|has one that is not https"),
        ({"embed_origins": "*"}, "is no list of origins"),
        ({"embed_origins": "https://*.example.org"}, "is no list of origins"),
        ({"embed_origins": "https://example.org/path"}, "is no list of origins"),
        ({"embed_origins": "https://a;script-src *"}, "is no list of origins"),
        ({"embed_origins": "null"}, "is no list of origins"),
    ],
    ids=range(10),
)
def test_what_would_let_too_many_in_is_refused_with_a_sentence(given: dict[str, str], said: str):
    with pytest.raises(SettingProblem, match=said):
        host(**given)


def test_origins_are_as_browsers_write_them():
    told = "https://WWW.Example.org:443/ http://localhost:8001, https://a.example:8443"

    assert read({"embed_origins": told}, {}).embed_origins == [
        "https://www.example.org",
        "http://localhost:8001",
        "https://a.example:8443",
    ]
