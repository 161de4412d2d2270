"""What is stored about members: the reviewed table of docs/privacy.md, and a life that fills it.

In whatever is zoe's own stands a word that names the column, so that a test can tell where it went. In
what she wrote to others stands another word, which the others keep.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from io import BytesIO
from pathlib import Path
from typing import Any

import psycopg
from PIL import Image
from psycopg import sql
from psycopg.types.json import Json

from overture import ids
from overture.actions import files, members, network
from overture.actions.files import Upload
from overture.core.ids import ConversationId, FileId, InvitationId, MemberId, MessageId
from overture.core.refusals import Refusal
from overture.core.sending import Done, Start, Withdraw, Write
from overture.store import mails
from tests.cast import Town

PRIVACY = Path(__file__).parents[2] / "docs" / "privacy.md"
Column = tuple[str, str]

# In what is to be gone, and in what the other side keeps.
OWN = "zyzzyva"
KEPT = "quokka"
PLAN = {"premium": "premium_business"}
NOBODY = "00000000-0000-0000-0000-000000000000"


@dataclass(frozen=True)
class Decided:
    """What the reviewed table says of a column."""

    erasure: str
    export: str

    @property
    def is_erased(self) -> bool:
        return self.erasure == "erased"

    @property
    def file(self) -> str | None:
        """Where the export has it; None where it is left out, for a reason."""
        return self.export if re.fullmatch(r"[a-z]+(\.json|\.webp|/)", self.export) else None


def decisions() -> dict[Column, Decided]:
    decided: dict[Column, Decided] = {}
    for line in PRIVACY.read_text().splitlines():
        row = re.fullmatch(r"\| `(\w+)` \| ((?:`\w+` ?)+) \| (.+?) \| (.+?) \|", line)
        if row is None:
            continue
        for column in re.findall(r"`(\w+)`", row[2]):
            key = (row[1], column)
            assert key not in decided, f"{key} stands twice in docs/privacy.md"
            decided[key] = Decided(row[3], row[4].strip("`"))
    return decided


def columns(url: str) -> dict[Column, str]:
    """Every column of every table, with its type."""
    statement = """
        select c.relname, a.attname, format_type(a.atttypid, a.atttypmod)
        from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        join pg_attribute a on a.attrelid = c.oid
        where n.nspname !~ '^pg_' and n.nspname <> 'information_schema'
            and c.relkind in ('r', 'p', 'm', 'f') and a.attnum > 0 and not a.attisdropped
        order by c.relname, a.attnum
    """
    with psycopg.connect(url) as connection:
        return {(table, column): kind for table, column, kind in connection.execute(statement)}


def dump(url: str) -> dict[Column, str]:
    """All that the database holds, by column, as text; bytes as far as they are letters."""
    found: dict[Column, str] = {}
    with psycopg.connect(url) as connection:
        for (table, column), kind in columns(url).items():
            name = sql.Identifier(column)
            shown = sql.SQL("encode({}, 'escape')" if kind == "bytea" else "{}::text").format(name)
            query = sql.SQL("select {} from {}").format(shown, sql.Identifier(table))
            values = [value for (value,) in connection.execute(query) if value is not None]
            found[table, column] = "\n".join(values).lower()
    return found


DECIDED = decisions()


@dataclass
class Life:
    """zoe's, and those of the people she knows. `planted` is what stands in columns that were filled
    by name, as `str` or as the database has it."""

    town: Town
    url: str
    zoe: MemberId
    others: dict[str, MemberId]
    planted: dict[Column, Any] = field(default_factory=dict)
    columns: dict[Column, str] = field(init=False)
    _count: int = 0

    def __post_init__(self) -> None:
        self.columns = columns(self.url)

    def plant(self, table: str, *, its_own: bool = True, **fixed: object) -> None:
        """A row in which every column that is not `fixed` says its own name, or is like no other."""
        values: dict[str, object] = {}
        for (name, column), kind in self.columns.items():
            if name != table:
                continue
            if column in fixed:
                values[column] = fixed[column]
                continue
            goes = its_own and DECIDED[table, column].erasure in ("erased", "blanked")
            word = f"{OWN if goes else 'other'}-{table}-{column}"
            if (made := self._value(word, kind)) is not None:
                values[column] = made
                if its_own:
                    self.planted[table, column] = made
        with psycopg.connect(self.url) as connection:
            connection.execute(
                sql.SQL("insert into {} ({}) overriding system value values ({})").format(
                    sql.Identifier(table),
                    sql.SQL(", ").join(map(sql.Identifier, values)),
                    sql.SQL(", ").join(sql.Placeholder() * len(values)),
                ),
                list(values.values()),
            )

    def _value(self, word: str, kind: str) -> object:
        self._count += 1
        match kind:
            case "text":
                return word
            case "json":
                return Json({"word": word})
            case "text[]":
                return [word]
            case "bytea":
                return word.encode()
            case "timestamp with time zone":
                # To come, by every clock of the test's: nothing is over.
                return datetime(2031, 1, 1, 12, tzinfo=UTC) + timedelta(days=self._count)
            case "timestamp with time zone[]":
                return [datetime(2031, 1, 1, 12, tzinfo=UTC) + timedelta(days=self._count)]
            case "bigint" | "integer" | "smallint":
                return 7000 + self._count
            case "uuid":
                return ids.new()
            case _:
                return None


async def lived(town: Town, url: str) -> Life:
    """A member who left traces wherever one can, in the words of this module."""
    others = {
        name: await town.member(name, **PLAN) for name in ("ada", "grace", "alan", "eve", "bob")
    }
    zoe = MemberId(ids.new())
    new = members.NewMember(
        zoe,
        f"{OWN}-members-handle",
        f"{OWN}-members-name",
        headline=f"{OWN}-members-headline",
        company=f"{OWN}-members-company",
        location=f"{OWN}-members-location",
        time_zone="Europe/Vaduz",
        email=f"{OWN}-members-email@example.org",
        external_id=f"{OWN}-members-external_id",
    )
    made = await town.do(lambda tx: members.create(tx, new, town.now))
    assert isinstance(made, members.Profile), made
    await town.chooses(zoe, "premium", "premium_business")
    life = Life(town, url, zoe, others)
    await _network(life)
    await _letters(life)
    await _refusals(life)
    _account(life)
    _around(life)
    return life


async def _network(life: Life) -> None:
    town, zoe, of = life.town, life.zoe, life.others
    await town.do(lambda tx: network.upsert_pairs(tx, [(zoe, of["ada"])], town.now))
    for inviter, invitee in ((zoe, of["grace"]), (of["alan"], zoe)):
        await town.do(
            lambda tx, inviter=inviter, invitee=invitee: network.invite(
                tx,
                inviter,
                invitee,
                note=f"{OWN}-invitations-note",
                invitation_id=InvitationId(ids.new()),
                now=town.now,
            )
        )


async def _refusals(life: Life) -> None:
    town, zoe, of = life.town, life.zoe, life.others
    await town.do(lambda tx: network.block(tx, zoe, of["bob"], town.now))
    await town.do(lambda tx: network.block(tx, of["eve"], zoe, town.now))
    life.plant("reports", owner_id=zoe, member_id=of["bob"], reason="spam", measure="none")
    life.plant(
        "reports",
        its_own=False,
        owner_id=of["eve"],
        member_id=zoe,
        reason="spam",
        note=KEPT,
        measure="warning",
        snapshot=Json({"name": f"{OWN}-reports-snapshot"}),
    )
    life.plant("decisions", owner_id=zoe, measure="warning", ground="law")
    life.plant("complaints", owner_id=zoe, about="decision", outcome="stands")
    life.plant("letter_sketches", owner_id=zoe)
    life.plant("suspicions", owner_id=zoe, kind="links")


async def _letters(life: Life) -> None:
    """Every conversation that there can be: direct, answered, pending both ways, withdrawn; and those
    that came with an archive."""
    town, zoe, of = life.town, life.zoe, life.others

    async def starts(sender: MemberId, to: MemberId, word: str) -> ConversationId:
        town.pass_by(seconds=1)
        conversation = ConversationId(ids.new())
        answer = await town.acts(
            Start(sender, to, conversation, MessageId(ids.new()), f"{word} body", f"{word} subject")
        )
        assert isinstance(answer, Done), answer
        return conversation

    direct = await starts(of["ada"], zoe, KEPT)
    sent = await files.examine(
        [
            Upload(FileId(ids.new()), f"{OWN}-files-name.txt", f"{OWN}-files-content".encode()),
            Upload(FileId(ids.new()), f"{OWN}-files-name.png", _picture()),
        ]
    )
    assert not isinstance(sent, Refusal), sent
    wrote = await town.acts(Write(zoe, direct, MessageId(ids.new()), KEPT, files=sent))
    assert isinstance(wrote, Done), wrote
    answered = await starts(zoe, of["grace"], KEPT)
    await town.accepts(of["grace"], answered)
    await starts(zoe, of["alan"], OWN)
    await starts(of["eve"], zoe, KEPT)
    withdrawn = await starts(zoe, of["bob"], OWN)
    await town.acts(Withdraw(zoe, withdrawn))
    _imported(life)


def _imported(life: Life) -> None:
    """What an archive of grace's brought in: a group, and a thread that she alone sees."""
    zoe, grace, ada, now = life.zoe, life.others["grace"], life.others["ada"], life.town.now
    group = [
        {"id": grace, "handle": "grace", "name": "Grace"},
        {"id": ada, "handle": "ada", "name": "Ada"},
        {"id": zoe, "handle": f"{OWN}-handle", "name": f"{OWN}-participants"},
    ]
    for recipient, participants in ((None, Json(group)), (zoe, None)):
        conversation = ids.new()
        common: dict[str, object] = {"kind": "direct", "state": "imported", "subject": KEPT}
        life.plant(
            "conversations",
            its_own=False,
            owner_id=grace,
            id=conversation,
            recipient_id=recipient,
            participants=participants,
            channel="message",
            shared=recipient is None,
            messages=1,
            pool=None,
            refundable_until=[],
            response=None,
            responded_at=None,
            withdrawn_at=None,
            started_at=now,
            last_activity_at=now,
            **common,
        )
        life.plant(
            "messages",
            its_own=False,
            owner_id=grace,
            conversation_id=conversation,
            number=1,
            sender_id=None,
            body=KEPT,
            quick_reply=None,
            files=None,
        )
        for owner in (grace, ada, zoe) if recipient is None else (grace,):
            life.plant(
                "inbox",
                its_own=False,
                owner_id=owner,
                conversation_id=conversation,
                home_id=grace,
                counterpart_id=recipient,
                counterpart_handle=f"{OWN}-inbox-counterpart_handle" if recipient else "",
                counterpart_name=f"{OWN}-inbox-counterpart_name" if recipient else "",
                participants=participants,
                begun=owner == grace,
                box="inbox",
                snippet=KEPT,
                unread=0,
                read_number=0,
                credits=0,
                pending_since=None,
                refund=None,
                snoozed_until=None,
                last_activity_at=now,
                **common,
            )


