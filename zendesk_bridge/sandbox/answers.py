"""How the sandbox says no: Zendesk's error answers, in the four body shapes its clients meet."""

import math
from typing import Any

from aiohttp import web

NO_ACCESS = "You do not have access to this page. Please contact the account owner of this help desk for further help."
BAD_TOKEN = "The access token provided is expired, revoked, malformed or invalid for other reasons."  # noqa: S105 - an error's text
FAULT_PAGE = "<!DOCTYPE html>\n<html><head><title>{0}</title></head><body><h1>{0}</h1></body></html>\n"


class Refused(Exception):
    """Zendesk refuses the request."""

    def __init__(self, status: int, body: dict[str, Any], headers: dict[str, str] | None = None) -> None:
        super().__init__(status, body)
        self.status = status
        self.body = body
        self.headers = headers or {}

    def response(self) -> web.Response:
        """The refusal as an HTTP answer."""
        return web.json_response(self.body, status=self.status, headers=self.headers)


def record_not_found() -> Refused:
    """There is no such ticket, user, …."""
    return Refused(404, {"error": "RecordNotFound", "description": "Not found"})


def invalid_endpoint() -> Refused:
    """There is no such path; told apart from a missing record only by its name."""
    return Refused(404, {"error": "InvalidEndpoint", "description": "Not found"})


def invalid_attribute(name: str, must_be: str, action: str) -> Refused:
    """A parameter has the wrong form; `action` is Zendesk's name of the endpoint, `tickets/show`."""
    message = (
        f"You passed an invalid value for the {name} attribute. "
        f"Invalid parameter: {name} must be {must_be} from api/v2/{action}"
    )
    return Refused(400, {"error": {"title": "Invalid attribute", "message": message}})


def forbidden() -> Refused:
    """Known who asks, but not allowed: role, plan or scope."""
    return Refused(403, {"error": {"title": "Forbidden", "message": NO_ACCESS}})


def missing_scope(resource: str, verb: str) -> Refused:
    """The token's scope does not reach this far. Seen of Zendesk: `… required scopes: groups:read, read`."""
    description = f"You are missing the following required scopes: {resource}:{verb}, {verb}"
    return Refused(403, {"error": "Forbidden", "description": description})


def not_authenticated() -> Refused:
    """No credentials, or an e-mail and API token that do not fit."""
    return Refused(401, {"error": "Couldn't authenticate you"})


def invalid_token() -> Refused:
    """An OAuth token that is expired, revoked or was never given out."""
    challenge = {"WWW-Authenticate": 'Bearer realm="Zendesk", error="invalid_token"'}
    return Refused(401, {"error": "invalid_token", "error_description": BAD_TOKEN}, challenge)


def record_invalid(field: str, description: str) -> Refused:
    """A write that breaks a rule; `details` maps the field to its complaints."""
    details = {field: [{"description": description}]}
    return Refused(422, {"error": "RecordInvalid", "description": "Record validation errors", "details": details})


def oauth_error(status: int, error: str, description: str) -> Refused:
    """A refusal of `/oauth/tokens`."""
    return Refused(status, {"error": error, "error_description": description})


def listed_error(status: int, code: str, title: str, detail: str) -> Refused:
    """A refusal in the newer form, an array of errors (webhooks, pagination)."""
    return Refused(status, {"errors": [{"code": code, "title": title, "detail": detail}]})


def rate_limited(retry_after: float, what: str = "API requests") -> Refused:
    """Too many requests in this minute."""
    description = f"Number of allowed {what} per minute exceeded"
    return Refused(
        429,
        {"error": "APIRateLimitExceeded", "description": description},
        {"Retry-After": str(math.ceil(retry_after))},
    )
