"""The host's identity provider: OpenID Connect's code flow, with PKCE, as its client.

Where it is asked, and with which keys it signs, it says itself (discovery), over https. What it says of
a member is believed once the signature, the issuer, the audience, the nonce and the times fit. Nothing
that it sends is logged.
"""

import asyncio
import re
from base64 import b64encode, urlsafe_b64encode
from collections.abc import AsyncGenerator, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from hmac import compare_digest
from typing import Any, TypeGuard, TypeVar, cast
from urllib.parse import quote, urlencode, urlsplit

import aiohttp
import msgspec
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import Key, KeySet, import_key

from overture.clock import real_now
from overture.core.accounts import Identity
from overture.settings import SettingProblem, Settings

T = TypeVar("T")

SECONDS = 10
ANSWER_BYTES_MAX = 256 * 1024
# What a provider says of itself changes seldom; its keys are asked for again where one is unknown, but
# not for everybody who makes one up.
KEPT_FOR = timedelta(hours=1)
KEYS_EVERY = timedelta(seconds=30)
FAILED_FOR = timedelta(seconds=5)
# How far its clock may be from ours.
LEEWAY = timedelta(minutes=2)
# None with a secret that both sides know: whoever had ours could sign.
_ALGORITHMS = (
    *("RS256", "RS384", "RS512", "PS256", "PS384", "PS512"),
    *("ES256", "ES384", "ES512", "Ed25519"),
)
_CHARS_MAX = 255
# How providers name errors; whatever else comes in its place is anybody's words.
_ERROR = re.compile(r"[a-z_]{1,60}")


class ProviderProblem(Exception):
    """The provider did not answer, or what it said cannot be believed; the text is for the operator."""


@dataclass(frozen=True, slots=True)
class Client:
    """As what we are known to the provider; passed on to serving processes, so of plain values alone.

    `name` is what members call it; `external_ids`: members' are the subjects that it tells.
    """

    issuer: str
    id: str
    secret: str | None
    name: str
    external_ids: bool = False


def client_of(settings: Settings) -> Client | None:
    """None where the installation has no provider. Raises SettingProblem."""
    if settings.oidc_issuer is None and settings.oidc_client_id is None:
        return None
    if settings.oidc_issuer is None or settings.oidc_client_id is None:
        raise SettingProblem("--oidc-issuer and --oidc-client-id go together: one is missing.")
    host = urlsplit(settings.oidc_issuer).hostname or settings.oidc_issuer
    return Client(
        settings.oidc_issuer,
        settings.oidc_client_id,
        settings.oidc_client_secret,
        settings.oidc_name or host,
        settings.oidc_external_ids,
    )


@dataclass(frozen=True, slots=True)
class Flow:
    """What begins a sign-in and must come back with its end: kept in our browser's ceremony alone."""

    state: str
    nonce: str
    verifier: str


class _Discovered(msgspec.Struct, frozen=True):
    """What a provider says of itself, as far as it matters here."""

    issuer: str
    authorization_endpoint: str
    token_endpoint: str
    jwks_uri: str
    userinfo_endpoint: str | None = None
    end_session_endpoint: str | None = None
    id_token_signing_alg_values_supported: tuple[str, ...] = ("RS256",)
    token_endpoint_auth_methods_supported: tuple[str, ...] = ("client_secret_basic",)
    authorization_response_iss_parameter_supported: bool = False


class _Tokens(msgspec.Struct, frozen=True):
    id_token: str
    access_token: str = ""


class _Keys(msgspec.Struct, frozen=True):
    keys: list[dict[str, Any]]


