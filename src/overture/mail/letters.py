"""What the mails about accounts say. They come whatever a member chose: nobody can do without them."""

from collections.abc import Sequence

from overture.actions.accounts import Letter, Mail
from overture.mail.said import Button, Buttons, Said, Text
from overture.words import Words


def said(letter: Letter, words: Words) -> Said:
    subject, why, label, path, then = _said(letter, words)
    _ = words.gettext
    hello = _("Hello %(name)s,") % {"name": letter.name}
    link = [Buttons([Button(label, path, main=True)])] if path else []
    return Said(
        subject=subject,
        preview=why,
        heading=subject,
        parts=[Text(hello), Text(why), *link, Text(" ".join(then))],
        why=_("This mail is about your account here, so it has no unsubscribe link."),
    )


def _said(letter: Letter, words: Words) -> tuple[str, str, str, str | None, Sequence[str]]:
    """The subject, the reason, what the link says and where it leads, and what to know about it."""
    _ = words.gettext
    verify = f"/verify?link={letter.secret}"
    reset = f"/reset/new?link={letter.secret}"
    ignore = _("If you did not ask for this, you need do nothing.")
    holds = _("The link holds for three days.")
    once = _("The link holds for one hour, and once.")
    match letter.kind:
        case Mail.WELCOME:
            return (
                _("Welcome to Overture"),
                _("You have an account now. Please show that this address is yours:"),
                _("This address is mine"),
                verify,
                [
                    _(
                        "The link holds for three days. If it was not you who signed up, ignore "
                        "this mail: without the link nobody can show that your address is theirs."
                    )
                ],
            )
        case Mail.VERIFY:
            return (
                _("Is this your address?"),
                _("Follow this link to show that this address is yours:"),
                _("This address is mine"),
                verify,
                [holds, ignore],
            )
        case Mail.EMAIL:
            return (
                _("Your new address"),
                _("Follow this link to sign in with this address from now on:"),
                _("Sign in with this address"),
                verify,
                [holds, ignore],
            )
        case Mail.KNOWN:
            return (
                _("You have an account already"),
                _(
                    "Someone, perhaps you, wanted to use this address for an account. It has one "
                    "already: yours. Sign in with your password, or set a new one here:"
                ),
                _("Set a new password"),
                "/reset",
                [_("If it was not you, you need do nothing: nothing has changed.")],
            )
        case Mail.MOVED:
            return (
                _("Your account has another address"),
                _("You asked to sign in with another address, and have shown that it is yours."),
                "",
                None,
                [
                    _(
                        "If it was not you, write to whoever runs this site at once: nothing is "
                        "sent to this address any more."
                    )
                ],
            )
        case Mail.RESET:
            return (
                _("Set a new password"),
                _("Follow this link to set a new password:"),
                _("Set a new password"),
                reset,
                [once, ignore],
            )
        case Mail.CLAIM:
            return (
                _("Your profile is waiting for you"),
                _(
                    "Someone who knows you brought their contacts here, and you are among them. "
                    "Make the profile yours by setting a password:"
                ),
                _("Make it mine"),
                reset,
                [once, ignore],
            )
        case Mail.OPEN:
            return (
                _("Open your account"),
                _("An account was made for you here. Set a password to sign in:"),
                _("Set a password"),
                reset,
                [once, ignore],
            )
