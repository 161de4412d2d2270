"""All that is stored about a member, for their own copy of it: rows as JSON objects by column name."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, LiteralString

import msgspec

from overture.core.ids import ConversationId, FileId, MemberId
from overture.store.db import Tx, all_rows
from overture.store.inbox import decode_files, decode_participants

Row = dict[str, Any]
_AT_ONCE = 200


@dataclass(frozen=True, slots=True)
class Own:
    """What has no operation of its own that would list it whole."""

    profile: Row
    preferences: Row
    connections: list[Row]
    invitations: list[Row]
    blocks: list[Row]
    wishes: list[Row]
    reports: list[Row]
    decisions: list[Row]
    complaints: list[Row]
    drafts: list[Row]
    tokens: list[Row]
    accounts: list[Row]
    sessions: list[Row]
    browsers: list[Row]
    links: list[Row]
    failing_addresses: list[Row]
    security: list[Row]
    passkeys: list[Row]
    contracts: list[Row]
    identities: list[Row]


async def own(tx: Tx, member: MemberId) -> Own:
    of = {"member": member}
    (profile,) = await _rows(tx, _PROFILE, of)
    archives = [row["profile_key"] for row in await _rows(tx, _ARCHIVES, of)]
    (preferences,) = await _rows(tx, _PREFERENCES, of)
    return Own(
        profile=profile | {"known_to_archives_as": archives},
        preferences=preferences,
        connections=await _rows(tx, _CONNECTIONS, of),
        invitations=await _rows(tx, _INVITATIONS, of),
        blocks=await _rows(tx, _BLOCKS, of),
        wishes=await _rows(tx, _WISHES, of),
        reports=await _rows(tx, _REPORTS, of),
        decisions=await _rows(tx, _DECISIONS, of),
        complaints=await _rows(tx, _COMPLAINTS, of),
        drafts=await _rows(tx, _DRAFTS, of),
        tokens=await _rows(tx, _TOKENS, of),
        accounts=await _rows(tx, _ACCOUNTS, of),
        sessions=await _rows(tx, _SESSIONS, of),
        browsers=await _rows(tx, _BROWSERS, of),
        links=await _rows(tx, _LINKS, of),
        failing_addresses=await _rows(tx, _FAILING_ADDRESSES, of),
        security=[
            row | {"detail": _told(row["action"], msgspec.json.decode(row["detail"]))}
            for row in await _rows(tx, _SECURITY, of)
        ],
        passkeys=await _rows(tx, _PASSKEYS, of),
        contracts=[
            row | {"prices": msgspec.json.decode(row["prices"])}
            for row in await _rows(tx, _CONTRACTS, of)
        ],
        identities=await _rows(tx, _IDENTITIES, of),
    )


async def conversations(tx: Tx, member: MemberId, after: ConversationId | None) -> list[Row]:
    """Some of the member's conversations, each with the messages that the member may see.

    In the order of their ids, which begin after `after`; none where there are no more.
    """
    params = {"member": member, "after": after or _LEAST_ID, "limit": _AT_ONCE}
    found = await _rows(tx, _CONVERSATIONS, params)
    if not found:
        return []
    by_id: dict[str, list[Row]] = {row["id"]: row.setdefault("messages", []) for row in found}
    for row in found:
        if row["participants"] is not None:
            row["participants"] = decode_participants(row["participants"])
    params = {"member": member, "after": after or _LEAST_ID, "last": found[-1]["id"]}
    for conversation, *columns in await all_rows(tx, _MESSAGES, params):
        message: Row = dict(zip(_MESSAGE_NAMES, columns, strict=True))
        message["files"] = [] if message["files"] is None else decode_files(message["files"])
        by_id[conversation].append(message)
    return found


async def content(
    tx: Tx, member: MemberId, conversation_id: ConversationId, file_id: FileId
) -> bytes:
    """What is in a file of one of the member's conversations."""
    cursor = await tx.execute(_CONTENT, (member, conversation_id, file_id), binary=True)
    row = await cursor.fetchone()
    assert row is not None, "a file that a message names is there, at one moment of the database"
    return row[0]


def _told(action: str, detail: Row) -> Row:
    """Why an operator looked at an address may tell of somebody else; that one did is the member's."""
    if action == "address.shown":
        return {name: value for name, value in detail.items() if name != "reason"}
    return detail


async def _rows(tx: Tx, statement: LiteralString, params: Mapping[str, object]) -> list[Row]:
    cursor = await tx.execute(statement, params)
    rows = await cursor.fetchall()
    names = [column.name for column in cursor.description or ()]
    return [dict(zip(names, row, strict=True)) for row in rows]


