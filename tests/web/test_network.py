"""One's network: who is connected, who would be, and whom one has blocked."""

from __future__ import annotations

import re

import httpx
import pytest

from overture import ids
from overture.actions import closing, members, network
from overture.core.ids import InvitationId, MemberId
from overture.live.told import NetworkTold
from overture.store.accounts import Viewer
from overture.web import network as web
from overture.words import words_of
from tests.web.conftest import Browser, Place, text_of


def me(browser: Browser) -> MemberId:
    assert browser.id is not None
    return browser.id


async def invites(place: Place, inviter: MemberId, invitee: MemberId, note: str = "") -> str:
    invitation = InvitationId(ids.new())
    await place.town.do(
        lambda tx: network.invite(
            tx, inviter, invitee, note=note, invitation_id=invitation, now=place.town.now
        )
    )
    return str(invitation)


async def connects(place: Place, one: MemberId, other: MemberId) -> None:
    await place.town.do(lambda tx: network.upsert_pairs(tx, [(one, other)], place.town.now))


def row(answer: httpx.Response, name: str) -> str:
    """The text of the row of this name; empty where there is none."""
    rows = re.findall(r"<li .*?</li>", answer.text, re.DOTALL)
    return next(
        (" ".join(re.sub("<[^>]+>", " ", each).split()) for each in rows if name in each), ""
    )


async def test_a_network_begins_empty_and_says_what_to_do(place: Place) -> None:
    ada = await place.member("ada")

    assert 'href="/members"' in (await ada.get("/network")).text
    assert "Nobody yet" in text_of(await ada.get("/network"))
    assert "No invitation waits for you" in text_of(await ada.get("/network/received"))
    assert "None of your invitations waits" in text_of(await ada.get("/network/sent"))
    assert "You have blocked nobody" in text_of(await ada.get("/network/blocked"))


async def test_connections_are_listed_the_last_made_first(place: Place) -> None:
    ada = await place.member("ada")
    for handle in ("grace", "alan"):
        await connects(place, me(ada), await place.town.member(handle))
        place.town.pass_by(days=1)

    answer = await ada.get("/network")

    assert re.findall(r'href="/in/(\w+)" data-live>', answer.text)[:2] == ["alan", "grace"]
    assert "Connected since 1 Feb 2025" in row(answer, "Alan")
    assert 'href="/in/alan/disconnect"' in answer.text
    assert 'href="/compose?to=alan"' in answer.text


async def test_one_looks_among_ones_connections_as_one_types(place: Place) -> None:
    ada = await place.member("ada")
    for handle in ("grace", "alan"):
        await connects(place, me(ada), await place.town.member(handle))
    await place.town.member("grazia")

    answer = await ada.get("/network?q=GRA", live="suggest")

    assert answer.text.startswith('<template data-at="#found">')
    assert "Grace" in answer.text
    assert "Alan" not in answer.text
    assert "Grazia" not in answer.text
    assert "Alan" not in text_of(await ada.get("/network?q=100%25"))
    nobody = await ada.get("/network?q=zz")
    assert "None of your connections is called so." in text_of(nobody)
    assert 'href="/members?q=zz"' in nobody.text
    assert (await ada.get("/network", params={"q": "a" * 300})).status_code == 422


async def test_long_lists_go_on_where_they_ended(place: Place) -> None:
    ada = await place.member("ada")
    for number in range(23):
        await connects(place, me(ada), await place.town.member(f"person-{number}"))

    first = await ada.get("/network?q=person")
    url = re.search(r'data-more="([^"]+)"', first.text)
    assert url
    rest = await ada.get(url[1].replace("&amp;", "&"), live="more")

    seen = [re.findall(r'id="connection-([^"]+)"', answer.text) for answer in (first, rest)]
    assert [len(each) for each in seen] == [20, 3]
    assert not set(seen[0]) & set(seen[1])
    assert "data-more" not in rest.text


