"""The addresses at which mail comes back: where in them the seal stands."""

from dataclasses import dataclass

# What fits before an @, less the longest seal.
BEFORE_CHARS_MAX = 3


@dataclass(frozen=True, slots=True)
class Addresses:
    """All addresses that mail comes back to: `before`, a seal, an @ and `host`."""

    before: str
    host: str

    def of(self, seal: str) -> str:
        """The address that carries a seal: to reply to, or to return a mail to."""
        return f"{self.before}{seal}@{self.host}"

    def seal_in(self, address: str) -> str | None:
        """What stands where a seal would; None where the address is none of these."""
        local, at, host = address.strip().lower().rpartition("@")
        if not at or host.rstrip(".") != self.host or not local.startswith(self.before):
            return None
        return local.removeprefix(self.before)


def addresses(form: str) -> Addresses:
    """What `r+*@inmail.example.org` stands for. Raises ValueError with a sentence's end about it."""
    local, at, host = form.strip().lower().rpartition("@")
    before, star, after = local.partition("*")
    if not at or not star or after:
        raise ValueError("has no * before its @, where each conversation's own letters go")
    if len(before) > BEFORE_CHARS_MAX:
        raise ValueError(
            f"has more than {BEFORE_CHARS_MAX} characters before its *: no address has room for them"
        )
    if not set(before) <= _PLAIN or not set(host) <= _IN_HOSTS or not host.strip(".-"):
        raise ValueError("has characters that an address cannot have")
    return Addresses(before, host)


_PLAIN = frozenset("abcdefghijklmnopqrstuvwxyz0123456789+-_=")
_IN_HOSTS = frozenset("abcdefghijklmnopqrstuvwxyz0123456789.-")
