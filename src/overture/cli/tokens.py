"""Bearer tokens for the API."""

from typing import TYPE_CHECKING

import click

from overture.cli.failures import Failed
from overture.cli.installation import ACTOR, member_of, on_installation, writing
from overture.cli.options import INSTALLATION, as_json, takes
from overture.cli.terminal import print_json
from overture.settings import Settings

if TYPE_CHECKING:
    from datetime import datetime

    from overture.store.db import Tx
    from overture.store.tokens import TokenRow


@click.group()
def token() -> None:
    """Issue, list and revoke bearer tokens for the API."""


@token.command("create")
@click.option("--operator", is_flag=True, help="A token for an operator.")
@click.option("--as", "handle", metavar="HANDLE", help="A token for the member of this handle.")
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(["read", "write"]),
    multiple=True,
    help="What a member's token may do; both when not given.",
)
@click.option("--label", default="", help="What it is for, to recognise it by.")
@takes(*INSTALLATION)
@as_json
def token_create(
    settings: Settings,
    *,
    operator: bool,
    handle: str | None,
    scopes: tuple[str, ...],
    label: str,
    as_json: bool,
) -> None:
    """Issue a token and print it; it is shown this once."""
    if operator == (handle is not None):
        raise click.UsageError("Say whose token it is: either --operator or --as HANDLE.")
    if operator and scopes:
        raise click.UsageError("An operator's token has every scope: leave --scope out.")
    from overture import ids
    from overture.actions import tokens
    from overture.actions.fields import Invalid
    from overture.core.ids import TokenId
    from overture.core.refusals import Refusal

    secret = ids.new_token(operator=operator)

    async def issue(tx: "Tx", now: "datetime") -> "TokenRow":
        holder = None if handle is None else await member_of(tx, handle, now)
        issued = await tokens.issue(
            tx,
            secret,
            TokenId(ids.new()),
            member=holder.id if holder else None,
            scopes=[tokens.TokenScope(scope) for scope in scopes] or tokens.ALL_SCOPES,
            label=label,
            actor=ACTOR,
            audit_id=ids.new(),
            now=now,
        )
        if isinstance(issued, Invalid):
            raise Failed(f"--label: {issued.errors[0][1]}")
        if isinstance(issued, Refusal):
            raise Failed(issued.sentence)
        return issued

    issued = writing(settings, issue)
    if as_json:
        told = {"id": issued.id, "token": secret, "member_id": issued.member}
        print_json(told | {"scopes": issued.scopes, "label": issued.label})
    else:
        click.echo(secret)


@token.command("list")
@takes(*INSTALLATION)
@as_json
def token_list(settings: Settings, as_json: bool) -> None:
    """The tokens that open something now, without their texts: those are not kept."""
    from overture.store import tokens

    found = on_installation(settings, lambda installation: installation.db.reading(tokens.held))
    if as_json:
        print_json(
            [
                {
                    "id": each.token.id,
                    "member_id": each.token.member,
                    "handle": each.handle,
                    "scopes": each.token.scopes,
                    "label": each.token.label,
                    "created_at": each.created_at.isoformat(),
                    "expires_at": each.token.expires_at and each.token.expires_at.isoformat(),
                }
                for each in found
            ]
        )
        return
    for each in found:
        whose = each.handle or "an operator"
        scopes = "+".join(each.token.scopes)
        until = f"until {each.token.expires_at:%Y-%m-%d}" if each.token.expires_at else ""
        told = (each.token.id, whose, scopes, each.token.label, until)
        click.echo("  ".join(part for part in told if part))


@token.command("revoke")
@click.argument("token_id", metavar="ID")
@takes(*INSTALLATION)
def token_revoke(settings: Settings, token_id: str) -> None:
    """End the token of this id at once."""
    from uuid import UUID

    from overture import ids
    from overture.actions import tokens
    from overture.core.ids import TokenId

    try:
        known = TokenId(str(UUID(token_id)))
    except ValueError:
        raise Failed(f"{token_id} is not the id of a token.") from None

    async def revoke(tx: "Tx", now: "datetime") -> bool:
        return await tokens.revoke(tx, known, actor=ACTOR, audit_id=ids.new(), now=now)

    if not writing(settings, revoke):
        raise Failed(f"There is no token {token_id}.")
    click.echo(f"The token {token_id} is revoked.")
