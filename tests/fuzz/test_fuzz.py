"""Every parser of strangers' bytes takes what a fuzzer found, and what lies near to what it knows."""

from __future__ import annotations

from functools import cache
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from markupsafe import Markup

from overture.core import text
from overture.store import pages
from overture.web import prose
from tests.fuzz.targets import HERE, TARGETS, seeds

FINDINGS = sorted((HERE / "findings").glob("*/*"))
# Of each target. `make fuzz` tries many more, and better ones.
SPOILT = 25


@pytest.mark.parametrize("finding", FINDINGS, ids=lambda file: f"{file.parent.name}-{file.name}")
def test_what_was_found_breaks_nothing_any_more(finding: Any) -> None:
    TARGETS[finding.parent.name](finding.read_bytes())


@pytest.mark.parametrize("target", TARGETS)
def test_nothing_near_what_is_known_breaks_it(target: str) -> None:
    known = _known(target)
    for seed in known:
        TARGETS[target](seed)

    @settings(
        max_examples=SPOILT,
        phases=(Phase.explicit, Phase.generate),
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
    )
    @given(st.data())
    def spoils(data: st.DataObject) -> None:
        TARGETS[target](data.draw(_spoilt(target)))

    spoils()


@cache
def _known(target: str) -> list[bytes]:
    return list(seeds(target))


@st.composite
def _spoilt(draw: st.DrawFn, target: str) -> bytes:
    """Something known with pieces taken out, put in, doubled, or from another one."""
    known = st.sampled_from(_known(target))
    raw = draw(known)[:8192]
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(raw)))
        end = draw(st.integers(start, min(len(raw), start + 64)))
        piece = draw(
            st.binary(max_size=16)
            | st.sampled_from(_ODD)
            | st.just(raw[start:end] * 2)
            | known.map(lambda other, s=start, e=end: other[s:e])
        )
        raw = raw[:start] + piece + raw[end:]
    return raw


_ODD = [
    b"\0",
    b"\xff\xfe",
    b"\xed\xa0\x80",
    "\u202e".encode(),
    b"\r\n\r\n",
    b"9" * 40,
    b"-1",
    b"[" * 200,
    b'"',
    b"\\ud800",
    b"%00",
    b"1e999",
    b"&#1114112;",
]


@pytest.mark.parametrize(
    ("target", "module", "name", "broken", "found_by"),
    [
        ("texts", prose, "escape", Markup, b"see <script>"),
        ("texts", text, "_FORBIDDEN", text._DIRECTION_CONTROLS, b"a\0b"),
        ("cursors", pages, "urlsafe_b64decode", lambda raw: None, b"Wzdd"),
    ],
)
def test_a_target_whose_parser_is_broken_says_so(
    target: str, module: Any, name: str, broken: Any, found_by: bytes
) -> None:
    TARGETS[target](found_by)
    prose.letter.cache_clear()
    prose.chat.cache_clear()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, name, broken)
        with pytest.raises((AssertionError, TypeError)):
            TARGETS[target](found_by)
    prose.letter.cache_clear()
    prose.chat.cache_clear()
