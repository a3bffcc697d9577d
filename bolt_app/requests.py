"""How requests are read: bodies of bounded size and time, and nothing that breaks on odd headers."""

from __future__ import annotations

import asyncio

from aiohttp import web

#: The largest request body that is read, in bytes.
BODY_LIMIT = 1024 * 1024
#: How long a body may take to arrive, in seconds.
BODY_WITHIN = 30.0


async def request_expectation(request: web.Request) -> None:
    """Asks for the body of a client that waits to be asked. aiohttp's own breaks on a header that is no text."""
    if request.headers.get("Expect", "").lower() != "100-continue":
        raise web.HTTPBadRequest
    await request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
    # What is counted is the answer.
    request.writer.output_size = 0


async def request_body(request: web.Request) -> bytes:
    """The body as it was sent; 413 while reading, 408 where it does not come."""
    if (request.content_length or 0) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, request.content_length or 0)
    try:
        if request.content.is_eof():  # most have arrived with their headers
            body = await request.read()
        else:
            async with asyncio.timeout(BODY_WITHIN):
                body = await request.read()
    except TimeoutError as problem:
        raise web.HTTPRequestTimeout from problem
    except ConnectionError as problem:  # nobody is there to read the answer
        raise web.HTTPBadRequest from problem
    if len(body) > BODY_LIMIT:
        raise web.HTTPRequestEntityTooLarge(BODY_LIMIT, len(body))
    return body
