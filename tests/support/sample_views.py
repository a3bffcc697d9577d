"""What views are made from, as the bridge's JSON has it: ordinary things, and hostile ones of any length."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

KEY = "notify-assigned-agents"
RUN_ID = f"01KB4Q7E2V8Z9:{KEY}"
AT, LATER = "2026-11-23T08:15:30.000000Z", "2026-11-23T08:15:30.320000Z"
ERROR = {
    "code": "users_not_found",
    "message": "Slack knows nobody with the address lin@example.com",
    "hint": "Check that the e-mail address is that of an active Slack account.",
}

CONNECTIONS: list[dict[str, Any]] = [
    {
        "service": "slack",
        "account": "Acme Support",
        "connected_by": "U0BOT00001",
        "since": "2026-10-01T07:00:00.000000Z",
        "scopes": ["chat:write", "commands"],
        "status": "ok",
        "message": None,
    },
    {
        "service": "zendesk",
        "account": "acme.zendesk.com",
        "connected_by": "connector@acme.example",
        "since": "2026-10-01T07:05:00.000000Z",
        "scopes": ["read"],
        "status": "unauthorized",
        "message": "Zendesk refused the credentials: invalid_client. Check the OAuth client in Admin Center.",
    },
]

FLOW: dict[str, Any] = {
    "key": KEY,
    "name": "Notify agents of newly assigned tickets",
    "version": 1,
    "active": True,
    "owner": "ada@acme.example",
    "trigger": "zendesk.ticket_agent_assignment_changed",
    "trigger_title": "Ticket agent assignment changed",
    "steps": 5,
    "last_run": {"id": RUN_ID, "status": "failed", "started_at": AT, "error": ERROR},
    "problem": None,
    "source": "recipe",
    "file_decides": False,
    "description": "Sends the new assignee a direct message in Slack.",
    "text": "key: notify-assigned-agents\nname: Notify agents of newly assigned tickets\n",
}
OTHER_FLOW: dict[str, Any] = FLOW | {
    "key": "urgent-to-channel",
    "name": "Urgent tickets to #support",
    "active": False,
    "last_run": None,
    "problem": "line 12: there is no action 'slack.pots_message'",
    "source": "flows/urgent.yml",
    "file_decides": True,
}

RUN: dict[str, Any] = {
    "id": RUN_ID,
    "flow": KEY,
    "version": 1,
    "event_id": "01KB4Q7E2V8Z9",
    "status": "failed",
    "started_at": AT,
    "finished_at": LATER,
    "error": ERROR,
    "note": None,
    "trigger": {"ticket_id": "4021", "assignee_id": "9001", "priority": None, "tags": ["grinder"]},
    "steps": [
        {
            "key": "ticket",
            "action": "zendesk.look_up_ticket",
            "status": "succeeded",
            "inputs": {"ticket_id": "4021"},
            "outputs": {"ticket_id": "4021", "subject": "Grinder <!channel> won't start", "priority": "high"},
            "error": None,
            "attempts": 1,
            "started_at": AT,
            "finished_at": "2026-11-23T08:15:30.120000Z",
        },
        {
            "key": "notify",
            "action": "slack.send_direct_message",
            "status": "failed",
            "inputs": {"email": "lin@example.com", "message": "Hi Lin,\n\nTicket 4021 &lt;!channel&gt; is yours."},
            "outputs": {},
            "error": ERROR,
            "attempts": 2,
            "started_at": AT,
            "finished_at": LATER,
        },
    ],
}
GOOD_RUN: dict[str, Any] = RUN | {"id": f"01KB4Q7E2V900:{KEY}", "status": "succeeded", "error": None}

# Words somebody else chose: markup, control characters, nothing, and very much.
HOSTILE = st.one_of(
    st.sampled_from(
        ["", " ", "<!channel>", "<@U0ADA00001>", "<https://evil.example|ok>", "`x`", "&amp;<", "a" * 9_000]
    ),
    st.text(max_size=20),
    st.text(alphabet="<>&!@|`*_\n\x00 x", min_size=1, max_size=12).map(lambda text: text * 300),
)
_KEYS = st.from_regex(r"[a-z][a-z0-9_-]{0,62}", fullmatch=True)
_TIMES = st.sampled_from([None, AT, LATER])
_ERRORS = st.none() | st.fixed_dictionaries({"code": _KEYS, "message": HOSTILE, "hint": HOSTILE})
_STATUSES = st.sampled_from(["queued", "running", "waiting", "succeeded", "failed", "cancelled"])
_VALUES = st.dictionaries(
    st.text(min_size=1, max_size=30), HOSTILE | st.none() | st.lists(HOSTILE, max_size=3), max_size=6
)

connections = st.lists(
    st.fixed_dictionaries(
        {
            "service": st.sampled_from(["slack", "zendesk", "other"]),
            "account": st.none() | HOSTILE,
            "connected_by": st.none() | HOSTILE,
            "since": _TIMES,
            "scopes": st.lists(HOSTILE, max_size=5),
            "status": st.sampled_from(["ok", "checking", "not_connected"]) | _KEYS,
            "message": st.none() | HOSTILE,
        }
    ),
    max_size=3,
)
last_runs = st.none() | st.fixed_dictionaries(
    {"id": HOSTILE, "status": _STATUSES, "started_at": _TIMES, "error": _ERRORS}
)
flows = st.fixed_dictionaries(
    {
        "key": _KEYS,
        "name": HOSTILE,
        "version": st.integers(0, 99),
        "active": st.booleans(),
        "owner": st.none() | HOSTILE,
        "trigger": st.none() | HOSTILE,
        "trigger_title": st.none() | HOSTILE,
        "steps": st.integers(0, 500),
        "last_run": last_runs,
        "problem": st.none() | HOSTILE,
        "source": HOSTILE,
        "file_decides": st.booleans(),
        "description": HOSTILE,
        "text": HOSTILE,
    }
)
steps = st.fixed_dictionaries(
    {
        "key": _KEYS,
        "action": st.sampled_from(["zendesk.look_up_ticket", "slack.send_direct_message"]),
        "status": _STATUSES | st.sampled_from(["skipped", "not_sent"]),
        "inputs": _VALUES | st.fixed_dictionaries({"email": HOSTILE, "message": HOSTILE}),
        "outputs": _VALUES,
        "error": _ERRORS,
        "attempts": st.integers(0, 9),
        "started_at": st.sampled_from([AT, LATER]),
        "finished_at": _TIMES,
    }
)
runs = st.fixed_dictionaries(
    {
        "id": st.none() | st.text(min_size=1, max_size=264),
        "flow": _KEYS,
        "version": st.integers(0, 99),
        "event_id": HOSTILE,
        "status": _STATUSES,
        "started_at": _TIMES,
        "finished_at": _TIMES,
        "error": _ERRORS,
        "note": st.none() | HOSTILE,
        "trigger": _VALUES,
        "steps": st.lists(steps, max_size=4),
    }
)