class Provider:
    """Asks the provider; keeps what it said of itself. `redirect_uri` is where members come back."""

    def __init__(self, client: Client, redirect_uri: str) -> None:
        self.client = client
        self._redirect_uri = redirect_uri
        self._discovered: tuple[datetime, _Discovered] | None = None
        self._failed: tuple[datetime, ProviderProblem] | None = None
        self._keys: tuple[datetime, KeySet] | None = None
        self._asking = asyncio.Lock()

    async def sign_in_url(self, flow: Flow, *, again: bool = False) -> str:
        """Where the browser goes to sign in; `again`, though it may be signed in there already."""
        found = await self._discover()
        asked = {
            "response_type": "code",
            "client_id": self.client.id,
            "redirect_uri": self._redirect_uri,
            "scope": "openid email profile",
            "state": flow.state,
            "nonce": flow.nonce,
            "code_challenge": _text(sha256(flow.verifier.encode()).digest()),
            "code_challenge_method": "S256",
        }
        if again:
            asked |= {"prompt": "login", "max_age": "0"}
        return _with(found.authorization_endpoint, asked)

    async def sign_out_url(self, back: str) -> str | None:
        """Where the browser goes to sign out there too; None where the provider has no such place."""
        endpoint = (await self._discover()).end_session_endpoint
        told = {"client_id": self.client.id, "post_logout_redirect_uri": back}
        return endpoint and _with(endpoint, told)

    async def identity(self, came: Mapping[str, str], flow: Flow) -> Identity:
        """Who came back from the provider with these parameters. Raises ProviderProblem."""
        found = await self._discover()
        if not compare_digest(came.get("state", "").encode(), flow.state.encode()):
            raise ProviderProblem("another browser's answer came back (state)")
        # Another provider's answer is not ours, whoever sent it here (RFC 9207).
        must_say = found.authorization_response_iss_parameter_supported
        if (must_say or "iss" in came) and came.get("iss") != self.client.issuer:
            raise ProviderProblem("another issuer answered")
        if "code" not in came:
            error = came.get("error", "")
            told = error if _ERROR.fullmatch(error) else "nor an error that is one"
            raise ProviderProblem(f"no code came back: {told}")
        async with _session() as session:
            tokens = await self._exchange(session, found, came["code"], flow)
            claims = await self._claims(session, found, tokens.id_token, flow)
            if "email" not in claims and found.userinfo_endpoint and tokens.access_token:
                told = await self._told(session, found.userinfo_endpoint, tokens.access_token)
                if told.get("sub") != claims["sub"]:
                    raise ProviderProblem("it told of somebody else (userinfo)")
                claims = told | claims
        return _identity(self.client.issuer, claims)

    async def _exchange(
        self, session: aiohttp.ClientSession, found: _Discovered, code: str, flow: Flow
    ) -> _Tokens:
        client = self.client
        form = {
            "grant_type": "authorization_code",
            "code": code,
            "redirect_uri": self._redirect_uri,
            "code_verifier": flow.verifier,
        }
        headers = {"Accept": "application/json"}
        if client.secret is None:
            form["client_id"] = client.id
        elif "client_secret_basic" in found.token_endpoint_auth_methods_supported:
            # Each is encoded first, as RFC 6749 has it.
            known = f"{quote(client.id, safe='')}:{quote(client.secret, safe='')}"
            headers["Authorization"] = f"Basic {b64encode(known.encode()).decode()}"
        else:
            form |= {"client_id": client.id, "client_secret": client.secret}
        posting = session.post(
            found.token_endpoint, data=form, headers=headers, allow_redirects=False
        )
        async with posting as answer:
            return await _read(answer, _Tokens)

    async def _claims(
        self, session: aiohttp.ClientSession, found: _Discovered, token: str, flow: Flow
    ) -> dict[str, Any]:
        """What the ID token says, once it is known to be the provider's, for us, for now."""
        offered = found.id_token_signing_alg_values_supported
        allowed = [each for each in _ALGORITHMS if each in offered]
        try:
            try:
                decoded = jwt.decode(token, await self._key_set(session, found), allowed)
            except InvalidKeyIdError:
                # It may sign with a new key by now.
                newer = await self._key_set(session, found, anew=True)
                decoded = jwt.decode(token, newer, allowed)
        except (JoseError, ValueError, TypeError) as problem:
            raise ProviderProblem(
                f"the ID token is not its own: {type(problem).__name__}"
            ) from None
        claims: dict[str, Any] = decoded.claims
        now = real_now()
        audience = claims.get("aud")
        audiences = cast("list[Any]", audience) if isinstance(audience, list) else [audience]
        subject = claims.get("sub")
        if claims.get("iss") != self.client.issuer:
            raise ProviderProblem("the ID token is another issuer's")
        if self.client.id not in audiences:
            raise ProviderProblem("the ID token is for somebody else")
        azp = claims.get("azp", None if len(audiences) > 1 else self.client.id)
        if azp != self.client.id:
            raise ProviderProblem("the ID token was asked for by somebody else")
        if not _number(claims.get("exp")) or claims["exp"] <= (now - LEEWAY).timestamp():
            raise ProviderProblem("the ID token is over")
        if not _number(claims.get("iat")) or claims["iat"] > (now + LEEWAY).timestamp():
            raise ProviderProblem("the ID token is of the future: is a clock wrong?")
        nonce = claims.get("nonce")
        if not isinstance(nonce, str) or not compare_digest(nonce.encode(), flow.nonce.encode()):
            raise ProviderProblem("the ID token is of another sign-in (nonce)")
        if not isinstance(subject, str) or not 0 < len(subject) <= _CHARS_MAX:
            raise ProviderProblem("the ID token says of nobody")
        return claims

    async def _told(
        self, session: aiohttp.ClientSession, endpoint: str, access_token: str
    ) -> dict[str, Any]:
        headers = {"Authorization": f"Bearer {access_token}", "Accept": "application/json"}
        async with session.get(endpoint, headers=headers, allow_redirects=False) as answer:
            return await _read(answer, dict[str, Any])

    # What it says of itself -----------------------------------------------------------------------

    async def _discover(self) -> _Discovered:
        async with self._asking:
            now = real_now()
            if self._discovered is not None and now - self._discovered[0] < KEPT_FOR:
                return self._discovered[1]
            # Who waited meanwhile need not find out again that it does not answer.
            if self._failed is None or now - self._failed[0] > FAILED_FOR:
                url = self.client.issuer.rstrip("/") + "/.well-known/openid-configuration"
                try:
                    async with _session() as session, session.get(url) as answer:
                        found = self._checked(await _read(answer, _Discovered))
                except ProviderProblem as problem:
                    self._failed = real_now(), problem
                else:
                    self._discovered, self._failed = (real_now(), found), None
            if self._discovered is None:
                assert self._failed is not None, "it was asked just now"
                raise self._failed[1]
            # What it said before most likely still holds.
            return self._discovered[1]

    def _checked(self, found: _Discovered) -> _Discovered:
        if found.issuer != self.client.issuer:
            raise ProviderProblem(f"it calls itself {found.issuer!r}, not {self.client.issuer!r}")
        scheme = urlsplit(self.client.issuer).scheme
        for each in (
            found.authorization_endpoint,
            found.token_endpoint,
            found.jwks_uri,
            found.userinfo_endpoint,
            found.end_session_endpoint,
        ):
            if each is not None and urlsplit(each).scheme not in ("https", scheme):
                raise ProviderProblem("one of its addresses is not https")
        return found

    async def _key_set(
        self, session: aiohttp.ClientSession, found: _Discovered, *, anew: bool = False
    ) -> KeySet:
        async with self._asking:
            now = real_now()
            kept_for = KEYS_EVERY if anew else KEPT_FOR
            if self._keys is None or now - self._keys[0] > kept_for:
                async with session.get(found.jwks_uri) as answer:
                    told = await _read(answer, _Keys)
                self._keys = now, _usable(told.keys)
            return self._keys[1]


