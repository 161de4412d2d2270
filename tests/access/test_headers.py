"""What every answer says to browsers, over https, and what its page may hold: asked of every route."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any, get_args, get_origin, get_type_hints

import msgspec
import pytest

from overture.api.app import operations
from overture.api.wire import Page, PageQuery
from overture.web import home
from overture.web.assets import assets
from tests.access.asks import Ask
from tests.access.world import Answer, World, api_routes, call, web_routes, world_in

# The same for everybody, whoever asks.
FOR_ANYBODY = {
    "GET /openapi.json",
    "GET /reference",
    "GET /reference.css",
    "GET /manifest.webmanifest",
    "GET /icons/{name}",
    "GET /sw.js",
    "GET /embed/overture.js",
}
# Also in pages of any other site.
FOR_ANY_SITE = {"GET /embed/overture.js"}
# Of the policy, which says how many they are.
OF_THE_POLICY = {"/plans", "/quick-replies"}


async def test_every_answer_is_closed_to_scripts_frames_and_guesses(database_url, monkeypatch):
    wrong: list[str] = []
    async with world_in(database_url, "https") as world:
        for route in api_routes():
            for role in ("anonymous", "owner", "operator"):
                answer = await world.api(route, role, world.asks.get(f"api {route}", Ask()))
                wrong += [f"{route} of {role}: {each}" for each in _open_in(answer)]
                if route not in FOR_ANYBODY:
                    wrong += [f"{route}: kept by others"] * _is_kept(answer)
        for route in web_routes():
            for role in ("anonymous", "owner"):
                answer = await world.web(route, role, world.asks.get(f"web {route}", Ask()))
                open_in = _open_in(answer, for_any_site=route in FOR_ANY_SITE)
                wrong += [f"{route} of {role}: {each}" for each in open_in]
                if role == "owner" and route not in FOR_ANYBODY:
                    wrong += [f"{route}: kept by others"] * _is_kept(answer)
        for name, answer in (await _beside(world, monkeypatch)).items():
            wrong += [f"{name}: {each}" for each in _open_in(answer)]
    assert not wrong, "\n".join(wrong)


async def _beside(world: World, monkeypatch: pytest.MonkeyPatch) -> dict[str, Answer]:
    """What no route answers, or answers only when something is amiss."""

    async def ask(method: str, path: str, status: int, **headers: str) -> Answer:
        answer = await call(world.app, method, path, headers=headers)
        assert answer.status == status, (path, answer)
        return answer

    operator = f"Bearer {world.tokens['operator:read']}"
    own = {"sec-fetch-site": "same-origin"}
    found = {
        "an asset": await ask("GET", assets().url("app.css"), 200),
        "no asset": await ask("GET", "/static/older/app.css", 404),
        "alive": await ask("GET", "/healthz", 200),
        "ready": await ask("GET", "/readyz", 200),
        "no page": await ask("GET", "/nowhere", 404),
        "no call": await ask("GET", "/api/v1/nowhere", 404),
        "no method": await ask("DELETE", "/inbox", 405),
        "no method of a call": await ask("PUT", "/api/v1/plans", 405),
        "another host": await ask("GET", "/login", 421, host="evil.example"),
        "another site": await ask(
            "POST", "/login", 403, **(own | {"sec-fetch-site": "cross-site"})
        ),
        "too large": await ask("POST", "/login", 413, **(own | {"content-length": "1000000"})),
        "no member": await ask("GET", "/api/v1/members/nobody", 404, authorization=operator),
    }

    def broken(*_: Any) -> None:
        raise RuntimeError("a fault")

    monkeypatch.setattr("overture.web.home.Go", broken)
    monkeypatch.setattr("overture.actions.members.profile", broken)
    found["a fault"] = await ask("GET", "/", 500)
    path = "/api/v1/members/grace"
    found["a fault of a call"] = await ask("GET", path, 500, authorization=operator)
    assert home.__name__
    return found


def _open_in(answer: Answer, *, for_any_site: bool = False) -> list[str]:
    said, wrong = answer.headers, list[str]()
    exact = {
        "x-content-type-options": "nosniff",
        "cross-origin-opener-policy": "same-origin",
        "cross-origin-resource-policy": "cross-origin" if for_any_site else "same-origin",
        "permissions-policy": "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        "strict-transport-security": "max-age=31536000",
    }
    wrong += [f"{name} is {said.get(name)}" for name in exact if said.get(name) != exact[name]]
    if said.get("referrer-policy") not in ("same-origin", "no-referrer"):
        wrong.append("no referrer policy")
    policy = _directives(said.get("content-security-policy", ""))
    wrong += _loose_in(policy)
    html = said.get("content-type", "").startswith("text/html")
    if html and policy.get("require-trusted-types-for") != ["'script'"]:
        wrong.append("no Trusted Types")
    if html and (inline := _INLINE.findall(answer.body.decode())):
        wrong.append(f"inline {inline[0]!r}")
    if cookie := said.get("set-cookie"):
        parts = {each.strip().lower() for each in cookie.split(";")[1:]}
        if not cookie.startswith("__Host-"):
            wrong.append(f"a cookie without __Host-: {cookie}")
        if not {"secure", "httponly", "path=/", "samesite=lax"} <= parts or "domain" in cookie:
            wrong.append(f"a cookie that goes further: {cookie}")
    return wrong


def _is_kept(answer: Answer) -> bool:
    """Whether anybody but the browser that was shown it may keep it."""
    said = {each.strip() for each in answer.headers.get("cache-control", "").split(",")}
    return not said & {"no-store", "private"}


def _directives(policy: str) -> dict[str, list[str]]:
    parts = [each.split() for each in policy.split(";") if each.strip()]
    return {name: values for name, *values in parts}


def _loose_in(policy: dict[str, list[str]]) -> list[str]:
    wrong = [
        f"{name} has {value}"
        for name, values in policy.items()
        for value in values
        if value.startswith(("'unsafe", "http", "*", "blob"))
        or (value == "data:" and name != "img-src")
    ]
    if policy.get("default-src") != ["'none'"] or policy.get("frame-ancestors") != ["'none'"]:
        wrong.append(f"the policy is {policy}")
    scripts = policy.get("script-src", [])
    if scripts not in ([], ["'self'"]):
        wrong.append(f"scripts of {scripts}")
    return wrong


# What the policy would not let run or show, so that a page with it is broken besides.
_INLINE = re.compile(
    r"<script(?![^>]*\bsrc=)[^>]*>|<style\b|<[^>]+\s(?:style|on[a-z]+)=|(?:href|src|action)=.?javascript:"
)


# Lists ------------------------------------------------------------------------------------------


def test_every_list_goes_by_pages():
    for each in operations():
        lists = any(get_origin(answer) is Page for answer in each.answers)
        if lists and each.path not in OF_THE_POLICY:
            assert each.query is not None, each.path
            assert issubclass(each.query, PageQuery), each.path
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"limit": 101}, PageQuery)


def test_every_list_that_is_sent_has_an_end():
    for each in operations():
        for kind in (each.body, each.query):
            for place, meta in _lists_in(kind, each.path):
                assert any(m.max_length is not None for m in meta), place


def _lists_in(kind: Any, place: str, meta: Sequence[msgspec.Meta] = ()) -> list[Any]:
    """Every list within a type that is read, with what is said of its length."""
    if hasattr(kind, "__metadata__"):
        metas = [each for each in kind.__metadata__ if isinstance(each, msgspec.Meta)]
        return _lists_in(get_args(kind)[0], place, metas)
    if isinstance(kind, type) and issubclass(kind, msgspec.Struct):
        hints = get_type_hints(kind, include_extras=True)
        return [one for name, hint in hints.items() for one in _lists_in(hint, f"{place} {name}")]
    found = [(place, meta)] if get_origin(kind) in (list, set, dict, frozenset) else []
    if get_origin(kind) is tuple and get_args(kind)[-1:] == (...,):
        found = [(place, meta)]
    return found + [one for part in get_args(kind) for one in _lists_in(part, place)]
