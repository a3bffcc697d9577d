"""What each refusal of Zendesk's means for a run, and what the person who can mend it should do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import requests

from zendesk_bridge.flows.errors import ConnectorError, Credentials, Permanent, Transient, Uncertain

TOKEN_PATH = "/oauth/tokens"  # noqa: S105 - a path


def credentials(code: str, message: str) -> Credentials:
    return Credentials(
        code,
        message,
        service="zendesk",
        hint="Check the OAuth client in Admin Center > Apps and integrations > APIs > OAuth clients, and the settings.",
    )


def translated(problem: requests.RequestException) -> ConnectorError:
    """What happens next after a call that got no answer."""
    name = type(problem).__name__
    if isinstance(problem, requests.ConnectTimeout):
        return Transient("connect_timeout", "Zendesk cannot be reached")
    if isinstance(problem, requests.ConnectionError):
        # urllib3's own words for "nothing was sent": it never had a connection.
        reason = repr(problem.args[0] if problem.args else problem)
        if "NewConnectionError" in reason or "NameResolutionError" in reason or "ConnectTimeoutError" in reason:
            return Transient("unreachable", "Zendesk cannot be reached")
    return Uncertain("no_answer", f"The connection to Zendesk broke ({name})")


def raise_for(response: requests.Response, *args: Any, hide: Callable[[str], str], **options: Any) -> None:
    """Turns a refusal into an error that says what happens next. Runs before zenpy's own waiting and raising."""
    status = response.status_code
    if 200 <= status < 300:
        return
    detail = hide(_detail(response))[:300]  # hidden first: a half of a secret is one too
    if status == 429:
        raise Transient("rate_limit", "Zendesk's rate limit is used up", retry_after=retry_after(response), limit=True)
    if status >= 500:
        raise Uncertain("unavailable", f"Zendesk is not available ({status})")
    if status == 401 or (status == 400 and response.url.endswith(TOKEN_PATH)):
        raise credentials("unauthorized", f"Zendesk refused the credentials: {detail or status}")
    if status == 404 and "InvalidEndpoint" in detail:
        raise Permanent("invalid_endpoint", "Zendesk does not know this address", hint="Check ZENDESK_SUBDOMAIN.")
    codes = {
        403: ("forbidden", "The connector's user may not see or do this. Give its role the right in Admin Center."),
        404: ("not_found", "It may have been deleted, or the id is wrong."),
        422: ("unprocessable", "Check the inputs of the step."),
    }
    code, hint = codes.get(status, (f"http_{status}", "Check the inputs of the step and the settings."))
    raise Permanent(code, f"Zendesk answered {status}: {detail}" if detail else f"Zendesk answered {status}", hint=hint)


def retry_after(response: requests.Response) -> float:
    for name in ("retry-after", "rate-limit-reset", "ratelimit-reset"):
        value = response.headers.get(name, "")
        if value.isdigit():
            return float(value)
    return 60.0


def _detail(response: requests.Response) -> str:
    """The words of an error in any of Zendesk's four shapes."""
    try:
        body = response.json()
    except ValueError:
        return ""
    if not isinstance(body, dict):
        return ""
    error = body.get("error")
    if isinstance(error, dict):
        words = [str(error.get(name)) for name in ("title", "message") if error.get(name)]
    elif isinstance(error, str):
        words = [error, *(str(body[name]) for name in ("description", "error_description") if body.get(name))]
    else:
        errors = body.get("errors")
        words = [str(each.get("detail") or each.get("title")) for each in errors or () if isinstance(each, dict)]
    return ": ".join(words)
