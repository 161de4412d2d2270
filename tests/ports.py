"""Ports for servers that have to know their own beforehand. It needs nothing but Python."""

from __future__ import annotations

import random
import socket
from contextlib import suppress

# The system gives these to nobody who does not ask for one by its number.
PORTS = range(10_000, 32_000)


def free_port() -> int:
    """A port on which nobody listens, and that nobody else is given meanwhile."""
    for port in random.SystemRandom().sample(PORTS, 100):
        with suppress(OSError), socket.create_server(("127.0.0.1", port)):
            return port
    raise AssertionError("all ports are taken")
