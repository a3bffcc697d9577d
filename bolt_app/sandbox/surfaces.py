"""The methods that show modals and Home tabs."""

import hashlib
import json
from typing import Any, NoReturn

from bolt_app.sandbox.blocks import VIEW_BLOCKS, BlockError, check_blocks
from bolt_app.sandbox.people import APP_ID, BOT_ID, TEAM_ID
from bolt_app.sandbox.records import View
from bolt_app.sandbox.web_call import RefusalError, WebCall

VIEW_BYTES = 250_000
TRIGGER_SECONDS = 3.0


def open_view(call: WebCall) -> dict[str, Any]:
    """views.open"""
    state = call.state
    trigger = state.triggers.get(call.text("trigger_id") or call.text("interactivity_pointer"))
    if trigger is None:
        raise RefusalError("invalid_trigger_id")
    if trigger.used:
        raise RefusalError("exchanged_trigger_id")
    if state.clock() - trigger.at > TRIGGER_SECONDS:
        raise RefusalError("expired_trigger_id")
    content = _content(call, "modal")
    trigger.used = True
    return _store(call, content, trigger.user)


def publish_view(call: WebCall) -> dict[str, Any]:
    """views.publish"""
    state, user = call.state, call.text("user_id")
    if not state.home_tab_enabled:
        raise RefusalError("not_enabled")
    if user not in state.people:
        _invalid("[ERROR] invalid value for user_id")
    content = _content(call, "home")
    before = state.homes.get(user)
    given = call.text("hash")
    if given and (before is None or before.hash != given):
        raise RefusalError("hash_conflict")
    view = View(id=before.id if before else state.make_id("V"), content=content, hash=_hash(call, content), user=user)
    state.homes[user] = view
    return {"view": shown(view)}


def update_view(call: WebCall) -> dict[str, Any]:
    """views.update"""
    state, external = call.state, call.text("external_id")
    view = state.views.get(call.text("view_id")) or next(
        (known for known in state.views.values() if external and known.content.get("external_id") == external), None
    )
    if view is None:
        raise RefusalError("not_found")
    if call.text("hash") not in ("", view.hash):
        raise RefusalError("hash_conflict")
    content = _content(call, "modal", replaces=view.id)
    return _store(call, content, view.user, view.id)


def shown(view: View) -> dict[str, Any]:
    """Slack's view object."""
    content = {
        "private_metadata": "",
        "callback_id": "",
        "external_id": "",
        "clear_on_close": False,
        "notify_on_close": False,
        "submit": None,
        "close": None,
        **view.content,
    }
    if content["type"] == "home":
        content.setdefault("title", {"type": "plain_text", "text": "View Title", "emoji": True})
    return content | {
        "id": view.id,
        "team_id": TEAM_ID,
        "hash": view.hash,
        "state": {"values": {}},
        "previous_view_id": None,
        "root_view_id": view.id,
        "app_id": APP_ID,
        "app_installed_team_id": TEAM_ID,
        "bot_id": BOT_ID,
    }


def _store(call: WebCall, content: dict[str, Any], user: str, view_id: str | None = None) -> dict[str, Any]:
    view = View(id=view_id or call.state.make_id("V"), content=content, hash=_hash(call, content), user=user)
    call.state.views[view.id] = view
    return {"view": shown(view)}


def _content(call: WebCall, kind: str, replaces: str | None = None) -> dict[str, Any]:
    """The view that was sent, checked."""
    try:
        content = call.structure("view")
    except ValueError:
        _invalid("[ERROR] view must be valid JSON")
    if not isinstance(content, dict) or content.get("type") != kind:
        _invalid(f"[ERROR] must be a view of type {kind} [json-pointer:/view/type]")
    if len(json.dumps(content).encode()) > VIEW_BYTES:
        raise RefusalError("view_too_large")
    blocks = content.get("blocks")
    if not isinstance(blocks, list):
        _invalid("[ERROR] missing required field: blocks [json-pointer:/view]")
    try:
        check_blocks(blocks, most=VIEW_BLOCKS)
    except BlockError as error:
        # A view may hold more text than a message.
        if not error.too_long:
            _invalid(error.problem)
    if kind == "modal":
        _check_titles(content, has_input=any(block["type"] == "input" for block in blocks))
    external = content.get("external_id")
    if external and any(
        view.content.get("external_id") == external and view.id != replaces for view in call.state.views.values()
    ):
        raise RefusalError("duplicate_external_id")
    return content


def _check_titles(content: dict[str, Any], *, has_input: bool) -> None:
    for name in ("title", "submit", "close"):
        text = content.get(name)
        if text is None and name != "title":
            continue
        fine = isinstance(text, dict) and text.get("type") == "plain_text" and 1 <= len(str(text.get("text", ""))) <= 24
        if not fine:
            _invalid(f"[ERROR] must be plain_text of less than 25 characters [json-pointer:/view/{name}]")
    if has_input and content.get("submit") is None:
        _invalid("[ERROR] missing required field: submit [json-pointer:/view]")
    if len(str(content.get("private_metadata", ""))) > 3000:
        _invalid("[ERROR] must be less than 3001 characters [json-pointer:/view/private_metadata]")


def _invalid(problem: str) -> NoReturn:
    raise RefusalError("invalid_arguments", response_metadata={"messages": [problem]})


def _hash(call: WebCall, content: dict[str, Any]) -> str:
    digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]
    return f"{call.state.next_ts()}.{digest}"
