"""A mail as HTML that mail programs show: tables, styles at the elements, and nothing to fetch."""

from functools import cache
from importlib import resources

from css_inline import CSSInliner
from jinja2 import Environment, PackageLoader, StrictUndefined

from overture.mail.said import Buttons, Facts, Items, Note, Said, Text, Written
from overture.words import Words

_PARTS = {
    Text: "text",
    Written: "written",
    Buttons: "buttons",
    Note: "note",
    Facts: "facts",
    Items: "items",
}


def page(said: Said, words: Words, public_url: str) -> str:
    """The whole mail, in the reader's language and with lines that begin where theirs do."""
    template = _environment().get_template("mail.html")
    parts = [(_PARTS[type(part)], part) for part in said.parts]
    shown = template.render(
        said=said,
        parts=parts,
        url=public_url,
        language=words.language,
        direction=words.direction,
    )
    return _inliner().inline(shown)


@cache
def _environment() -> Environment:
    return Environment(
        loader=PackageLoader("overture.mail"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )


@cache
def _inliner() -> CSSInliner:
    """Puts the styles where they belong. What depends on the reader's screen stays together at the top,
    for the programs that read it there."""
    style = (resources.files("overture.mail") / "templates" / "mail.css").read_text()
    return CSSInliner(keep_at_rules=True, load_remote_stylesheets=False, extra_css=style)
