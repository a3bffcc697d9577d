"""What every request passes: faults asked for by a test, rate limits, the record of calls, and headers."""

import asyncio
import hashlib
import math
import secrets
import time
from http import HTTPStatus

from aiohttp import web

from zendesk_bridge.sandbox.answers import FAULT_PAGE, Refused, invalid_endpoint, rate_limited
from zendesk_bridge.sandbox.asking import STATE
from zendesk_bridge.sandbox.limits import Bucket, Level
from zendesk_bridge.sandbox.records import Record
from zendesk_bridge.sandbox.routes import Handler
from zendesk_bridge.sandbox.state import Call, Fault, ZendeskState

API = "/api/v2/"
TOO_LARGE: Record = {"error": {"title": "Request Entity Too Large", "message": "The request body is too large."}}


@web.middleware
async def gate(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Lets a request through, or shows the fault a test asked for; writes the call down either way."""
    state = request.app[STATE]
    at = state.clock()
    for listener in state.on_request:
        listener(request.path)
    fault = _strike(state, request.path)
    if fault is not None and fault.delay > 0:
        await asyncio.sleep(fault.delay)
    answer: web.StreamResponse | None = None
    if fault is None or fault.after_work or fault.kind in ("slow", "half_body"):
        answer = await _answer(state, request, handler)
    if fault is not None and fault.kind != "slow":
        answer = await _faulty(request, fault, answer)
    dropped = fault is not None and fault.kind == "drop"
    state.calls.append(
        Call(
            method=request.method,
            path=request.path,
            query=dict(request.query),
            status=None if answer is None or dropped else answer.status,
            time=at,
        )
    )
    return answer if answer is not None else web.Response(status=500)


def _strike(state: ZendeskState, path: str) -> Fault | None:
    for fault in state.faults:
        if fault.times != 0 and (fault.path == "*" or fault.path in path):
            if fault.times > 0:
                fault.times -= 1
            if fault.times == 0:
                state.faults.remove(fault)
            return fault
    return None


async def _faulty(request: web.Request, fault: Fault, answer: web.StreamResponse | None) -> web.StreamResponse | None:
    retry = {} if fault.retry_after is None else {"Retry-After": str(math.ceil(fault.retry_after))}
    match fault.kind:
        case "status":
            text = FAULT_PAGE.format(f"{fault.status} {_phrase(fault.status)}")
            return web.Response(status=fault.status, text=text, content_type="text/html", headers=retry)
        case "rate_limited":
            return rate_limited(1 if fault.retry_after is None else fault.retry_after).response()
        case "html":
            return web.Response(text=FAULT_PAGE.format("Sign in to continue"), content_type="text/html")
        case "half_body":
            return await _half(request, answer)
        case _:
            if request.transport is not None:
                request.transport.close()
            return None


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Error"


async def _half(request: web.Request, answer: web.StreamResponse | None) -> web.StreamResponse:
    body = bytes(answer.body) if isinstance(answer, web.Response) and isinstance(answer.body, bytes) else b"{}"
    cut = web.StreamResponse(status=200 if answer is None else answer.status)
    cut.content_type = "application/json"
    cut.content_length = len(body)
    await cut.prepare(request)
    await cut.write(body[: len(body) // 2])
    if request.transport is not None:
        request.transport.close()
    return cut


async def _answer(state: ZendeskState, request: web.Request, handler: Handler) -> web.StreamResponse:
    began = time.perf_counter()
    headers: dict[str, str] = {}
    try:
        if request.path.startswith(API):
            _limit(state, request.method, request.path.removeprefix(API), headers)
        answer = await handler(request)
    except Refused as refused:
        answer = refused.response()
    except web.HTTPRequestEntityTooLarge:
        answer = web.json_response(TOO_LARGE, status=413)
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        answer = invalid_endpoint().response()
    if request.path.startswith(API):
        answer.headers.update(headers | _ordinary(request, answer, time.perf_counter() - began))
    return answer


def _limit(state: ZendeskState, method: str, path: str, headers: dict[str, str]) -> None:
    now = state.clock()

    def take(name: str, total: int) -> Level:
        return state.buckets.setdefault(name, Bucket()).take(now, total)

    if path.startswith("webhooks"):
        level = take("webhooks", state.webhook_requests_per_minute)
        # The webhooks service has its own count and sends the two older names only.
        headers.update({"X-Rate-Limit": str(level.total), "X-Rate-Limit-Remaining": str(level.remaining)})
    else:
        level = take("account", state.requests_per_minute)
        headers.update(level.account_headers(state.newer_rate_limit_names))
    if not level.allowed:
        raise rate_limited(level.resets)
    if method == "PUT" and path.startswith("tickets/"):
        level = take("ticket updates", state.ticket_updates_per_minute)
        if not level.allowed:
            raise rate_limited(level.resets, "ticket updates")
    if path.startswith("incremental/"):
        level = take("exports", state.exports_per_minute)
        cursor = "-cursor" if "/cursor" in path else ""
        headers[f"zendesk-ratelimit-incremental-exports{cursor}"] = level.endpoint_header()
        if not level.allowed:
            raise rate_limited(level.resets, "incremental export API requests")


def _ordinary(request: web.Request, answer: web.StreamResponse, seconds: float) -> dict[str, str]:
    headers = {"x-request-id": f"{secrets.token_hex(8)}-SBX", "x-zendesk-api-version": "v2"}
    if request.path.startswith(f"{API}webhooks"):
        return headers
    headers |= {"x-runtime": f"{seconds:.6f}", "x-zendesk-application-version": "v30000"}
    if answer.status == 200 and isinstance(answer, web.Response) and isinstance(answer.body, bytes):
        digest = hashlib.sha256(answer.body).hexdigest()[:32]
        return headers | {"cache-control": "max-age=0, private, must-revalidate", "etag": f'W/"{digest}"'}
    return headers | {"cache-control": "no-cache"}
