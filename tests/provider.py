"""A small identity provider on this machine: OpenID Connect over HTTP, with what may go wrong in it."""

from __future__ import annotations

import base64
import html
import secrets
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any
from urllib.parse import unquote, urlencode

import uvicorn
from joserfc import jwt
from joserfc.jwk import KeySet, OctKey, RSAKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

CLIENT, SECRET = "overture", "a secret: with % and space"


@dataclass
class Someone:
    """Who is signed in there, as it tells of them. None of a claim leaves it out."""

    sub: str
    email: str | None = None
    email_verified: Any = True
    name: str | None = None

    def claims(self) -> dict[str, Any]:
        told = {
            "sub": self.sub,
            "email": self.email,
            "email_verified": self.email_verified,
            "name": self.name,
        }
        return {name: value for name, value in told.items() if value is not None}


@dataclass
class Provider:
    """`lies` are put in the place of what an ID token would say; `said` of what is discovered."""

    issuer: str = ""
    someone: Someone = field(default_factory=lambda: Someone("1"))
    lies: dict[str, Any] = field(default_factory=dict)
    said: dict[str, Any] = field(default_factory=dict)
    # None for a client that can keep none.
    secret: str | None = SECRET
    key: RSAKey = field(default_factory=lambda: RSAKey.generate_key(2048, {"kid": "first"}))
    algorithm: str = "RS256"
    # Signs with another key than the one that it shows; tells of people only where it is asked again.
    signs_with: Any = None
    tells_later: bool = False
    told_later: dict[str, Any] = field(default_factory=dict)
    answers: int = 200
    asked: list[str] = field(default_factory=list)
    signed_out: int = 0
    _codes: dict[str, dict[str, Any]] = field(default_factory=dict)
    _tokens: dict[str, dict[str, Any]] = field(default_factory=dict)

    def new_key(self) -> None:
        self.key = RSAKey.generate_key(2048, {"kid": secrets.token_hex(4)})

    def app(self) -> Starlette:
        return Starlette(
            routes=[
                Route("/.well-known/openid-configuration", self._discovery),
                Route("/keys", self._keys),
                Route("/authorize", self._authorize, methods=["GET", "POST"]),
                Route("/token", self._token, methods=["POST"]),
                Route("/userinfo", self._userinfo),
                Route("/bye", self._bye),
            ]
        )

    async def _discovery(self, request: Request) -> Response:
        self.asked.append("discovery")
        told = {
            "issuer": self.issuer,
            "authorization_endpoint": f"{self.issuer}/authorize",
            "token_endpoint": f"{self.issuer}/token",
            "jwks_uri": f"{self.issuer}/keys",
            "userinfo_endpoint": f"{self.issuer}/userinfo",
            "end_session_endpoint": f"{self.issuer}/bye",
            "id_token_signing_alg_values_supported": ["RS256", "HS256", "none"],
            "token_endpoint_auth_methods_supported": ["client_secret_basic"],
            "authorization_response_iss_parameter_supported": True,
        }
        return JSONResponse(told | self.said)

    async def _keys(self, request: Request) -> Response:
        self.asked.append("keys")
        return JSONResponse(KeySet([self.key]).as_dict(private=False))

    async def _authorize(self, request: Request) -> Response:
        """Who has a browser here is signed in, and only has to say yes."""
        query = request.query_params
        assert query["response_type"] == "code"
        assert query["client_id"] == CLIENT
        assert query["code_challenge_method"] == "S256"
        assert "openid" in query["scope"].split()
        if request.method == "GET":
            who = html.escape(self.someone.name or self.someone.sub)
            return HTMLResponse(
                f"<form method=post><h1>{who}</h1><button>Yes, go on</button></form>"
            )
        code = secrets.token_urlsafe()
        self._codes[code] = dict(query)
        back = {"code": code, "state": query["state"], "iss": self.issuer}
        return RedirectResponse(f"{query['redirect_uri']}?{urlencode(back)}", 303)

    async def _token(self, request: Request) -> Response:
        self.asked.append("token")
        form = await request.form()
        kind, _, credentials = request.headers.get("authorization", "").partition(" ")
        if kind == "Basic":
            name, _, secret = base64.b64decode(credentials).decode().partition(":")
            known = (unquote(name), unquote(secret)) == (CLIENT, self.secret)
        else:
            known = (form.get("client_id"), form.get("client_secret")) == (CLIENT, self.secret)
        begun = self._codes.pop(str(form.get("code")), None)
        if self.answers != 200 or not known or begun is None:
            status = self.answers if self.answers != 200 else 400
            return JSONResponse({"error": "invalid_grant"}, status)
        shown = sha256(str(form["code_verifier"]).encode()).digest()
        challenge = base64.urlsafe_b64encode(shown).rstrip(b"=").decode()
        if challenge != begun["code_challenge"] or form["redirect_uri"] != begun["redirect_uri"]:
            return JSONResponse({"error": "invalid_grant"}, 400)
        now = int(time.time())
        who = {"sub": self.someone.sub} if self.tells_later else self.someone.claims()
        claims = {
            "iss": self.issuer,
            "aud": CLIENT,
            "exp": now + 300,
            "iat": now,
            "auth_time": now,
            "nonce": begun["nonce"],
        }
        claims = {k: v for k, v in (claims | who | self.lies).items() if v is not None}
        access = secrets.token_urlsafe()
        self._tokens[access] = self.someone.claims() | self.told_later
        return JSONResponse({"id_token": self._signed(claims), "access_token": access})

    def _signed(self, claims: dict[str, Any]) -> str:
        key = self.signs_with or self.key
        if self.algorithm == "none":
            parts = ({"alg": "none", "kid": "first"}, claims)
            coded = [
                base64.urlsafe_b64encode(JSONResponse(each).body).rstrip(b"=").decode()
                for each in parts
            ]
            return ".".join((*coded, ""))
        header = {"alg": self.algorithm, "kid": self.key.kid}
        return jwt.encode(header, claims, key, [self.algorithm])

    async def _userinfo(self, request: Request) -> Response:
        self.asked.append("userinfo")
        _, _, token = request.headers.get("authorization", "").partition(" ")
        return JSONResponse(self._tokens[token])

    async def _bye(self, request: Request) -> Response:
        self.signed_out += 1
        assert request.query_params["client_id"] == CLIENT
        return RedirectResponse(request.query_params["post_logout_redirect_uri"], 303)


def secret_key() -> OctKey:
    """The client's secret, as if it were a key."""
    return OctKey.import_key(SECRET)


@contextmanager
def provider() -> Iterator[Provider]:
    """It answers on a port of its own until the end."""
    made = Provider()
    server = uvicorn.Server(
        uvicorn.Config(made.app(), port=0, log_config=None, lifespan="off", ws="none")
    )
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    made.issuer = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.should_exit = True
        thread.join(10)
