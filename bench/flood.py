"""Sends requests that are to be refused, so many a second: malformed, unsigned, wrongly signed, and too large.

flood.py URL RATE SECONDS; prints what it did when it is ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import signal
import sys
import time
from collections import Counter
from urllib.parse import urlsplit

CONNECTIONS = 20


def requests(host: str, path: str) -> list[bytes]:
    """One of each kind."""
    body = b'{"type":"zen:event-type:ticket.agent_assignment_changed","id":"bad","detail":{"id":"1"},"event":{}}'
    stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    signature = f"X-Zendesk-Webhook-Signature: AAAA\r\nX-Zendesk-Webhook-Signature-Timestamp: {stamp}\r\n"

    def request(content: bytes, headers: str = "", length: int | None = None) -> bytes:
        head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {length or len(content)}\r\n{headers}\r\n"
        return head.encode() + content

    return [request(body), request(body, signature), request(b"{" * 5_000, signature), request(b"x", "", 5_000_000)]


async def main(url: str, rate: float, seconds: float) -> None:
    """Floods until the time is over or somebody ends it."""
    address = urlsplit(url)
    kinds = itertools.cycle(requests(address.netloc, address.path))
    answers: Counter[int] = Counter()
    began = time.monotonic()
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)

    async def flood(number: int) -> None:
        turn = began + number / rate
        writer = None
        while not ended.is_set() and time.monotonic() - began < seconds:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError, ValueError):
                if writer is None:
                    reader, writer = await asyncio.open_connection(address.hostname, address.port)
                request = next(kinds)
                writer.write(request)
                head = await reader.readuntil(b"\r\n\r\n")
                answers[int(head.split()[1])] += 1
                length = next(int(line[16:]) for line in head.split(b"\r\n") if line[:15].lower() == b"content-length:")
                await reader.readexactly(length)
                if b"connection: close" in head.lower() or request.endswith(b"\r\n\r\nx"):  # the rest never comes
                    writer.close()
                    writer = None
            if writer is not None and (reader.at_eof() or writer.is_closing()):
                writer = None
            turn += CONNECTIONS / rate
            await asyncio.sleep(turn - time.monotonic())

    await asyncio.gather(*(flood(number) for number in range(CONNECTIONS)))
    took = time.monotonic() - began
    counted = ", ".join(f"{count:,} × {status}" for status, count in sorted(answers.items()))
    print(f"{sum(answers.values()) / took:,.0f} bad requests a second arrive ({counted})")


asyncio.run(main(sys.argv[1], float(sys.argv[2]), float(sys.argv[3])))
