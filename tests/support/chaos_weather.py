"""The weather of a chaos run, planned ahead from one seed: what happens when, and what goes wrong meanwhile."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

#: The kinds of trouble that can be chosen with `--faults`.
FAMILIES = ("slack", "zendesk", "tokens", "disk", "repeated", "reordered", "lost")
#: How an answer of Slack's goes wrong, and in which words the table counts it.
SLACK_KINDS = {
    "drop_after": "Slack stored the message, connection dropped",
    "http_after": "Slack stored the message, answered an error page",
    "half_body": "Slack stored the message, half an answer",
    "slow_after": "Slack stored the message, slow answer",
    "slow": "Slack slow to store the message",
    "drop": "Slack dropped the connection, nothing stored",
    "http": "Slack answered 500, 503 or HTML",
    "error": "Slack answered internal_error, fatal_error, …",
    "rate_limited": "Slack answered 429 with Retry-After",
}
ZENDESK_KINDS = {
    "status": "Zendesk answered 500 or 503",
    "rate_limited": "Zendesk answered 429 with Retry-After",
    "html": "Zendesk answered 200 with HTML",
    "half_body": "Zendesk sent half an answer",
    "slow": "Zendesk slow to answer",
    "drop": "Zendesk dropped the connection",
}
SLACK_ERRORS = ("internal_error", "fatal_error", "service_unavailable", "request_timeout")
#: Assignments in a row of a ticket that goes back and forth between two agents.
RELAY = 4

Moment = Literal["random", "post", "delivery", "start"]
#: When the process is killed, in the words of the table.
MOMENTS: dict[Moment, str] = {
    "random": "at a random moment",
    "post": "when Slack had stored a message and not answered",
    "delivery": "while it took a webhook",
    "start": "while it started",
}


@dataclass(frozen=True, kw_only=True)
class Pace:
    """How fast things go; all in seconds."""

    # None: the engine's waits are those it is shipped with. Else its looks for a message whose answer was lost.
    looks: tuple[float, float] | None
    # How long a process lives after it began to take events.
    life: tuple[float, float]
    # How long a slow answer takes. Longer than a call may take, where the engine's looks are its own.
    slow: tuple[float, float]
    # How long a message takes to show up in Slack's history.
    lag: float
    retry_after: tuple[int, int]
    # How long the disk stays full.
    disk: tuple[float, float]
    poll: float
    # After the weather: how long nothing may get any further until it counts as stuck.
    patience: float


SHORT = Pace(
    looks=(1.0, 3.0), life=(0.4, 3.0), slow=(0.05, 0.4), lag=0.3, retry_after=(1, 1), disk=(0.5, 1.0), poll=1.0,
    patience=30.0,
)  # fmt: skip
LONG = Pace(
    looks=None, life=(0.4, 5.0), slow=(0.2, 12.0), lag=2.0, retry_after=(1, 4), disk=(1.0, 3.0), poll=10.0,
    patience=180.0,
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Assignment:
    """A ticket is given to an agent, and how Zendesk tells of it."""

    ticket: int
    # Which of the agents gets it.
    agent: int
    # Seconds after the process is started: when it happens.
    at: float
    # Seconds until the webhook leaves Zendesk.
    delay: float = 0.0
    # The webhook never leaves Zendesk.
    lost: bool = False
    # Seconds after the webhook was taken: when it comes again.
    repeats: tuple[float, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """A fault of a service, as its sandbox plays it."""

    service: Literal["slack", "zendesk"]
    kind: str
    at: float
    # Slack's method or a part of Zendesk's path.
    where: str
    times: int = 1
    status: int = 503
    error: str = ""
    content_type: str = "text/html"
    retry_after: int = 1
    delay: float = 0.0
    after_work: bool = False


@dataclass(kw_only=True)
class Spell:
    """One life of the process: from its start until it is killed."""

    kill: Moment
    life: float
    # The message or the delivery at which it is killed.
    number: int = 1
    assignments: list[Assignment] = field(default_factory=list)
    troubles: list[Trouble] = field(default_factory=list)
    # When Zendesk's tokens end, and from when for how long the disk is full.
    tokens_end: float | None = None
    disk_full: tuple[float, float] | None = None
    # Whether Slack's history lags.
    lags: bool = False


def plan(seed: int, kills: int, events: int, agents: int, pace: Pace, families: frozenset[str]) -> list[Spell]:
    """The weather, a spell for each kill. The same arguments give the same plan."""
    chance = random.Random(seed)
    spells = [_spell(chance, pace, families) for _ in range(kills)]
    for spell, assignment in _assignments(chance, kills, events, agents, pace, families):
        spells[spell].assignments.append(assignment)
    return spells


def _spell(chance: random.Random, pace: Pace, families: frozenset[str]) -> Spell:
    (kill,) = chance.choices(list(MOMENTS), weights=(4, 3, 2, 1))
    life = chance.uniform(*pace.life)
    spell = Spell(kill=kill, life=life, number=chance.randint(1, 6))
    if kill == "start":
        spell.life = chance.uniform(0.05, 1.0)
    for service in ("slack", "zendesk"):
        if service in families:
            for _ in range(chance.randint(1, 5)):
                spell.troubles.append((_slack if service == "slack" else _zendesk)(chance, pace, life))
    if "slack" in families:
        spell.lags = chance.random() < 0.3
    if "tokens" in families and chance.random() < 0.5:
        spell.tokens_end = chance.uniform(0, life + 1)
    if "disk" in families and chance.random() < 0.2:
        spell.disk_full = chance.uniform(0.5, life + 1), chance.uniform(*pace.disk)
    return spell


def _slack(chance: random.Random, pace: Pace, life: float) -> Trouble:
    kind = chance.choice(list(SLACK_KINDS))
    # What leaves a doubt matters most where something is made.
    other = chance.choice(("*", "conversations.history"))
    where = "chat.postMessage" if kind.endswith("_after") or chance.random() < 0.7 else other
    return Trouble(
        service="slack",
        kind=kind,
        at=chance.uniform(0, life + 1),
        where=where,
        times=chance.randint(1, 2),
        status=chance.choice((200, 500, 502, 503)),
        error=chance.choice(SLACK_ERRORS),
        content_type=chance.choice(("text/html", "text/plain", "application/json")),
        retry_after=chance.randint(*pace.retry_after),
        delay=chance.uniform(*pace.slow) if kind.startswith("slow") else 0.0,
    )


def _zendesk(chance: random.Random, pace: Pace, life: float) -> Trouble:
    kind = chance.choice(list(ZENDESK_KINDS))
    return Trouble(
        service="zendesk",
        kind=kind,
        at=chance.uniform(0, life + 1),
        where=chance.choice(("*", "/tickets", "/users", "/oauth/tokens")),
        times=chance.randint(1, 3),
        status=chance.choice((500, 502, 503)),
        retry_after=chance.randint(*pace.retry_after),
        delay=chance.uniform(*pace.slow) if kind == "slow" else 0.0,
        after_work=chance.random() < 0.5,
    )


def _assignments(
    chance: random.Random, spells: int, events: int, agents: int, pace: Pace, families: frozenset[str]
) -> Iterator[tuple[int, Assignment]]:
    """Most tickets are assigned once; one event in six is of a ticket that goes back and forth."""
    relays = max(1, events // 6 // RELAY)
    ticket = 0
    for _ in range(relays):
        spell, at = chance.randrange(spells), chance.uniform(0, pace.life[1])
        pair = chance.sample(range(agents), 2)
        for turn in range(RELAY):
            yield spell, _assignment(chance, ticket, pair[turn % 2], at, families)
            at += chance.uniform(0.05, 1.5)
        ticket += 1
    for _ in range(events - relays * RELAY):
        at = chance.uniform(0, pace.life[1])
        yield chance.randrange(spells), _assignment(chance, ticket, chance.randrange(agents), at, families)
        ticket += 1


def _assignment(chance: random.Random, ticket: int, agent: int, at: float, families: frozenset[str]) -> Assignment:
    lost = chance.random() < 0.1
    delay = chance.uniform(0.2, 3.0) if chance.random() < 0.3 else 0.0
    repeats = tuple(chance.uniform(0, 4) for _ in range(chance.choice((0, 0, 0, 1, 2))))
    return Assignment(
        ticket=ticket,
        agent=agent,
        at=at,
        delay=delay if "reordered" in families else 0.0,
        lost=lost and "lost" in families,
        repeats=repeats if "repeated" in families else (),
    )
