"""What a host site says of who comes from it: a short JWT, signed by the host, believed once.

A secret that both sides know signs with HS256 alone, a public key with what keys of its kind do: the
token chooses between them, never how they are used. Nothing that it says is logged.
"""

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, TypeGuard, cast

import msgspec
from joserfc import jws, jwt
from joserfc.errors import JoseError
from joserfc.jwk import ECKey, Key, OctKey, OKPKey, RSAKey, import_key

from overture.actions.members import EXTERNAL_ID_CHARS_MAX
from overture.core import text
from overture.core.accounts import HANDOVER_MAX, Handover, Identity
from overture.settings import SettingProblem, Settings

# How far the host's clock may be from ours.
LEEWAY = timedelta(seconds=30)
TOKEN_CHARS_MAX = 8192
RSA_BITS_MIN = 2048
_ID_CHARS_MIN, _ID_CHARS_MAX = 16, 200
# How each kind of key signs. A token that names another way is nobody's.
_ALGORITHMS: Mapping[type[Key], tuple[str, ...]] = {
    OctKey: ("HS256",),
    RSAKey: ("RS256", "PS256"),
    ECKey: ("ES256",),
    OKPKey: ("EdDSA", "Ed25519"),
}
_KINDS = ("RSA", "EC", "OKP")


class HandoverProblem(Exception):
    """A token that cannot be believed; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Host:
    """Whose word is taken; passed on to serving processes, so of plain values alone.

    `keys` are its public ones, as a JSON Web Key Set. `creates`: who is not known yet becomes a member.
    """

    issuer: str
    secrets: tuple[str, ...] = ()
    keys: str | None = None
    creates: bool = False


def host_of(settings: Settings) -> Host | None:
    """None where no host hands anybody over. Raises SettingProblem."""
    secrets = tuple(settings.handover_secret)
    has_keys = bool(secrets) or settings.handover_keys is not None
    if settings.handover_issuer is None:
        if has_keys or settings.handover_creates:
            raise SettingProblem(
                "--handover-issuer is missing: what the host site calls itself in its tokens."
            )
        return None
    if not has_keys:
        raise SettingProblem(
            "--handover-issuer needs what the host site signs with: OVERTURE_HANDOVER_SECRET, or "
            "--handover-keys."
        )
    keys = None if settings.handover_keys is None else _read(Path(settings.handover_keys))
    return Host(settings.handover_issuer, secrets, keys, settings.handover_creates)


def _read(file: Path) -> str:
    """The public keys of a file, PEM or JSON, as a set."""
    content = file.read_text(encoding="utf-8", errors="replace").strip()
    try:
        found = _jwks(content) if content.startswith("{") else [_pem(content)]
    except (JoseError, ValueError, TypeError, LookupError, msgspec.DecodeError):
        found = []
    if not found:
        raise SettingProblem(f"--handover-keys: “{file}” holds no key that could be read.")
    for key in found:
        if isinstance(key, OctKey) or key.is_private:
            raise SettingProblem(
                f"--handover-keys: “{file}” holds a secret, which is the host site’s alone: give the "
                "public key."
            )
        if isinstance(key, RSAKey) and key.raw_value.key_size < RSA_BITS_MIN:
            raise SettingProblem(
                f"--handover-keys: “{file}” holds a key of fewer than {RSA_BITS_MIN} bits."
            )
    return msgspec.json.encode({"keys": [key.as_dict(private=False) for key in found]}).decode()


def _jwks(content: str) -> list[Key]:
    told = msgspec.json.decode(content, type=dict[str, Any])
    return [import_key(each) for each in told.get("keys", [told])]


def _pem(content: str) -> Key:
    for kind in _KINDS:
        try:
            return import_key(content, kind)
        except (JoseError, ValueError, TypeError, AttributeError):
            continue
    raise ValueError("no key")


class Handovers:
    """Reads tokens of the host's, which are for `audience`, the address of this installation."""

    def __init__(self, host: Host, audience: str) -> None:
        self.host = host
        self.audience = audience
        self._keys: list[Key] = [OctKey.import_key(each.encode()) for each in host.secrets]
        if host.keys is not None:
            self._keys += _jwks(host.keys)

    def read(self, token: str, now: datetime) -> Handover:
        """Whom the host hands over with this token. Raises HandoverProblem."""
        claims = self._claims(token)
        subject, once = claims.get("sub"), claims.get("jti")
        audience = claims.get("aud")
        audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
        if claims.get("iss") != self.host.issuer:
            raise HandoverProblem("it is another issuer’s")
        if self.audience not in audiences:
            raise HandoverProblem(f"it is for somebody else, not for {self.audience}")
        begins, ends = _instant(claims.get("iat")), _instant(claims.get("exp"))
        if begins is None or ends is None:
            raise HandoverProblem("it does not say from when until when it holds (iat, exp)")
        if ends - begins > HANDOVER_MAX:
            raise HandoverProblem(f"it holds for more than {HANDOVER_MAX.seconds} seconds")
        if ends <= now - LEEWAY:
            raise HandoverProblem("it is over")
        if begins > now + LEEWAY:
            raise HandoverProblem("it is of the future: is a clock wrong?")
        if not isinstance(once, str) or not _ID_CHARS_MIN <= len(once) <= _ID_CHARS_MAX:
            raise HandoverProblem("it has no id of its own (jti)")
        if (
            not isinstance(subject, str)
            or text.line(subject, EXTERNAL_ID_CHARS_MAX, required=True) != subject
        ):
            raise HandoverProblem("it tells of nobody (sub)")
        signed_in_at = _instant(claims.get("auth_time"))
        identity = Identity(
            issuer=self.host.issuer,
            subject=subject,
            email=_text(claims.get("email")),
            email_verified=claims.get("email_verified") is True,
            name=_text(claims.get("name")),
            signed_in_at=None if signed_in_at is None else int(signed_in_at.timestamp()),
        )
        return Handover(
            identity=identity,
            headline=_text(claims.get("headline")),
            origin=_text(claims.get("origin")),
            sha256=sha256(f"{self.host.issuer}\0{once}".encode("utf-8", "replace")).hexdigest(),
            over_at=ends + LEEWAY,
        )

    def _claims(self, token: str) -> dict[str, Any]:
        if not 0 < len(token) <= TOKEN_CHARS_MAX or not token.isascii():
            raise HandoverProblem("there is none, or it is far too long")
        try:
            said = jws.extract_compact(token.encode()).headers()
        except (JoseError, ValueError, TypeError, LookupError, RecursionError):
            raise HandoverProblem("it is no token") from None
        algorithm, known_as = said.get("alg"), said.get("kid")
        for key in self._keys:
            if algorithm not in _ALGORITHMS[type(key)]:
                continue
            # A key of the host's that has a name is asked by it alone.
            if known_as is not None and key.kid not in (None, known_as):
                continue
            try:
                with warnings.catch_warnings():
                    # Most libraries still write EdDSA, where Ed25519 is the newer name for the same.
                    warnings.simplefilter("ignore")
                    return jwt.decode(token, key, [str(algorithm)]).claims
            except (JoseError, ValueError, TypeError, RecursionError):
                continue
        raise HandoverProblem("no key of the host’s signed it")


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromtimestamp(value, UTC) if _number(value) else None
    except (OverflowError, ValueError, OSError):
        return None


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""


def origin_of(handover: Handover, origins: Sequence[str]) -> str | None:
    """The origin in whose frames one is signed in: the one it names, else the first; None where it
    names none of these, or there are none."""
    if not handover.origin:
        return origins[0] if origins else None
    return handover.origin if handover.origin in origins else None
