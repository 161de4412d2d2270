"""Whether two letters say the same: a sketch of each, from which their likeness is told without them.

A sketch holds the smallest hashes of the letter's pairs of words (a bottom-k sketch of Broder's
shingles). Of two sketches, the share that their smallest common hashes have is close to the share of
pairs of words that the letters have in common. Names are taken out first, and so are numbers: whoever
changes only these sends the same letter.
"""

import re
from collections.abc import Collection
from hashlib import blake2b
from itertools import pairwise
from struct import unpack

from overture.core.text import fold

# So many hashes of eight bytes: a likeness is off by a tenth at most, all but always.
SKETCH_HASHES = 64
ALIKE_FROM = 0.6
# Too short to say anything of.
_WORDS_MIN = 8
_HASH_BYTES = 8
_WORD = re.compile(r"[^\W\d_]+")


def sketch_of(body: str, names: Collection[str]) -> bytes:
    """The sketch of a letter; `names` are its reader's and writer's. Empty where it is too short."""
    left_out = {word for name in names for word in _WORD.findall(fold(name))}
    words = [word for word in _WORD.findall(fold(body)) if word not in left_out]
    if len(words) < _WORDS_MIN:
        return b""
    hashes = {
        blake2b(f"{one} {other}".encode(), digest_size=_HASH_BYTES).digest()
        for one, other in pairwise(words)
    }
    return b"".join(sorted(hashes)[:SKETCH_HASHES])


def without_names(body: str, name: str) -> str:
    """The letter as it stands, but for each word of the name, in whose place an ellipsis is."""
    left_out = set(_WORD.findall(fold(name)))
    return _WORD.sub(lambda each: "…" if fold(each[0]) in left_out else each[0], body)


def likeness(one: bytes, other: bytes) -> float:
    """From 0 to 1: about which share of the two letters' pairs of words they have in common."""
    mine, theirs = hashes_of(one), hashes_of(other)
    if not mine or not theirs:
        return 0.0
    smallest = sorted(mine | theirs)[:SKETCH_HASHES]
    common = mine & theirs
    return sum(each in common for each in smallest) / len(smallest)


def are_alike(one: bytes, other: bytes) -> bool:
    # Most letters have next to nothing in common, which is soon told.
    common = len(hashes_of(one) & hashes_of(other))
    if common < ALIKE_FROM * min(len(one), len(other)) / _HASH_BYTES:
        return False
    return likeness(one, other) >= ALIKE_FROM


def hashes_of(sketch: bytes) -> frozenset[int]:
    """The numbers that a sketch holds, at most SKETCH_HASHES of them."""
    return frozenset(unpack(f">{len(sketch) // _HASH_BYTES}Q", sketch))
