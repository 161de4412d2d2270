"""Closing an account in SQL: what ends with it, what is erased, and what stays without a name."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

import msgspec

from overture.core.ids import ConversationId, MemberId
from overture.store.db import Tx, all_rows, as_json, one_row, pipelined
from overture.store.idempotency import OPERATOR
from overture.store.inbox import Participant, decode_participants
from overture.store.payments import FORGET_OVER


@dataclass(frozen=True, slots=True)
class Pending:
    """A pending InMail of the one who leaves; `begun` by them, or received."""

    conversation_id: ConversationId
    begun: bool


async def lock(tx: Tx, member: MemberId) -> bool | None:
    """Whether the account is open; None where there is none. Sends to and from it wait from now on."""
    row = await one_row(tx, _LOCK, (member,))
    return None if row is None else bool(row[0])


async def drop_due(tx: Tx, member: MemberId) -> None:
    """Nothing is done for the member any more. Whoever is doing something now is waited for.

    To be called before any other row is locked: work locks what it is about after its job.
    """
    await tx.execute(_DROP_DUE, (member,))


async def pending(tx: Tx, member: MemberId) -> list[Pending]:
    """What waits for an answer, in the order of those on the other side."""
    return [Pending(*row) for row in await all_rows(tx, _PENDING, (member,))]


async def addresses(tx: Tx, member: MemberId) -> list[str]:
    """Where mails to the member may have gone."""
    return [row[0] for row in await all_rows(tx, _ADDRESSES, {"member": member})]


async def erase(tx: Tx, member: MemberId, now: datetime) -> None:
    """Ends the member's relations and erases their personal data. The ledger stays.

    What they wrote stays readable for the other side, without a name. What nobody else sees goes;
    of an InMail that was charged, the bare fact remains, so that the ledger has what it tells of.
    To be called once nothing of theirs is pending any more.
    """
    await _blank_in_groups(tx, member)
    await _blank_in_kept_answers(tx, member)
    of = {"member": member, "now": now}
    await pipelined(tx, [(statement, of) for statement in _ERASURE])


async def _blank_in_groups(tx: Tx, member: MemberId) -> None:
    """Imported groups name their participants, at home and in each participant's own row."""
    one_of_them = as_json([{"id": member}])
    found = await all_rows(tx, _GROUPS, (one_of_them,))
    if not found:
        return
    groups: list[dict[str, object]] = []
    rows: list[dict[str, object]] = []
    for home, group, stored in found:
        participants = [_blank(each, member) for each in decode_participants(stored)]
        change: dict[str, object] = {"id": group, "participants": participants}
        groups.append(change | {"owner_id": home})
        owners = {home, *(each.id for each in participants if each.id is not None)}
        rows += [change | {"owner_id": owner} for owner in sorted(owners)]
    await pipelined(
        tx, ((_UPDATE_GROUPS, (as_json(groups),)), (_UPDATE_GROUP_ROWS, (as_json(rows),)))
    )


def _blank(participant: Participant, member: MemberId) -> Participant:
    return Participant("", member, "") if participant.id == member else participant


async def _blank_in_kept_answers(tx: Tx, member: MemberId) -> None:
    """Answers that are kept for repeats name whom their request was about."""
    found = await all_rows(tx, _KEPT, {"member": member, "operator": OPERATOR})
    rows = [
        {
            "owner_id": owner,
            "route": route,
            "key": key,
            "response": msgspec.json.encode(_without_name(msgspec.json.decode(kept), member)).hex(),
        }
        for owner, route, key, kept in found
    ]
    if rows:
        await tx.execute(_UPDATE_KEPT, (as_json(rows),))


_PERSONAL = frozenset(
    {"handle", "name", "headline", "company", "location", "about", "email", "external_id", "note"}
)


def _without_name(value: Any, member: MemberId) -> Any:
    """A JSON value in which whatever is about this member says nothing but the id."""
    match value:
        case dict():
            known = cast("dict[str, Any]", value)
            about = member in known.values()
            return {
                key: "" if about and key in _PERSONAL and part else _without_name(part, member)
                for key, part in known.items()
            }
        case list():
            return [_without_name(part, member) for part in cast("list[Any]", value)]
        case _:
            return value


