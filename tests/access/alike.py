"""Whether two lives look alike, without what tells any two members apart."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import httpx

Told = Mapping[str, Any]


def said(answer: httpx.Response) -> tuple[int, dict[str, str], str]:
    headers = {name: value for name, value in answer.headers.items() if name != "content-length"}
    return answer.status_code, {n: masked(v) for n, v in headers.items()}, masked(answer.text)


def masked(text: str) -> str:
    """Without what tells any two members apart: their ids and names, and what is drawn from these;
    and without instants."""
    for pattern, instead in _MASKS.items():
        text = pattern.sub(instead, text)
    return text


_MASKS: Mapping[re.Pattern[str], str] = {
    re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"): "ID",
    re.compile(r"(?i)to-(?:blocked|optout|closing)(?:-\d+)?"): "WHOM",
    re.compile(r"(?i)from-(?:blocked|optout|closing)(?:-\d+)?"): "WHO",
    re.compile(r"(?<![0-9a-f])[0-9a-f]{64}(?![0-9a-f])"): "LINK",
    re.compile(r"\b20\d\d-\d\d-\d\dT[\d:.]+\d(?:Z|\+00:00)"): "AT",
    re.compile(r'(?<="sequence": )\d+'): "N",
    # The waves over a profile, and the colour behind initials.
    re.compile(r'<svg class="cover".*?</svg>', re.DOTALL): "COVER",
    re.compile(r'(?<=class="av )(s\d+) h\d'): r"\1",
}


def all_alike(told: list[tuple[str, Told]]) -> None:
    (first, said), *others = told
    for reason, each in others:
        assert each.keys() == said.keys()
        for what in said:
            where = _first_difference(str(each[what]), str(said[what]))
            assert not where, f"{what}: {reason} is not as {first}: {where}"


def _first_difference(one: str, other: str) -> str:
    at = next((n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b), None)
    if at is None and len(one) == len(other):
        return ""
    at = min(len(one), len(other)) if at is None else at
    return f"…{one[at - 60 : at + 60]}… instead of …{other[at - 60 : at + 60]}…"
