"""Asks a running server for its figures, as Prometheus does."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO

import httpx
from prometheus_client.parser import text_string_to_metric_families

from tests.ports import free_port
from tests.running import PATIENCE, Running, serving


class Figures:
    """What /metrics told: the value of a sample, and all samples of a name."""

    def __init__(self, text: str) -> None:
        self.samples: dict[str, dict[frozenset[tuple[str, str]], float]] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = frozenset(sample.labels.items())
                self.samples.setdefault(sample.name, {})[labels] = sample.value

    def of(self, name: str, **labels: str) -> float:
        """The sum over all samples that have these labels."""
        wanted = labels.items()
        return sum(
            value
            for has, value in self.samples.get(name, {}).items()
            if wanted <= dict(has).items()
        )

    def labels(self, name: str, label: str) -> set[str]:
        return {dict(has)[label] for has in self.samples.get(name, {})}


@contextmanager
def watched(
    *options: object, errors: IO[bytes] | None = None, **settings: str
) -> Iterator[tuple[Running, Callable[[], Figures]]]:
    """A server whose figures can be asked for."""
    port = free_port()
    listen = ("--metrics-listen", f"127.0.0.1:{port}")
    with serving(*options, *listen, errors=errors, **settings) as server:
        yield server, lambda: scrape(port)


def scrape(port: int) -> Figures:
    answer = httpx.get(f"http://127.0.0.1:{port}/metrics", timeout=PATIENCE)
    assert answer.status_code == 200, answer.text
    return Figures(answer.text)


def until(figures: Callable[[], Figures], holds: Callable[[Figures], bool]) -> Figures:
    """The figures as soon as they show it, and in the end the last ones in any case.

    They lag behind: they are looked at each second, the database every five.
    """
    until_at = time.monotonic() + PATIENCE
    while not holds(found := figures()) and time.monotonic() < until_at:
        time.sleep(0.2)
    return found


def send_a_letter(
    server: Running, sender: str = "ada", recipient: str = "ben"
) -> Mapping[str, str]:
    """From a new member with credits to another one; the letter's conversation, as it was answered."""
    ids = {name: server.make_member(name).json()["id"] for name in (sender, recipient)}
    for each in ids.values():
        server.request(
            "PUT",
            "/api/v1/me/subscriptions/premium",
            {"plan": "premium_business"},
            headers={"Act-As": each},
        ).raise_for_status()
    sent = server.request(
        "POST",
        "/api/v1/conversations",
        {"to": ids[recipient], "subject": "Hello", "body": "A word in private: zyzzyva."},
        headers={"Act-As": ids[sender]},
    )
    assert sent.status_code == 201, sent.text
    return sent.json()["conversation"] | {"sender": ids[sender], "recipient": ids[recipient]}
