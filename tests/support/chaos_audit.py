"""The audit of a chaos run: what Zendesk told and Slack stored, compared; the table, and the history of each wrong."""

from __future__ import annotations

import json
import re
from collections import Counter, defaultdict
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

from chaos_play import RECIPE, RELAY_FLOW, Storm, Told
from chaos_weather import MOMENTS, SLACK_KINDS, ZENDESK_KINDS

from bolt_app.sandbox.records import Message
from zendesk_bridge.flows.model import parse_time, rfc3339

LINK = re.compile(r"/agent/tickets/(\d+)")
RELAY_LINE = re.compile(r"^Relay (\d+): (\d+) at (\S+)$")

#: A ticket, and who was told of it: somebody's Slack id.
Pair = tuple[int, str]


@dataclass(kw_only=True)
class Findings:
    """What is wrong, each with the assignments it is about."""

    lost: list[Told] = field(default_factory=list)
    # Answered with 2xx and not on disk by then: a repeated webhook or the poller may have brought it back.
    unstored: list[Told] = field(default_factory=list)
    duplicates: list[Told] = field(default_factory=list)
    out_of_order: list[Told] = field(default_factory=list)
    # What cannot be put down to an assignment.
    other: list[str] = field(default_factory=list)

    @property
    def wrong(self) -> list[Told]:
        """Every assignment with something wrong."""
        return [*self.lost, *self.unstored, *self.duplicates, *self.out_of_order]

    @property
    def passed(self) -> bool:
        return not self.wrong and not self.other


