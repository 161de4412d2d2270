"""Mails to the operator's mail server, by SMTP over TLS or STARTTLS."""

import re
import ssl
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cached_property

from aiosmtplib import (
    SMTP,
    SMTPAuthenticationError,
    SMTPConnectResponseError,
    SMTPException,
    SMTPHeloError,
    SMTPNotSupported,
    SMTPRecipientRefused,
    SMTPRecipientsRefused,
    SMTPResponseException,
    SMTPSenderRefused,
)

from overture.core.jobs import DONE, Again, Done, Hopeless
from overture.mail.post import NoSuchMailbox, Ready

# The usual ports, by how the way to the server is kept private.
SMTP_PORTS = {"starttls": 587, "tls": 465, "none": 25}
# A server that has taken the mail may take its time to say goodbye, but not ours.
_GOODBYE_SECONDS = 2
# For whoever only wants to know whether mails could go.
_TRIED_SECONDS = 10
# “Sign in first”, in its forms.
_SIGN_IN_FIRST = frozenset({530, 534, 535, 538})
# The address is wrong, or nobody's, or not in use any more: RFC 3463, and what servers made of it.
_NOBODY = frozenset({"5.1.0", "5.1.1", "5.1.2", "5.1.3", "5.1.6", "5.1.10", "5.2.1"})
_STATUS = re.compile(r"\b[245]\.\d{1,3}\.\d{1,3}\b")


@dataclass(frozen=True)
class Smtp:
    """A mail server. `security` is `starttls`, `tls` or `none`; `hello` is what we say our name is;
    `seconds` how long each step may take; `trusted` a file of certificates to believe besides those
    that the system believes."""

    host: str
    port: int
    security: str
    user: str | None
    password: str | None = field(repr=False)
    hello: str
    seconds: float
    trusted: str | None

    async def send(self, mail: Ready) -> Done | Again | Hopeless:
        client = self._client(self.seconds)
        try:
            await client.connect()
            await client.sendmail(mail.returns_to, [mail.to], bytes(mail.message))
        except (SMTPException, OSError, ValueError) as problem:
            client.close()
            return _became(problem)
        except BaseException:
            client.close()
            raise
        # It was taken: whatever goes wrong from here on, it is not to be sent again.
        with suppress(SMTPException, OSError):
            await client.quit(timeout=_GOODBYE_SECONDS)
        client.close()
        return DONE

    async def tried(self) -> str | None:
        """Connects and signs in as for a mail, and sends none; why that cannot be done, if so."""
        client = self._client(min(self.seconds, _TRIED_SECONDS))
        try:
            await client.connect()
            await client.noop()
        except (SMTPException, OSError, ValueError) as problem:
            became = _became(problem)
            return became.why
        finally:
            with suppress(SMTPException, OSError):
                await client.quit(timeout=_GOODBYE_SECONDS)
            client.close()
        return None

    def _client(self, seconds: float) -> SMTP:
        return SMTP(
            hostname=self.host,
            port=self.port,
            username=self.user,
            password=self.password,
            local_hostname=self.hello,
            timeout=seconds,
            use_tls=self.security == "tls",
            # Never “if the server offers it”: whoever stands between us could take the offer away.
            start_tls=self.security == "starttls",
            tls_context=None if self.security == "none" else self._tls,
        )

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        context = ssl.create_default_context()
        if self.trusted:
            context.load_verify_locations(self.trusted)
        return context


def _became(problem: Exception) -> Again | Hopeless:
    """What a failure means for the mail. No sentence repeats the server's: it may name addresses."""
    match problem:
        case SMTPRecipientsRefused() if problem.recipients:
            return _became(problem.recipients[0])
        # What is about us is no mail's fault: each goes once whoever runs the server has mended it.
        case SMTPAuthenticationError():
            return Again(f"The mail server does not let us sign in: {_code(problem)}.")
        case SMTPConnectResponseError() | SMTPHeloError() | SMTPSenderRefused():
            return Again(f"The mail server takes nothing from us: {_code(problem)}.")
        case SMTPResponseException():
            if 500 <= problem.code < 600 and problem.code not in _SIGN_IN_FIRST:
                why = f"The mail server refused it for good: {_code(problem)}."
                status = _STATUS.search(problem.message)
                if isinstance(problem, SMTPRecipientRefused) and status and status[0] in _NOBODY:
                    return NoSuchMailbox(why, status[0])
                return Hopeless(why)
            return Again(f"The mail server did not take it: {_code(problem)}.")
        case TimeoutError():
            return Again("The mail server took too long.")
        case SMTPException() | OSError():
            # One of no kind of its own: no STARTTLS, no way to sign in.
            if isinstance(problem, SMTPNotSupported) or type(problem) is SMTPException:
                return Again("The mail server does not offer what the settings ask of it.")
            if _is_about_trust(problem):
                return Again("The mail server's certificate cannot be trusted.")
            return Again("The mail server could not be reached, or went away.")
        case _:
            return Hopeless("It has an address that no mail can be sent to.")


def _is_about_trust(problem: BaseException | None) -> bool:
    while problem is not None:
        if isinstance(problem, ssl.SSLCertVerificationError):
            return True
        problem = problem.__cause__ or problem.__context__
    return False


def _code(answer: SMTPResponseException) -> str:
    """550 5.1.1"""
    status = _STATUS.search(answer.message)
    return f"{answer.code} {status[0]}" if status else str(answer.code)
