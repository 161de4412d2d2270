"""What the mails about accounts say, in the reader's language, as plain text."""

from collections.abc import Callable
from dataclasses import dataclass
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from ipaddress import ip_address
from urllib.parse import urlsplit

from overture.actions.accounts import Letter, Mail

Gettext = Callable[[str], str]

# Names and addresses as their owners write them; whoever sends it on encodes them where it must.
_POLICY = SMTP.clone(utf8=True)


@dataclass(frozen=True, slots=True)
class Said:
    """What a mail says: each part is a line of its own. `path` is its link's, on this site."""

    subject: str
    why: str
    path: str | None
    then: str


def message(letter: Letter, gettext: Gettext, *, public_url: str, name: str) -> EmailMessage:
    """The mail as it is sent; `name` is unlike any other mail's, and the same if it is sent again.

    Raises ValueError or MessageError where the address cannot stand in a mail.
    """
    said = _said(letter, gettext)
    host = _host(public_url)
    made = EmailMessage(policy=_POLICY)
    made["From"] = Address("Overture", "no-reply", host)
    made["To"] = Address(letter.name, addr_spec=letter.to)
    made["Subject"] = said.subject
    made["Message-ID"] = f"<{name}@{host}>"
    # So that nothing answers it by itself.
    made["Auto-Submitted"] = "auto-generated"
    link = None if said.path is None else public_url + said.path
    hello = gettext("Hello %(name)s,") % {"name": letter.name}
    made.set_content(
        "\n\n".join(part for part in (hello, said.why, link, said.then) if part) + "\n"
    )
    return made


def _said(letter: Letter, gettext: Gettext) -> Said:
    _ = gettext
    verify = f"/verify?link={letter.secret}"
    reset = f"/reset/new?link={letter.secret}"
    ignore = _("If you did not ask for this, you need do nothing.")
    match letter.kind:
        case Mail.WELCOME:
            return Said(
                _("Welcome to Overture"),
                _("You have an account now. Please show that this address is yours:"),
                verify,
                _(
                    "The link holds for three days. If it was not you who signed up, ignore this "
                    "mail: without the link nobody can show that your address is theirs."
                ),
            )
        case Mail.VERIFY:
            return Said(
                _("Is this your address?"),
                _("Follow this link to show that this address is yours:"),
                verify,
                f"{_('The link holds for three days.')} {ignore}",
            )
        case Mail.EMAIL:
            return Said(
                _("Your new address"),
                _("Follow this link to sign in with this address from now on:"),
                verify,
                f"{_('The link holds for three days.')} {ignore}",
            )
        case Mail.KNOWN:
            return Said(
                _("You have an account already"),
                _(
                    "Someone, perhaps you, wanted to use this address for an account. It has one "
                    "already: yours. Sign in with your password, or set a new one here:"
                ),
                "/reset",
                _("If it was not you, you need do nothing: nothing has changed."),
            )
        case Mail.RESET:
            return Said(
                _("Set a new password"),
                _("Follow this link to set a new password:"),
                reset,
                f"{_('The link holds for one hour, and once.')} {ignore}",
            )
        case Mail.CLAIM:
            return Said(
                _("Your profile is waiting for you"),
                _(
                    "Someone who knows you brought their contacts here, and you are among them. "
                    "Make the profile yours by setting a password:"
                ),
                reset,
                f"{_('The link holds for one hour, and once.')} {ignore}",
            )
        case Mail.OPEN:
            return Said(
                _("Open your account"),
                _("An account was made for you here. Set a password to sign in:"),
                reset,
                f"{_('The link holds for one hour, and once.')} {ignore}",
            )


def _host(public_url: str) -> str:
    """The domain that mails come from; a machine without a name has none to give."""
    host = urlsplit(public_url).hostname or "localhost"
    try:
        ip_address(host)
    except ValueError:
        return host
    return "localhost"
