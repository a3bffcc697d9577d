"""Requests from anybody, byte by byte: both routes refuse them, and go on."""

from __future__ import annotations

import asyncio
import random

import pytest

from bolt_app.server import Connector

NAMES = (
    *(b"X-Slack-Signature", b"X-Slack-Request-Timestamp", b"X-Zendesk-Webhook-Signature", b"Content-Type", b"Cookie"),
    *(b"X-Zendesk-Webhook-Signature-Timestamp", b"Content-Encoding", b"Authorization", b"X-Forwarded-For", b"Expect"),
)
VALUES = (
    b"v0=00",
    b"1700000000",
    b"2026-01-31T09:30:00Z",
    b"AAAA",
    b"\xff\xfe",
    b"application/json",
    b"",
    b"9" * 4_000,
    b"100-continue",
)
BODIES = (b"{}", b"[", b"payload=%7B%7D", b"\x00" * 100, b'{"type":"url_verification","challenge":"x"}', b"a=1")


def request(dice: random.Random, path: str) -> bytes:
    """A request that nobody signed, with headers of any kind, some of them twice."""
    headers = [(dice.choice(NAMES), dice.choice((*VALUES, dice.randbytes(8)))) for _ in range(dice.randrange(8))]
    headers = [(name, value.translate(None, b"\r\n\x00")) for name, value in headers]
    body = dice.choice((*BODIES, dice.randbytes(20)))
    lines = [name + b": " + value for name, value in headers]
    length = b"Content-Length: %d" % len(body)
    return b"\r\n".join([f"POST {path} HTTP/1.1".encode(), b"Host: x", length, b"Connection: close", *lines, b"", body])


async def answer(port: int, sent: bytes) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(sent)
    status, body = 0, b""
    async with asyncio.timeout(30):
        said = await reader.read()
    while said.startswith(b"HTTP/1."):
        status, (_, _, body) = int(said[9:12]), said.partition(b"\r\n\r\n")
        said = body if status == 100 else b""
    writer.close()
    return status, body


@pytest.mark.parametrize("path", ["/zendesk/events", "/slack/events"])
async def test_what_nobody_signed_is_refused_without_a_word_why(
    path: str, connector: Connector, caplog: pytest.LogCaptureFixture
) -> None:
    dice, port = random.Random(20260131), int(connector.url.rpartition(":")[2])
    seen = set()
    for _ in range(200):
        sent = request(dice, path)
        status, body = await answer(port, sent)
        assert status in (400, 401, 413), (sent, status, body)
        seen.add((status, body) if status == 401 else (status, b""))
    assert {body for status, body in seen if status == 401} <= {
        b"",
        b"401: Unauthorized",
        b'{"error": "invalid request"}',
    }
    assert await connector.sides.bridge.list_runs() == []
    assert [record.getMessage() for record in caplog.records if record.levelname in ("ERROR", "CRITICAL")] == []