_LOCK = "select closed_at is null from members where id = %s for update"
# What other systems are to hear of stays: that the account was closed is a part of it.
_DROP_DUE = "delete from jobs where owner_id = %s and queue not like 'webhook:%%'"
_ADDRESSES = """
    select lower(a.email) from accounts a where a.member_id = %(member)s
    union
    select e.address from emails e where e.member_id = %(member)s
    union
    select lower(m.email) from members m where m.id = %(member)s and m.email is not null
    union
    select lower(l.email) from account_links l where l.member_id = %(member)s
"""
_PENDING = """
    select i.conversation_id, i.begun
    from inbox i
    where i.owner_id = %s and i.state = 'pending'
    order by i.counterpart_id, i.conversation_id
"""
_GROUPS = """
    select c.owner_id, c.id, c.participants
    from conversations c
    where c.participants is not null and c.participants::jsonb @> %s::jsonb
    order by c.owner_id, c.id
    for update of c
"""
_UPDATE_GROUPS = """
    update conversations c
    set participants = r.participants
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, participants json)
    where c.owner_id = r.owner_id and c.id = r.id
"""
_UPDATE_GROUP_ROWS = """
    update inbox i
    set participants = r.participants
    from json_to_recordset(%s) as r (owner_id uuid, id uuid, participants json)
    where i.owner_id = r.owner_id and i.conversation_id = r.id
"""
# Only those who had to do with the member can have been told their name in an answer.
_KEPT = """
    select k.owner_id, k.route, k.key, k.response
    from (
        select i.counterpart_id as id from inbox i where i.owner_id = %(member)s
        union
        select c.member_id from connections c where c.owner_id = %(member)s
        union
        select v.other_id from invitations v where v.owner_id = %(member)s
        union
        select %(operator)s::uuid
    ) known
    join idempotency_keys k on k.owner_id = known.id
    where position(convert_to(%(member)s::text, 'UTF8') in k.response) > 0
    order by k.owner_id, k.route, k.key
    for update of k
"""
_UPDATE_KEPT = """
    update idempotency_keys k
    set response = decode(r.response, 'hex')
    from json_to_recordset(%s) as r (owner_id uuid, route text, key text, response text)
    where k.owner_id = r.owner_id and k.route = r.route and k.key = r.key
"""