_LEAST_ID = "00000000-0000-0000-0000-000000000000"
_PROFILE = """
    select id, handle, name, headline, company, location, about, time_zone, email, external_id,
        created_at
    from members
    where id = %(member)s
"""
_PREFERENCES = """
    select accept_inmail, open_profile, receipts_and_typing, email_notifications, daily_digest,
        silent_kinds, time_zone, language, theme, shortcuts
    from members
    where id = %(member)s
"""
_ARCHIVES = "select profile_key from imported_profiles where member_id = %(member)s order by 1"
_CONTRACTS = """
    select s.id, s.customer_id, s.standing, s.prices, s.ends_at, s.grace_until, s.told_at
    from payment_customers c
    join payment_contracts s on s.customer_id = c.id
    where c.member_id = %(member)s
    order by s.id
"""
_CONNECTIONS = """
    select k.member_id, m.handle, m.name, k.since
    from connections k
    join members m on m.id = k.member_id
    where k.owner_id = %(member)s
    order by k.since, k.member_id
"""
_INVITATIONS = """
    select v.id, v.outgoing, v.other_id as member_id, m.handle, m.name, v.note, v.state, v.sent_at,
        v.answered_at
    from invitations v
    join members m on m.id = v.other_id
    where v.owner_id = %(member)s
    order by v.sent_at, v.id
"""
_BLOCKS = """
    select b.blocked_id as member_id, m.handle, m.name, b.at
    from blocks b
    join members m on m.id = b.blocked_id
    where b.owner_id = %(member)s
    order by b.at, b.blocked_id
"""
_WISHES = """
    select pool, at, wish, plan
    from subscription_wishes
    where owner_id = %(member)s
    order by at, pool, number
"""
_REPORTS = """
    select id, member_id, conversation_id, reason, note, at, decided_at, answer
    from reports
    where owner_id = %(member)s
    order by at, id
"""
_DECISIONS = """
    select d.id, d.measure, d.ground, d.statement, d.report_id is not null as reported, d.at
    from decisions d
    where d.owner_id = %(member)s
    order by d.at, d.id
"""
_COMPLAINTS = """
    select id, about, about_id, text, at, answered_at, outcome, answer
    from complaints
    where owner_id = %(member)s
    order by at, id
"""
_DRAFTS = """
    select d.kind, case when d.kind = 'letter' then d.place_id end as to_id, m.handle as to_handle,
        m.name as to_name, case when d.kind = 'reply' then d.place_id end as conversation_id,
        d.subject, d.body, d.pool, d.saved_at
    from drafts d
    left join members m on d.kind = 'letter' and m.id = d.place_id
    where d.owner_id = %(member)s
    order by d.saved_at, d.place_id
"""
_TOKENS = """
    select id, label, scopes, created_at, expires_at, revoked_at
    from tokens
    where member_id = %(member)s
    order by created_at, id
"""
_ACCOUNTS = """
    select a.email, a.verified_at, a.password_at as password_set_at, a.two_steps_at as two_steps_since,
        a.operator_at as operator_since,
        (select c.added_at from code_apps c where c.member_id = a.member_id) as code_app_since,
        (select count(*) from recovery_codes r where r.member_id = a.member_id) as recovery_codes_left
    from accounts a
    where a.member_id = %(member)s
"""
_BROWSERS = "select seen_at from devices where member_id = %(member)s order by seen_at"
_LINKS = """
    select purpose, email, expires_at
    from account_links
    where member_id = %(member)s
    order by expires_at
"""
_FAILING_ADDRESSES = """
    select address, failed_at, why
    from failing_addresses
    where member_id = %(member)s
"""
_SECURITY = """
    select at, action, detail
    from audit
    where member_id = %(member)s
    order by number
"""
_SESSIONS = """
    select id, created_at, seen_at, proved_at, factor_at, console_at, console_seen_at, expires_at,
        client, agent, by_identity, frame, push_endpoint
    from sessions
    where member_id = %(member)s
    order by created_at, id
"""
_PASSKEYS = """
    select id, name, added_at, used_at
    from passkeys
    where member_id = %(member)s
    order by added_at, id
"""
_IDENTITIES = """
    select issuer, subject, linked_at, used_at
    from identities
    where member_id = %(member)s
"""
_CONVERSATIONS = """
    select i.conversation_id as id, i.kind, i.state, i.subject, i.begun as begun_by_me,
        i.counterpart_id as with_id, i.counterpart_handle as with_handle,
        i.counterpart_name as with_name, i.participants, i.box, i.focused, i.starred, i.muted,
        i.snoozed_until, i.unread, i.marked_unread, i.read_number, i.read_at, i.told_number,
        i.pending_since, i.reminded_at, c.started_at, i.last_activity_at, c.channel, c.response,
        c.responded_at, c.withdrawn_at, i.credits, case when i.begun then c.pool end as pool,
        case when i.begun then c.refundable_until end as refundable_until, i.expires_refund_at,
        i.refund
    from inbox i
    join conversations c on c.owner_id = i.home_id and c.id = i.conversation_id
    where i.owner_id = %(member)s and i.conversation_id > %(after)s
    order by i.conversation_id
    limit %(limit)s
"""
# Of a withdrawn InMail its recipient sees only that it was withdrawn.
_MESSAGE_NAMES = (
    "id",
    "number",
    "sender_id",
    "sent_at",
    "body",
    "quick_reply",
    "edited_at",
    "deleted_at",
    "files",
)
_MESSAGES = """
    select m.conversation_id, m.id, m.number, m.sender_id, m.sent_at, m.body, m.quick_reply,
        m.edited_at, m.deleted_at, m.files
    from inbox i
    join messages m on m.owner_id = i.home_id and m.conversation_id = i.conversation_id
    where i.owner_id = %(member)s and i.conversation_id > %(after)s
        and i.conversation_id <= %(last)s and (i.begun or i.state <> 'withdrawn')
    order by m.conversation_id, m.number
"""
_CONTENT = """
    select f.content
    from inbox i
    join files f on f.owner_id = i.home_id and f.conversation_id = i.conversation_id
    where i.owner_id = %s and i.conversation_id = %s and f.id = %s
"""
