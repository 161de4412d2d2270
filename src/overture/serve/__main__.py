"""`python -m overture.serve`: a serving process, whose parent hands it its orders and its sockets."""

import os
import socket
import sys

import msgspec

from overture.logs import log_to_stderr
from overture.serve.orders import Orders
from overture.serve.process import answer
from overture.serve.signals import ended_by_signals


def be_child() -> None:
    with ended_by_signals():
        # Unbuffered: what is left of the input tells, by its end, that the parent has gone.
        line = b""
        while not line.endswith(b"\n"):
            if not (more := os.read(0, 65536)):
                return
            line += more
        orders = msgspec.json.decode(line, type=Orders)
        log_to_stderr(orders.log_level, orders.log_format)
        listener = socket.socket(fileno=orders.listener)
        answer(orders, listener, _say_ready, child=True)


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


be_child()