# In this order: the member's own rows say whom the others concern, so they go last.
_CLOSE_DIRECT_CONVERSATIONS = """
    update conversations c
    set state = 'closed'
    from inbox mine
    where mine.owner_id = %(member)s and mine.kind = 'direct' and mine.state = 'open'
        and c.owner_id = mine.home_id and c.id = mine.conversation_id and c.state = 'open'
"""
_BLANK_IN_LISTS = """
    update inbox i
    set counterpart_handle = '', counterpart_name = '',
        state = case when i.kind = 'direct' and i.state = 'open' then 'closed' else i.state end
    from inbox mine
    where mine.owner_id = %(member)s
        and i.owner_id = mine.counterpart_id and i.conversation_id = mine.conversation_id
"""
_BLANK_IN_UNSHARED = """
    update inbox i
    set counterpart_handle = '', counterpart_name = ''
    from conversations c
    where c.recipient_id = %(member)s and not c.shared
        and i.owner_id = c.owner_id and i.conversation_id = c.id
"""
_END_CONNECTIONS = """
    delete from connections k
    using connections mine
    where mine.owner_id = %(member)s
        and k.owner_id = mine.member_id and k.member_id = mine.owner_id
"""
_END_INVITATIONS = """
    delete from invitations v
    using invitations mine
    where mine.owner_id = %(member)s and v.owner_id = mine.other_id and v.id = mine.id
"""
# Whom the member has blocked may have invited them without their having seen it.
_END_UNSEEN_INVITATIONS = """
    delete from invitations v
    using blocks mine
    where mine.owner_id = %(member)s
        and v.owner_id = mine.blocked_id and v.other_id = mine.owner_id
"""
# Nobody may read a withdrawn InMail once its sender has left.
_DELETE_WITHDRAWN_MESSAGES = """
    delete from messages m
    using inbox mine
    where mine.owner_id = %(member)s and mine.begun and mine.state = 'withdrawn'
        and m.owner_id = mine.home_id and m.conversation_id = mine.conversation_id
"""
_BLANK_WITHDRAWN = """
    update conversations c
    set subject = ''
    where c.owner_id = %(member)s and c.state = 'withdrawn' and c.subject <> ''
"""
# A file says whose it is by itself, so those that the member sent go from everybody's sight. Every
# conversation that they wrote in is among their own rows.
_ERASE_FILES = """
    with gone as (
        delete from files f
        using inbox mine
        where mine.owner_id = %(member)s and f.owner_id = mine.home_id
            and f.conversation_id = mine.conversation_id and f.sender_id = %(member)s
        returning f.owner_id, f.conversation_id, f.number
    )
    update messages m
    set files = null
    from (select distinct owner_id, conversation_id, number from gone) g
    where m.owner_id = g.owner_id and m.conversation_id = g.conversation_id
        and m.number = g.number
"""
# Imported for this member alone, or the other side has left before.
_DELETE_WHAT_NOBODY_ELSE_SEES = """
    with alone as materialized (
        select mine.home_id, mine.conversation_id
        from inbox mine
        where mine.owner_id = %(member)s
            and not exists (
                select from inbox i
                where i.owner_id = mine.counterpart_id
                    and i.conversation_id = mine.conversation_id
            )
            and not exists (
                select from inbox i
                where i.owner_id = mine.home_id and i.conversation_id = mine.conversation_id
                    and mine.home_id <> mine.owner_id
            )
            and not exists (
                select from json_array_elements(coalesce(mine.participants, '[]')) p
                join inbox i on i.owner_id = (p ->> 'id')::uuid
                    and i.conversation_id = mine.conversation_id
                where i.owner_id <> mine.owner_id
            )
    ),
    deleted_messages as (
        delete from messages m
        using alone
        where m.owner_id = alone.home_id and m.conversation_id = alone.conversation_id
    ),
    kept_for_the_ledger as (
        update conversations c
        set subject = ''
        from alone
        where c.owner_id = alone.home_id and c.id = alone.conversation_id
            and c.refundable_until <> '{}'
    )
    delete from conversations c
    using alone
    where c.owner_id = alone.home_id and c.id = alone.conversation_id
        and c.refundable_until = '{}'
"""
_FREE_HANDLE = """
    delete from handles h
    using members m
    where m.id = %(member)s and h.handle = m.handle and h.member_id = m.id
"""
_FREE_EXTERNAL_ID = """
    delete from external_ids e
    using members m
    where m.id = %(member)s and e.external_id = m.external_id and e.member_id = m.id
"""
# Some mails go to an address of which nobody knew whose it is when they were wanted.
_DROP_MAILS = f"""
    delete from mails w
    where w.member_id = %(member)s or w.member_id is null and lower(w.address) in ({_ADDRESSES})
"""
# Tokens live by the real clock.
_REVOKE_TOKENS = """
    update tokens
    set revoked_at = coalesce(revoked_at, now()), label = ''
    where member_id = %(member)s
"""
_CLOSE = """
    update members
    set closed_at = %(now)s, premium_until = null, handle = '', name = '', headline = '',
        company = '', location = '', time_zone = 'UTC', email = null, external_id = null,
        search_text = '', about = '', photo = null, language = null, theme = null, shortcuts = true,
        silent_kinds = '{}', daily_digest = false
    where id = %(member)s
"""
_ERASURE: Sequence[Any] = (
    _CLOSE_DIRECT_CONVERSATIONS,
    _BLANK_IN_LISTS,
    _BLANK_IN_UNSHARED,
    _END_CONNECTIONS,
    "delete from connections where owner_id = %(member)s",
    _END_INVITATIONS,
    _END_UNSEEN_INVITATIONS,
    "delete from invitations where owner_id = %(member)s",
    "delete from blocks where owner_id = %(member)s",
    """
    update reports
    set note = '', answer = '', snapshot = null
    where owner_id = %(member)s
    """,
    "update reports set snapshot = null where member_id = %(member)s",
    "delete from letter_sketches where owner_id = %(member)s",
    "delete from suspicions where owner_id = %(member)s",
    "update decisions set statement = '' where owner_id = %(member)s",
    "update complaints set text = '', answer = '' where owner_id = %(member)s",
    _DELETE_WITHDRAWN_MESSAGES,
    _BLANK_WITHDRAWN,
    _ERASE_FILES,
    "delete from presence where member_id = %(member)s",
    "delete from file_space where owner_id = %(member)s",
    _DELETE_WHAT_NOBODY_ELSE_SEES,
    "delete from inbox where owner_id = %(member)s",
    "delete from drafts where owner_id = %(member)s",
    "delete from told_by_mail where owner_id = %(member)s",
    "delete from digest_items where owner_id = %(member)s",
    "delete from open_profile_sends where owner_id = %(member)s",
    "delete from idempotency_keys where owner_id = %(member)s",
    _REVOKE_TOKENS,
    _DROP_MAILS,
    "delete from accounts where member_id = %(member)s",
    "delete from emails where member_id = %(member)s",
    "delete from sessions where member_id = %(member)s",
    "delete from devices where member_id = %(member)s",
    "delete from account_links where member_id = %(member)s",
    "delete from ceremonies where member_id = %(member)s",
    "delete from identities where member_id = %(member)s",
    "delete from passkeys where member_id = %(member)s",
    "delete from code_apps where member_id = %(member)s",
    "delete from recovery_codes where member_id = %(member)s",
    "delete from failing_addresses where member_id = %(member)s",
    # What still runs is kept until the provider has ended it: somebody pays for it.
    *FORGET_OVER,
    "delete from payment_pools where owner_id = %(member)s",
    _FREE_HANDLE,
    _FREE_EXTERNAL_ID,
    "delete from photos where owner_id = %(member)s",
    "delete from imported_profiles where member_id = %(member)s",
    _CLOSE,
)