def _usable(keys: Sequence[dict[str, Any]]) -> KeySet:
    """Those of a kind that we know; a provider may have others, for others."""
    made: list[Key] = []
    for each in keys:
        with suppress(JoseError, ValueError, TypeError, LookupError):
            made.append(import_key(each))
    return KeySet(made)


def _identity(issuer: str, claims: Mapping[str, Any]) -> Identity:
    email, name, signed_in_at = claims.get("email"), claims.get("name"), claims.get("auth_time")
    return Identity(
        issuer=issuer,
        subject=claims["sub"],
        email=email if isinstance(email, str) else "",
        # Some say it in quotes.
        email_verified=claims.get("email_verified") in (True, "true"),
        name=name if isinstance(name, str) else "",
        signed_in_at=int(signed_in_at) if _number(signed_in_at) else None,
    )


def _number(value: object) -> TypeGuard[int | float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


@asynccontextmanager
async def _session() -> AsyncGenerator[aiohttp.ClientSession]:
    """For one conversation with the provider; what goes wrong in it is a ProviderProblem."""
    timeout = aiohttp.ClientTimeout(total=SECONDS)
    try:
        async with aiohttp.ClientSession(
            timeout=timeout, cookie_jar=aiohttp.DummyCookieJar()
        ) as session:
            yield session
    except (aiohttp.ClientError, TimeoutError, OSError) as problem:
        raise ProviderProblem(f"it could not be asked: {type(problem).__name__}") from None


async def _read(answer: aiohttp.ClientResponse, form: type[T]) -> T:
    """The JSON of an answer. It says no more of itself in the log than its status."""
    body = b""
    async for part in answer.content.iter_chunked(64 * 1024):
        body += part
        if len(body) > ANSWER_BYTES_MAX:
            raise ProviderProblem("an answer of it is far too long")
    if answer.status != 200:
        raise ProviderProblem(f"it answered with {answer.status}")
    try:
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, RecursionError):
        raise ProviderProblem("an answer of it is not what it should be") from None


def _with(url: str, query: Mapping[str, str]) -> str:
    return f"{url}{'&' if urlsplit(url).query else '?'}{urlencode(query)}"


def _text(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