def _account(life: Life) -> None:
    """How zoe signs in. One has an account, an address and so on at most once."""
    zoe = life.zoe
    address = f"{OWN}-accounts-email@example.org"
    life.plant("accounts", member_id=zoe, email=address)
    life.planted["accounts", "email"] = address
    life.plant("emails", member_id=zoe, address=address)
    life.plant("sessions", member_id=zoe, by_identity=True)
    life.plant("devices", member_id=zoe)
    life.plant("account_links", member_id=zoe, purpose="email")
    life.plant("ceremonies", member_id=zoe)
    life.plant("code_apps", member_id=zoe)
    life.plant("recovery_codes", member_id=zoe)
    life.plant("passkeys", member_id=zoe)
    life.plant("identities", member_id=zoe)
    life.plant("failing_addresses", member_id=zoe)
    life.plant("mails", member_id=zoe)
    # Somebody asked for a new password for an address before anybody had it.
    life.plant("mails", its_own=False, member_id=None, address=address.title())
    life.plant(
        "jobs", its_own=False, owner_id=NOBODY, queue=mails.QUEUE, problem=None, payload=Json({})
    )
    life.plant("tokens", member_id=zoe, operator=False, scopes=["read"])


def _around(life: Life) -> None:
    zoe, ada = life.zoe, life.others["ada"]
    with psycopg.connect(life.url) as connection:
        connection.execute(
            """
            update messages
            set quick_reply = 'interested', edited_at = '2031-11-01', deleted_at = '2031-11-02'
            where sender_id = %s
            """,
            (zoe,),
        )
        connection.execute("update invitations set answered_at = '2031-11-03'")
        connection.execute(
            """
            update inbox
            set snoozed_until = '2031-12-01', reminded_at = '2031-12-02', read_at = '2031-12-03'
            where owner_id = %s and begun
            """,
            (zoe,),
        )
        connection.execute("update files set preview = %s", (f"{OWN}-files-preview".encode(),))
        connection.execute(
            """
            update members
            set about = %s, photo = %s, language = %s, theme = 'dark', silent_kinds = %s
            where id = %s
            """,
            (
                f"{OWN}-members-about",
                f"{OWN}-members-photo",
                f"{OWN}-members-language",
                [f"{OWN}-members-silent_kinds"],
                zoe,
            ),
        )
    life.plant("imported_profiles", member_id=zoe)
    life.plant("photos", owner_id=zoe, large=_picture(f"{OWN}-photos-large"))
    for place, kind in ((ids.new(), "letter"), (NOBODY, "nobody")):
        life.plant("drafts", owner_id=zoe, place_id=place, kind=kind)
    life.plant(
        "drafts", its_own=False, owner_id=ada, place_id=zoe, kind="letter", body=KEPT, subject=KEPT
    )
    life.plant("open_profile_sends", owner_id=zoe)
    life.plant("presence", member_id=zoe)
    life.plant("told_by_mail", owner_id=zoe)
    life.plant("digest_items", owner_id=zoe)
    life.plant("jobs", owner_id=zoe, queue="reminders")
    life.plant("idempotency_keys", owner_id=zoe)
    named = {"id": zoe, "handle": f"{OWN}-handle", "name": OWN, "email": OWN, "headline": OWN}
    for owner in (ada, NOBODY):
        life.plant(
            "idempotency_keys",
            its_own=False,
            owner_id=owner,
            route="POST /somewhere",
            key="key",
            fingerprint=b"fingerprint",
            response=str({"with": named}).replace("'", '"').encode(),
        )
    life.plant("payment_customers", member_id=zoe)
    customer = f"{OWN}-payment_customers-id"
    life.plant(
        "payment_contracts", customer_id=customer, standing="over", prices=Json([]), problem=None
    )
    life.plant("payment_pools", owner_id=zoe)
    life.plant(
        "audit", member_id=zoe, actor=f"member:{zoe}", action="account.signed_in", detail=Json({})
    )