async def test_an_invitation_stands_on_top_until_it_is_accepted(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.town.member("grace")
    invitation = await invites(place, grace, me(ada), "We met <there>.")

    for path in ("/network", "/network/received"):
        assert "We met &lt;there&gt;." in row(await ada.get(path), "Grace")
    assert 'aria-label="1 invitation"' in (await ada.get("/premium")).text

    answer = await ada.post(f"/network/{invitation}/accept", live="1")
    assert f'data-at="#invitation-{invitation}" data-how="replace"' in answer.text
    assert "You and Grace are connected." in answer.text
    assert 'href="/compose?to=grace"' in answer.text
    page = await ada.get("/network")
    assert "Connected since" in row(page, "Grace")
    assert 'aria-label="1 invitation"' not in page.text


async def test_without_a_script_the_page_comes_anew_and_says_what_happened(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.town.member("grace")
    invitation = await invites(place, grace, me(ada))

    answer = await ada.follow(await ada.post(f"/network/{invitation}/decline"))

    assert "You have declined the invitation of Grace." in text_of(answer)
    assert row(answer, "Grace") == ""
    # Once more changes nothing; what is not there for one is absent.
    assert (await ada.post(f"/network/{invitation}/decline")).status_code == 303
    assert (await ada.post(f"/network/{invitation}/accept")).status_code == 404
    assert (await ada.post(f"/network/{ids.new()}/accept")).status_code == 404


async def test_an_own_invitation_is_withdrawn(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    await invites(place, me(ada), me(grace), "Hello")

    assert "Hello" in row(await ada.get("/network/sent"), "Grace")
    answer = await ada.post(f"/network/{grace.id}/withdraw", live="1")

    assert "Your invitation is withdrawn." in answer.text
    assert row(await ada.get("/network/sent"), "Grace") == ""
    assert row(await grace.get("/network"), "Ada") == ""


async def test_whom_one_has_blocked_can_be_unblocked_also_once_they_left(place: Place) -> None:
    ada = await place.member("ada")
    grace, alan = await place.town.member("grace"), await place.town.member("alan")
    for other in (grace, alan):
        await place.town.do(
            lambda tx, other=other: network.block(tx, me(ada), other, place.town.now)
        )
    await place.town.do(lambda tx: closing.close(tx, alan, place.town.now, place.town.book))

    listed = await ada.get("/network/blocked")
    assert "Blocked on 31 Jan 2025" in row(listed, "Grace")
    assert "Unblock" in row(listed, "A closed account")
    for other in (grace, alan):
        answer = await ada.post(f"/network/{other}/unblock", live="1")
        assert "You no longer block them." in answer.text
    assert "You have blocked nobody" in text_of(await ada.get("/network/blocked"))


async def test_an_invitation_from_someone_blocked_is_never_seen(place: Place) -> None:
    ada, grace = await place.member("ada"), await place.member("grace")
    await place.town.do(lambda tx: network.block(tx, me(ada), me(grace), place.town.now))
    await invites(place, me(grace), me(ada))

    assert row(await ada.get("/network"), "Grace") == ""
    assert row(await ada.get("/network/received"), "Grace") == ""
    # It waits, like one that nobody answers.
    assert "Withdraw" in row(await grace.get("/network/sent"), "Ada")


@pytest.mark.parametrize("path", ["/network", "/network/sent", "/network/blocked"])
async def test_a_network_is_ones_own(place: Place, path: str) -> None:
    assert (await place.browser().get(path)).headers["location"].startswith("/login?next=")


# As it happens ----------------------------------------------------------------------------------


async def told(place: Place, member: MemberId, other: MemberId) -> str:
    """What a member's open pages are sent when something is new between them and another one."""

    async def look(tx: object) -> Viewer:
        found = await members.profile(tx, member, member, place.town.now)  # pyright: ignore[reportArgumentType]
        assert found is not None
        return Viewer(member, found.handle, found.name, "", None, False, None, "UTC", "")

    viewer = await place.town.look(look)
    return await web.patches_for(place.site, viewer, words_of("en", "UTC"), NetworkTold(other))


async def test_an_invitation_appears_where_it_is_looked_for_and_goes_when_it_is_taken_back(
    place: Place,
) -> None:
    ada, grace = await place.town.member("ada"), await place.town.member("grace")
    invitation = await invites(place, grace, ada, "Hello")

    patches = await told(place, ada, grace)
    assert 'aria-label="1 invitation"' in patches
    assert f"#received:not(:has(#invitation-{invitation})) > ul" in patches
    assert f'data-at="#with-{grace}" data-how="replace"' in patches
    assert "Grace invites you to connect." in patches

    await place.town.do(lambda tx: network.disconnect(tx, grace, ada, place.town.now))
    patches = await told(place, ada, grace)
    assert 'aria-label="1 invitation"' not in patches
    assert f"#received li[data-from='{grace}']" in patches
    assert "invites you" not in patches


async def test_an_open_profile_follows_a_connection(place: Place) -> None:
    ada, grace = await place.town.member("ada"), await place.town.member("grace")
    await connects(place, ada, grace)

    patches = await told(place, ada, grace)

    assert f'data-at="#door-{grace}" data-how="replace"' in patches
    assert "Free: you are connected" in patches


async def test_someone_who_left_leaves_the_numbers_right(place: Place) -> None:
    ada, grace = await place.town.member("ada"), await place.town.member("grace")
    await connects(place, ada, grace)
    await place.town.do(lambda tx: closing.close(tx, grace, place.town.now, place.town.book))

    patches = await told(place, ada, grace)

    assert '<template data-at="#count-connections"></template>' in patches.replace("\n", "")
    assert "#with-" not in patches