class Audit:
    """Looks at what both sandboxes saw; the connector's own rows only explain it."""

    def __init__(self, storm: Storm) -> None:
        self.storm = storm
        self._posted = storm.slack.posted()
        with closing(storm.read()) as connection:
            self._runs = [
                dict(row) | {"trigger": json.loads(row["data"])}
                for row in connection.execute(
                    "select runs.*, events.data, events.source, exists(select 1 from steps where run_id = runs.id"
                    " and key = 'notify') as notified from runs join events on events.id = runs.event_id"
                )
            ]
            self._steps: dict[str, list[dict[str, Any]]] = defaultdict(list)
            for row in connection.execute("select * from steps order by run_id, seq"):
                self._steps[row["run_id"]].append(dict(row))
            self._stored_at = {
                row["webhook_id"]: parse_time(row["stored_at"]).timestamp()
                for row in connection.execute(
                    "select webhook_id, min(accepted_at) as stored_at from assignments join runs"
                    " on runs.event_id = assignments.event_id where webhook_id is not null group by webhook_id"
                )
            }
        self.findings = Findings()
        self._compare_recipe()
        self._compare_relay()
        self._compare_acceptance()
        self._compare_order()
        self._look_around()

    # What should be there

    def _by_pair(self) -> dict[Pair, list[Told]]:
        pairs: dict[Pair, list[Told]] = defaultdict(list)
        for told in self.storm.told:
            pairs[told.ticket, told.agent.slack].append(told)
        return pairs

    def _compare_recipe(self) -> None:
        """One message for each assignment, to whom the ticket was given; who has it no more may be left out."""
        slack, agents = self.storm.slack, {str(each.zendesk): each.slack for each in self.storm.agents}
        messages: Counter[Pair] = Counter()
        for message in self._posted:
            if found := LINK.search(message.text):
                messages[int(found[1]), str(slack.channels[message.channel].im_with)] += 1
        stopped: Counter[Pair] = Counter(
            (int(run["trigger"]["ticket_id"]), agents.get(str(run["trigger"]["assignee_id"]), ""))
            for run in self._runs
            if run["flow"] == RECIPE and run["status"] == "succeeded" and not run["notified"]
        )
        last = {told.ticket: told for told in self.storm.told}
        for pair, told in self._by_pair().items():
            sent = messages.pop(pair, 0)
            has_it = last[pair[0]].agent.slack == pair[1]
            excused = stopped[pair] if told[0].relay else 0
            if sent + excused < len(told) or (has_it and not sent):
                self.findings.lost.append(told[-1])
            self.findings.duplicates += [told[-1]] * (sent - len(told))
        self.findings.other += [f"{count} messages to {who} of ticket {ticket}, which was never theirs"
                                for (ticket, who), count in messages.items()]  # fmt: skip

    def _compare_relay(self) -> None:
        """One message for each assignment of a ticket that goes back and forth, whoever has it by then."""
        agents = {str(each.zendesk): each.slack for each in self.storm.agents}
        messages = Counter((ticket, agents[assignee]) for ticket, assignee, _ in self._relay_lines())
        for pair, told in self._by_pair().items():
            if told[0].relay:
                self.findings.lost += told[: max(0, len(told) - messages[pair])]
                self.findings.duplicates += [told[-1]] * (messages[pair] - len(told))

    def _compare_acceptance(self) -> None:
        """What was answered with 2xx is on disk by then."""
        for told in self.storm.told:
            stored = self._stored_at.get(told.event["id"], float("inf"))
            if told.accepted_at is not None and stored > told.accepted_at:
                self.findings.unstored.append(told)

    def _relay_lines(self) -> list[tuple[int, str, str]]:
        found = [RELAY_LINE.match(message.text) for message in self._posted]
        return [(int(each[1]), each[2], each[3]) for each in found if each is not None]

    def _compare_order(self) -> None:
        """What was accepted before another webhook of the same ticket left Zendesk is told of before it."""
        place = {(ticket, stamp): number for number, (ticket, _, stamp) in enumerate(self._relay_lines())}
        tickets: dict[int, list[tuple[Told, int]]] = defaultdict(list)
        for told in self.storm.told:
            number = place.get((told.ticket, rfc3339(parse_time(told.event["time"]))))
            if told.relay and number is not None:
                tickets[told.ticket].append((told, number))
        for known in tickets.values():
            for later, number in known:
                # The poller may have found it as soon as it happened.
                left = later.at if "lost" in self.storm.families else later.tries[0].left
                if any(
                    told.accepted_at is not None and told.accepted_at < left and place > number
                    for told, place in known
                ):  # fmt: skip
                    self.findings.out_of_order.append(later)

    def _look_around(self) -> None:
        keys = Counter(message.metadata["event_payload"]["key"] for message in self._posted if message.metadata)
        for key, count in keys.items():
            if count > 1:
                self.findings.other.append(f"{count} messages carry the key {key}")
        for run in self._runs:
            if run["status"] != "succeeded":
                self.findings.other.append(f"a run is {run['status']}: {self._run(run)}")
        self.findings.other += [f"the process ended by itself, {each}" for each in self.storm.exits]
        self.findings.other += [f"the log has a defect:\n{each}" for each in self.storm.host.defects]
        if not self.storm.calm:
            self.findings.other.append(
                f"after the weather nothing got any further for {self.storm.pace.patience:.0f} s"
            )

    # What people read

    def table(self, title: str) -> str:
        """The closing table, as Markdown."""
        storm, told = self.storm, self.storm.told
        answered = [each for each in told if each.accepted_at is not None]
        refused = [each for each in answered if not each.tries[0].taken]
        repeated = sum(sum(each.taken for each in one.tries) - 1 for one in answered)
        rows: list[tuple[str, object]] = [
            ("events (tickets assigned)", len(told)),
            ("accepted (webhook answered 2xx)", len(answered)),
            ("refused or unanswered at first, delivered again", len(refused)),
            ("webhooks repeated after they were accepted", repeated),
            ("webhooks that came after a later one of the same ticket", self._reordered()),
            ("webhooks that never came, found by the poller", sum(each.assignment.lost for each in told)),
            ("runs", len(self._runs)),
            ("runs that have not ended", sum(run["status"] in ("queued", "running", "waiting") for run in self._runs)),
            ("messages in Slack", len(self._posted)),
            ("**accepted and not on disk by then**", f"**{len(self.findings.unstored)}**"),
            ("**lost**", f"**{len(self.findings.lost)}**"),
            ("**duplicates**", f"**{len(self.findings.duplicates)}**"),
            ("**out of order**", f"**{len(self.findings.out_of_order)}**"),
            ("kills with -9", sum(storm.kills.values())),
            *((f"– {words}", storm.kills[moment]) for moment, words in MOMENTS.items()),
        ]
        for service, kinds in (("slack", SLACK_KINDS), ("zendesk", ZENDESK_KINDS)):
            if service in storm.families:
                rows += [(words, storm.struck[service, kind]) for kind, words in kinds.items()]
        if "tokens" in storm.families:
            refusals = sum(call.status == 401 for call in storm.zendesk.state.calls)
            rows.append(("Zendesk's tokens ended early (calls answered 401)", f"{storm.tokens_ended} ({refusals})"))
        if "disk" in storm.families:
            kind = storm.host.disk.kind or "not possible on this machine"
            rows.append((f"disk full ({kind})", storm.disks_filled))
            rows.append(("starts refused on a full disk", storm.refused_starts))
        rows.append(("seconds", f"{storm.seconds:.0f}"))
        return "\n".join([f"| {title} | |", "|---|---:|", *(f"| {name} | {value} |" for name, value in rows)])

    def _reordered(self) -> int:
        tickets: dict[int, list[Told]] = defaultdict(list)
        for told in self.storm.told:
            if told.tries:
                tickets[told.ticket].append(told)
        return sum(
            any(later.tries[0].left < told.tries[0].left for later in known[place + 1 :])
            for known in tickets.values()
            for place, told in enumerate(known)
        )

    def history(self) -> str:
        """For each wrong: its ticket's deliveries, runs, steps and messages, in the order of time."""
        parts = list(self.findings.other)
        for told in {each.ticket: each for each in self.findings.wrong}.values():
            kinds = ("lost", "unstored", "duplicates", "out_of_order")
            names = [name for name in kinds if any(told.ticket == each.ticket for each in getattr(self.findings, name))]
            lines = [f"ticket {told.ticket}: {', '.join(names)}"]
            for each in self.storm.told:
                if each.ticket == told.ticket:
                    lost = ", webhook lost" if each.assignment.lost else ""
                    lines.append(
                        f"  {each.at:.3f} to {each.agent.name} ({each.agent.zendesk}), {each.event['id']}{lost}"
                    )
                    lines += [f"    {one.left:.3f} to {one.answered:.3f}: {one.statuses}" for one in each.tries]
            lines += [self._run(run) for run in self._runs if str(run["trigger"]["ticket_id"]) == str(told.ticket)]
            lines += [f"  {self._message(each)}" for each in self._posted if self._is_about(each, told.ticket)]
            parts.append("\n".join(lines))
        return "\n\n".join(parts)

    def _run(self, run: dict[str, Any]) -> str:
        shown = ("id", "flow", "status", "accepted_at", "started_at", "finished_at", "wake_at", "waiting_for", "error")
        lines = ["  run " + ", ".join(f"{name} {run[name]}" for name in (*shown, "note", "source") if run[name])]
        for step in self._steps[run["id"]]:
            seen = ("status", "attempts", "started_at", "begun_at", "looked_at", "finished_at", "error", "outputs")
            lines.append(
                f"    step {step['key']}: "
                + ", ".join(f"{name} {str(step[name])[:200]}" for name in seen if step[name])
            )
        return "\n".join(lines)

    def _is_about(self, message: Message, ticket: int) -> bool:
        found = LINK.search(message.text) or RELAY_LINE.match(message.text)
        return found is not None and int(found[1]) == ticket

    def _message(self, message: Message) -> str:
        flow = RELAY_FLOW if RELAY_LINE.match(message.text) else RECIPE
        key = message.metadata["event_payload"]["key"] if message.metadata else "none"
        return f"{message.at:.3f} message {message.ts} in {message.channel}, by {flow}, key {key}"
