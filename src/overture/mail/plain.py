"""A mail as plain text."""

from collections.abc import Iterator

from overture.mail.said import Buttons, Facts, Items, Note, Part, Said, Text, Written


def plain(said: Said, public_url: str) -> str:
    """The whole mail. What members wrote is marked line by line, so that none of it passes for ours."""
    blocks = [said.heading]
    blocks += [block for part in said.parts for block in _blocks(part, public_url)]
    # Programs know by this line where a mail ends.
    foot = ["-- ", said.why, *(f"{each.label}: {public_url}{each.path}" for each in said.ends)]
    return "\n\n".join([*blocks, "\n".join(foot)]) + "\n"


def _blocks(part: Part, public_url: str) -> Iterator[str]:
    match part:
        case Text() | Note():
            yield part.text
        case Written():
            yield "\n".join(each for each in (part.writer, part.about) if each)
            if part.subject:
                yield _marked(part.subject)
            for text in part.texts:
                yield _marked(text)
            if part.end:
                yield part.end
        case Buttons():
            for button in part.buttons:
                yield f"{button.label}:\n{public_url}{button.path}"
        case Facts():
            yield "\n".join(f"{name}: {told}" for name, told in part.facts)
        case Items():
            yield part.heading
            for item in part.items:
                lines = (item.heading, item.text, public_url + item.path)
                yield "\n".join(f"  {line}" for line in lines if line)


def _marked(text: str) -> str:
    return "\n".join(f"> {line}" for line in text.split("\n"))