def _picture(comment: str = "") -> bytes:
    made = BytesIO()
    Image.new("RGB", (64, 64), "teal").save(made, "PNG")
    return made.getvalue() + comment.encode()


# What a member is told of through rows of their own.
_THROUGH = {
    "conversations": """
        select t.*
        from inbox i
        join conversations t on t.owner_id = i.home_id and t.id = i.conversation_id
        where i.owner_id = %s
    """,
    "messages": """
        select t.*
        from inbox i
        join messages t on t.owner_id = i.home_id and t.conversation_id = i.conversation_id
        where i.owner_id = %s
    """,
    "files": """
        select t.*
        from inbox i
        join files t on t.owner_id = i.home_id and t.conversation_id = i.conversation_id
        where i.owner_id = %s
    """,
    "payment_contracts": """
        select t.*
        from payment_customers c
        join payment_contracts t on t.customer_id = c.id
        where c.member_id = %s
    """,
}
_OWNED = "select t.* from {} t where t.{} = %s"


def own_rows(life: Life, table: str) -> list[dict[str, Any]]:
    """The rows of a table that are zoe's, or of a conversation of hers."""
    query: sql.Composable = sql.SQL(_THROUGH.get(table, ""))
    if table not in _THROUGH:
        names = ("owner_id", "member_id", "id")
        owner = next(each for each in names if (table, each) in life.columns)
        query = sql.SQL(_OWNED).format(sql.Identifier(table), sql.Identifier(owner))
    with psycopg.connect(life.url) as connection:
        cursor = connection.execute(query, (life.zoe,))
        names = [each.name for each in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor]
