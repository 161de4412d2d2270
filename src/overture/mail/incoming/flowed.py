"""Paragraphs out of flowed text, whose lines programs broke where they liked. Source: RFC 3676."""

import re

_QUOTE = re.compile(r"(>*) ?(.*)", re.DOTALL)


def unflowed(text: str, *, delsp: bool) -> str:
    """The text with its lines joined again. `delsp`: the space at a line's end is no part of it."""
    whole: list[tuple[int, str]] = []
    flows = False
    for line in text.split("\n"):
        found = _QUOTE.fullmatch(line)
        assert found, "every line is a quotation of some depth"
        depth, said = len(found[1]), found[2]
        # The line above a signature ends as one that goes on, and does not.
        goes_on = said.endswith(" ") and said != "-- "
        shown = said[:-1] if goes_on and delsp else said
        if flows and whole[-1][0] == depth and said != "-- ":
            whole[-1] = (depth, whole[-1][1] + shown)
        else:
            whole.append((depth, shown))
        flows = goes_on
    return "\n".join(
        ">" * depth + " " * bool(depth) + said.rstrip(" ") if said != "-- " else ">" * depth + said
        for depth, said in whole
    )
