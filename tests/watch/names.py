"""A server of names, for the records that a test wants to be found."""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

KINDS = {16: "TXT", 15: "MX"}


@contextmanager
def answering(records: Mapping[tuple[str, str], str]) -> Iterator[str]:
    """Knows these texts, and hosts that take mail; of everything else it says that there is none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as listener:
        listener.bind(("127.0.0.1", 0))
        over = threading.Event()

        def serve() -> None:
            while True:
                asked, peer = listener.recvfrom(4096)
                if over.is_set():
                    return
                listener.sendto(_answer(asked, records), peer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"
        over.set()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as last:
            last.sendto(b"end", listener.getsockname())
        thread.join()


def _answer(asked: bytes, records: Mapping[tuple[str, str], str]) -> bytes:
    labels, at = [], 12
    while length := asked[at]:
        labels.append(asked[at + 1 : at + 1 + length].decode().lower())
        at += length + 1
    kind = struct.unpack_from("!H", asked, at + 1)[0]
    question = asked[12 : at + 5]
    text = records.get((".".join(labels), KINDS.get(kind, "")))
    if text is None:
        return asked[:2] + struct.pack("!HHHHH", 0x8183, 1, 0, 0, 0) + question
    data = _text(text) if KINDS[kind] == "TXT" else struct.pack("!H", 10) + _name(text)
    record = b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(data)) + data
    return asked[:2] + struct.pack("!HHHHH", 0x8180, 1, 1, 0, 0) + question + record


def _text(text: str) -> bytes:
    return bytes([len(text)]) + text.encode()


def _name(name: str) -> bytes:
    return b"".join(bytes([len(each)]) + each.encode() for each in name.split(".")) + b"\0"
