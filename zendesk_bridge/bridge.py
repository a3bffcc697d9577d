"""The bridge: the one door to Zendesk, the flows and their history, for Slack's side and the commands."""

from __future__ import annotations

import asyncio
import logging
import math
import sqlite3
import uuid
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any, Protocol, TypeVar

from zendesk_bridge import actions, deletion, forgetting, recipes, triggers
from zendesk_bridge.account import ZendeskSettings
from zendesk_bridge.channels import Channels, Membership
from zendesk_bridge.client import ZendeskClient
from zendesk_bridge.connections import Connections
from zendesk_bridge.flows import history, open_runs, requests, store, versions
from zendesk_bridge.flows.backup import back_up
from zendesk_bridge.flows.catalog import Action, Catalog, Connector
from zendesk_bridge.flows.compiled import CompiledFlow
from zendesk_bridge.flows.context import about_event
from zendesk_bridge.flows.errors import ConnectorError, Locked, StorageError
from zendesk_bridge.flows.history import Wanted
from zendesk_bridge.flows.journal import Journal, Lock, connect_to_read, snapshot, storage_error
from zendesk_bridge.flows.library import Library, check
from zendesk_bridge.flows.model import Event, Problem, Readiness, Run, StoredFlow, rfc3339, utc_now
from zendesk_bridge.flows.outline import Outline, outline_of
from zendesk_bridge.flows.pauses import Timing
from zendesk_bridge.flows.reference import reference
from zendesk_bridge.flows.retention import Keep, Retention
from zendesk_bridge.flows.runner import Runner
from zendesk_bridge.flows.schema import flow_schema
from zendesk_bridge.folder import FlowFiles, Plan
from zendesk_bridge.incoming import Incoming, OpenEvent
from zendesk_bridge.linking import Linked, Linking
from zendesk_bridge.memory import Memory
from zendesk_bridge.metrics import Metrics
from zendesk_bridge.notices import Notices
from zendesk_bridge.poller import Poller, Polling
from zendesk_bridge.reads import Reads
from zendesk_bridge.settings import BridgeSettings
from zendesk_bridge.subscription import Subscription
from zendesk_bridge.tokens import StoredTokens
from zendesk_bridge.trial import would_start
from zendesk_bridge.trials import Trials
from zendesk_bridge.vault import Keyring, Vault, new_key, parse_keys
from zendesk_bridge.webhook import Webhook

__all__ = [
    "Bridge",
    "BridgeSettings",
    "Channels",
    "Incoming",
    "Keep",
    "Linked",
    "Linking",
    "Membership",
    "Memory",
    "OpenEvent",
    "Plan",
    "Polling",
    "Timing",
    "Vault",
    "Wanted",
    "ZendeskSettings",
    "new_key",
    "parse_keys",
]

log = logging.getLogger(__name__)

#: Requests whose answer takes long: forgetting writes the whole file anew, connecting asks both services.
SLOW = ("forget", "connect", "disconnect")

T = TypeVar("T")


class Linker(Protocol):
    """Connects a service and disconnects it."""

    async def connect(self, link: str | None) -> dict[str, Any]:
        """`{link, expires_at}` where somebody has to go there, else what is connected. Raises ConnectorError.

        Args:
            link: the hash of the link's secret part, where whoever asks keeps that; the answer's `link` lacks it then.
        """

    async def disconnect(self) -> dict[str, Any]:
        """`{done}`: what was done, for people. Raises ConnectorError."""

    def outcome(self, link: str) -> dict[str, Any] | None:
        """What a link led to; None where nobody has finished yet. Raises ConnectorError where it failed."""


class Bridge:
    """Receives events, runs flows, keeps history. Connectors are added before `start`."""

    def __init__(self, settings: BridgeSettings) -> None:
        self.settings = settings
        self._journal = Journal(settings.database)
        self.metrics = Metrics(
            self._journal,
            statuses=lambda: self.connections.statuses,
            connectors=lambda: self.catalog.connectors,
            poller_lag=lambda: self.poller.lag if self.poller else None,
            queued_writes=lambda: self._journal.queued,
            written_at=lambda: self._journal.written_at,
        )
        self.memory = Memory(self._journal)
        self.incoming = Incoming(self._journal)
        self.channels = Channels(self._journal)
        #: Called whenever something changed that people see.
        self.changed: Callable[[], None] = lambda: None
        self._added: list[Connector] = []
        self._opened = False
        self.notices = Notices(settings.default_owner, lambda: self.library.all(), self.memory)
        self.webhook = Webhook(self._webhook_secret, settings.webhook_max_age, self.handle, self.metrics.event)
        key_file = settings.database.with_name(f"{settings.database.name}.key")
        #: Tokens and other secrets, encrypted.
        self.vault = Vault(Keyring(settings.secret_key, key_file), read=self._peek, write=self._journal.write)
        #: Who connects and disconnects a service, by its name; a running connector has them.
        self.linkers: dict[str, Linker] = {}
        self._runner: Runner | None = None
        self._renewing: asyncio.Task[None] | None = None
        #: None where nothing is polled.
        self.poller: Poller | None = None
        self._desk = requests.Desk(self._journal, self._apply)
        self._retention = Retention(self._journal, settings.keep, forgetting.aged(settings.keep))

    def add(self, connector: Connector) -> None:
        """Adds a further service."""
        self._added.append(connector)

    def observer(self, service: str) -> Callable[[str, str], None]:
        """What counts a service's calls: takes the endpoint and the outcome."""
        return partial(self.metrics.call, service)

    @cached_property
    def zendesk(self) -> ZendeskClient:
        """The client of the Zendesk account."""
        return ZendeskClient(self.settings.zendesk, observe=self.observer("zendesk"), stored=self._tokens)

    @cached_property
    def _tokens(self) -> StoredTokens:
        return StoredTokens(self.vault, self._exclusively)

    @cached_property
    def subscription(self) -> Subscription:
        """The webhook at Zendesk."""
        return Subscription(
            self.zendesk.manage,
            self.vault,
            self._events_wanted,
            known=triggers.EVENT_TYPES.values(),
            public_url=self.settings.public_url,
            by_hand=self.settings.webhook_secret is not None,
        )

    def _events_wanted(self) -> list[str]:
        """The event types of Zendesk's that active flows start from."""
        return self.events_of(flow.definition.trigger.event for flow in self.library.all() if flow.active)

    def events_of(self, started_from: Iterable[str]) -> list[str]:
        """What Zendesk calls the events that flows start from."""
        events = set(started_from)
        return [name for event, name in triggers.EVENT_TYPES.items() if event in events]

    @cached_property
    def linking(self) -> Linking:
        """Connects the Zendesk account."""
        return Linking(
            self.settings.zendesk,
            self.zendesk,
            self._tokens,
            self.subscription,
            self.connections,
            self.settings.public_url,
        )

    def _webhook_secret(self) -> str | None:
        given = self.settings.webhook_secret
        return given.get_secret_value() if given else self.subscription.secret

    @asynccontextmanager
    async def _exclusively(self) -> AsyncGenerator[None]:
        """Within it no other process holds the database. Raises Locked."""
        if self._opened:
            yield
            return
        await self._journal.open()
        self._opened = True
        try:
            yield
        finally:
            self._opened = False
            await self._journal.close()

    @cached_property
    def reads(self) -> Reads:
        """What flows look up in the Zendesk account."""
        return Reads(self.zendesk, self.metrics.side_load_missed)

    @cached_property
    def catalog(self) -> Catalog:
        """All triggers and actions."""
        zendesk = Connector(
            service="zendesk",
            title="Zendesk",
            client=self.reads,
            identify=lambda: self.zendesk.identity(),
            actions=actions.ACTIONS,
            triggers=triggers.triggers(),
            scheduler=self.zendesk.pacing.scheduler,
        )
        return Catalog([zendesk, *self._added])

    def _folder(self) -> Path | None:
        default = self.settings.default_flows
        return self.settings.flows or (default if default and default.is_dir() else None)

    @cached_property
    def library(self) -> Library:
        """The flows there are."""
        return Library(self._journal, self.catalog, recipes.texts(), self._folder)

    @cached_property
    def files(self) -> FlowFiles:
        """The flow files, and what goes into their folder and out of it."""
        folder = self.settings.flows or self.settings.default_flows or Path("flows")
        return FlowFiles(self.catalog, recipes.texts(), folder)

    @cached_property
    def connections(self) -> Connections:
        """The state of the connections."""
        return Connections(
            self.catalog.connectors,
            self._journal,
            self._connection_mended,
            self.settings.mend_every,
            self.notices.tell_admin,
            lambda: self.changed(),
        )

    async def open(self) -> None:
        """Opens the database, reads the flows, takes events from now on. Raises Locked, StorageError."""
        await self._open()
        try:
            await self.subscription.load()
        except ConnectorError as problem:  # what needs it says so again, where it is needed
            log.warning("%s. %s", problem.message, problem.hint)
        self._runner = Runner(
            self._journal,
            self.catalog,
            timing=self.settings.timing,
            is_broken=self.connections.is_broken,
            broke=self.connections.broke,
            ended=self._ended,
            waits=self._waits,
            failed=lambda run, event: self.notices.failed(run.flow, run.id, event.subject, run.error or {}),
            observe=self._observe,
        )
        for connector in self.catalog.connectors:
            if connector.scheduler is not None:
                connector.scheduler.wakes(self._runner.nudge)

    def _ended(self, run: Run) -> None:
        self.metrics.run_ended(run.status)
        self.changed()

    def _waits(self, run: Run) -> None:
        kind, _, channel = (run.waiting_for or "").partition(":")
        if kind == "invite":
            self.notices.needs_invite(run.flow, channel)
        self.changed()

    def _observe(self, action: Action, problem: BaseException | None, seconds: float) -> None:
        self.metrics.step(action.id, problem, seconds)
        self.connections.answered(action.service, problem)

    async def start(self) -> None:
        """Opens what is not open; goes on with open runs, wakes waiting ones, checks connections, answers requests."""
        if self._runner is None:
            await self.open()
        assert self._runner is not None
        await self._runner.start()
        await self.connections.start()
        await self._desk.start()
        self._retention.start()
        self.subscription.follow()  # flows may have been switched while nothing ran
        self._renewing = asyncio.create_task(self.zendesk.keep_fresh(), name="zendesk-tokens")
        if self.settings.polling.every > 0:
            self.poller = Poller(
                self.zendesk,
                self._journal,
                self.settings.polling,
                handle=self.handle,
                is_awaited=lambda event: bool(self._starting_on(event)),
                broke=self.connections.broke,
                wanted_since=self.library.active_since,
                changed=lambda: self.changed(),
            )
            self.poller.start()

    async def stop(self, grace: float = 10.0) -> None:
        """Lets calls under way finish, stores everything, lets go of the database."""
        if self.poller is not None:
            await self.poller.stop()
        if self._runner is not None:
            await self._retention.stop()
            await self._desk.stop()
            await self.connections.stop()
            await self._runner.stop(grace)
            await self.notices.stop()
            self._runner = None
        if self._renewing is not None:
            self._renewing.cancel()
            await asyncio.gather(self._renewing, return_exceptions=True)
            self._renewing = None
        await self.subscription.stop()
        await self.zendesk.settle()
        await self._close()

    async def _open(self) -> None:
        await self._journal.open()
        self._opened = True
        try:
            await self.library.sync()
        except BaseException:
            await self._close()
            raise

    async def _close(self) -> None:
        if self._opened:
            self._opened = False
            await self._journal.close()
        if "reads" in self.__dict__:
            self.reads.close()
        if "zendesk" in self.__dict__:
            await self.zendesk.close()

    # Events

    async def receive_webhook(self, headers: Mapping[str, str], body: bytes) -> int:
        """Takes a request of Zendesk's webhook; returns the HTTP status to answer with.

        200 once the event and its runs are on disk; 204 where nothing is to be done; 400, 401, and 503 where the
        database does not take it, so that Zendesk sends it again.
        """
        return await self.webhook.receive(headers, body)

    async def handle(self, event: Event) -> bool:
        """Starts the active flows that want an event; False where none does. Raises StorageError."""
        assert self._runner is not None
        with about_event(event.id):
            starting, identify = self._starting_on(event), triggers.identify(event)
            wanting = [flow for flow in starting if would_start(flow, event)]
            if not wanting:
                if starting and identify:
                    await self._journal.write(identify)  # the first report decides: a later one starts nothing
                return False
            await self._runner.accept(event, wanting, identify)
        self.metrics.event_accepted(event.source)
        return True

    def _starting_on(self, event: Event) -> tuple[CompiledFlow, ...]:
        """The active flows that start on such an event; on a polled one, those that were active when it happened."""
        return self.library.starting_on(event.type, event.occurred_at if event.source == "poll" else None)

    async def invited(self, channel: str) -> None:
        """Lets runs go on that waited until the bot was invited to a channel (its id). Raises StorageError.

        Runs of flows that name a channel instead all try again: which name the id has, only Slack knows.
        """
        assert self._runner is not None
        waiting = await self._journal.read(store.awaited_invitations)
        names = (name for name in waiting if name.startswith("invite:#"))
        await self._runner.wake(f"invite:{channel}", "invite:#", *names)

    async def _connection_mended(self, service: str) -> None:
        assert self._runner is not None
        await self._runner.wake(f"connection:{service}")

    # Health

    def is_served(self) -> bool:
        """Whether another process holds the database and runs its flows."""
        if self._opened:
            return False
        lock = Lock(self.settings.database)
        try:
            lock.take()
        except Locked:
            return True
        lock.release()
        return False

    async def can_store(self) -> bool:
        """Whether events can be stored: tries it."""
        try:
            await self._journal.write(_heartbeat)
        except StorageError:
            return False
        return True

    async def readiness(self) -> Readiness:
        """Whether everything works."""
        stored, parts = await self.can_store(), self.connections.statuses
        ok = stored and all(status == "ok" for status in parts.values())
        if self.poller is not None:
            parts["poll"] = self.poller.state
            ok = ok and (self.poller.state == "ok" or self._webhook_secret() is not None)
        return Readiness(ok=ok, database="ok" if stored else "not_writable", parts=parts)

    # What people see

    async def list_flows(self) -> list[dict[str, Any]]:
        """Every flow, as `flows list --json` shows it."""
        return await self._read(lambda connection: history.list_flows(connection, self.catalog, self._default_owner))

    def active_flows(self) -> list[StoredFlow]:
        """The flows that are switched on, by key, with what their files say."""
        return [flow for flow in self.library.all() if flow.active]

    async def show_flow(self, key: str) -> dict[str, Any]:
        """One flow with its description and text. Raises NotFound."""
        return await self._read(
            lambda connection: history.show_flow(connection, key, self.catalog, self._default_owner)
        )

    async def list_versions(self, key: str) -> list[dict[str, Any]]:
        """The versions of a flow, as `flows history --json` shows them. Raises NotFound."""
        return await self._read(lambda connection: versions.list_versions(connection, key))

    async def version_text(self, key: str, version: int) -> str:
        """The file of a version. Raises NotFound."""
        return await self._read(lambda connection: versions.text_of(connection, key, version))

    async def version_diff(self, key: str, old: int | None, new: int | None) -> str:
        """What changed between two versions. Raises NotFound."""
        return await self._read(lambda connection: versions.diff(connection, key, old, new))

    @property
    def _default_owner(self) -> str | None:
        return self.settings.default_owner

    async def list_runs(
        self, limit: int | None = None, *, wanted: Wanted | None = None, offset: int = 0
    ) -> list[dict[str, Any]]:
        """Runs, newest first, as `runs list --json` shows them."""
        return await self._read(lambda connection: history.list_runs(connection, limit, wanted=wanted, offset=offset))

    async def list_failures(self, wanted: Wanted) -> list[dict[str, Any]]:
        """Failed runs by what failed, as `runs failures --json` shows them."""
        return await self._read(lambda connection: history.list_failures(connection, wanted))

    async def show_run(self, prefix: str) -> dict[str, Any]:
        """One run with its steps. Raises NotFound."""
        return await self._read(lambda connection: history.show_run(connection, prefix))

    async def outline(self, flow: str, version: int) -> tuple[Outline, ...]:
        """The steps of a version of a flow, with those inside them; none where the version is not there."""
        return await self._read(lambda connection: outline_of(connection, flow, version))

    async def waiting_runs(self) -> int:
        """How many runs wait: for an invitation, a connection, a decision, or a service."""
        return await self._read(lambda connection: open_runs.count(connection).by_status["waiting"])

    async def list_connections(self) -> list[dict[str, Any]]:
        """The connections, as `connections list --json` shows them."""
        return await self._read(history.list_connections)

    async def _read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        if self._opened:
            return await self._journal.read(work)
        if not self.settings.database.exists():
            await self._make()
        return await asyncio.to_thread(_read_once, self.settings.database, work)

    async def _peek(self, work: Callable[[sqlite3.Connection], T]) -> T | None:
        """The same; None where there is no database yet."""
        return await self._read(work) if self._opened or self.settings.database.exists() else None

    async def _make(self) -> None:
        """Makes the database for the first command on a new host: the recipes are there to see."""
        journal = Journal(self.settings.database)
        await journal.open()
        try:
            await Library(journal, self.catalog, recipes.texts(), self._folder).sync()
        finally:
            await journal.close()

    async def back_up(self, copy: Path) -> int:
        """Copies the database into a new file, served or not; returns its size in bytes. Raises ConnectorError."""
        return await asyncio.to_thread(back_up, self.settings.database, copy)

    # Checking

    def check(self, names: list[str]) -> list[Problem]:
        """What is wrong with flow files, folders or keys; with everything where none is named. Raises NotFound."""
        return check(names, recipes.texts(), self._folder(), self.catalog)

    async def compare_flows(self, folder: Path | None, *, empty: bool = False) -> dict[str, Any]:
        """What the files of a folder would change, as `flows sync --check --json` has it. Raises ConnectorError."""
        current = await self._peek(versions.select_current) or {}
        return await asyncio.to_thread(self.files.compare, folder, current, empty=empty)

    def schema(self) -> dict[str, Any]:
        """The JSON Schema of flow files."""
        return flow_schema(self.catalog)

    def reference(self) -> str:
        """Every trigger, action, operator and filter, as Markdown."""
        return reference(self.catalog)

    # Changing

    async def request(self, verb: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        """Changes something: here, if nobody else holds the database, else through the process that does.

        Verbs: `activate`, `deactivate` (key); `depends`, `delete` (key); `sync`; `folder`; `test` (key, event);
        `retry` (run, send, step), `cancel` (run); `replay` (event, flow); `forget` (requester);
        `connect`, `disconnect` (service), `outcome` (service, link); `rotate_key`; `budgets`.

        Raises:
            ConnectorError: it was refused.
        """
        if self._opened:
            return await self._apply(verb, args, by)
        try:
            await self._open()
        except Locked:
            within = 60.0 if verb in SLOW else requests.ANSWER_WITHIN
            return await asyncio.to_thread(requests.send, self.settings.database, verb, args, by, within)
        try:
            return await self._apply(verb, args, by)
        finally:
            await self._close()

    async def _apply(self, verb: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        try:
            return await self._do(verb, args, by)
        finally:
            self.changed()
            if verb in ("activate", "deactivate", "delete", "sync"):
                self.subscription.follow()

    async def _do(self, verb: str, args: Mapping[str, Any], by: str) -> dict[str, Any]:
        match verb:
            case "activate" | "deactivate":
                flow = await self.library.set_active(str(args["key"]), verb == "activate")
                log.info("flow %s is %s, by %s", flow.key, "active" if flow.active else "inactive", by)
                return {"key": flow.key, "active": flow.active}
            case "sync":
                problems = await self.library.sync()
                return {
                    "flows": [flow.key for flow in self.library.all()],
                    "problems": [each.as_json() for each in problems],
                }
            case "depends" | "delete":
                key, owner = str(args["key"]), self._default_owner
                found = await deletion.depends(self._journal, self.library, self.files, key, owner)
                return found if verb == "depends" else await deletion.delete(self.library, self.files, found, by)
            case "folder":
                return {"folder": str(self.files.folder.absolute())}
            case "test":
                return {"run": await self._start_test(str(args["key"]), args["event"])}
            case "retry" | "cancel":
                runner = self._runner or Runner(self._journal, self.catalog, works=False)
                run_id = (await self.show_run(str(args["run"])))["id"]
                if verb == "cancel":
                    run = await runner.cancel(run_id)
                elif args.get("send") is not None:
                    run = await runner.decide(run_id, send=bool(args["send"]))
                else:
                    run = await runner.retry_from(run_id, args.get("step"))
                return {"run": run.id, "status": run.status}
            case "connect" | "disconnect" | "outcome":
                linker = self.linkers.get(str(args["service"]))
                if linker is None:
                    raise ConnectorError(
                        "not_running",
                        "No connector is running that could be connected",
                        hint="Start `zendesk-connector serve` first, and leave it running.",
                    )
                if verb == "outcome":
                    return {"outcome": linker.outcome(str(args["link"]))}
                return await (linker.connect(args.get("link")) if verb == "connect" else linker.disconnect())
            case "rotate_key":
                return {"secrets": await self.vault.rotate()}
            case "budgets":
                return {"budgets": self.budgets()}
            case "replay":
                return {"runs": await self._replay(str(args["event"]), args.get("flow"))}
            case "forget":
                return await forgetting.forget(self._journal, self.memory, str(args["requester"]))
        raise ConnectorError("unknown_request", f"There is no request {verb!r}")

    # Testing

    @cached_property
    def trials(self) -> Trials:
        """What it takes to try flows."""
        return Trials(self.catalog, self.zendesk, self._folder, self._read)

    async def end_sleep(self, run_id: str) -> None:
        """Lets a run that sleeps in a `wait` go on at once: for trying flows where nobody waits for days."""
        if self._runner is not None:
            await self._runner.end_sleep(run_id)

    async def _start_test(self, key: str, event: Mapping[str, Any]) -> str:
        if self._runner is None:
            raise ConnectorError("not_running", "Only a running connector can test for real")
        accepted = await self._runner.accept(Event.from_json(event), [self.library.compiled(key)])
        return accepted[0].id

    def budgets(self) -> dict[str, dict[str, float | None]]:
        """Calls that may leave now, by service and kind of call; null where no limit is known."""
        found: dict[str, dict[str, float | None]] = {}
        for connector in self.catalog.connectors:
            left = connector.scheduler.budgets() if connector.scheduler else {}
            found[connector.service] = {name: value if math.isfinite(value) else None for name, value in left.items()}
        return found

    async def _replay(self, event_id: str, key: str | None) -> list[str]:
        """Runs an event of the past again; returns the ids of the runs. Raises ConnectorError."""
        if self._runner is None:
            raise ConnectorError("not_running", "Only a running connector can run an event again")
        event, service_id = await self._journal.read(lambda connection: history.event(connection, event_id))
        again = replace(event, id=str(uuid.uuid4()), source="replay")
        flows = [self.library.compiled(key)] if key else list(self.library.starting_on(event.type, None))
        wanting = [flow for flow in flows if key or would_start(flow, again)]
        if not wanting:
            hint = "`--flow KEY` runs one that is not active, or whose trigger's conditions do not hold."
            raise ConnectorError("unwanted", "No active flow wants this event", hint=hint)
        runs = await self._runner.accept(again, wanting, lambda connection: (again.id, service_id, True))
        return [run.id for run in runs]

    async def idle(self) -> None:
        """Waits until no run is under way."""
        if self._runner is not None:
            await self._runner.idle()


def _read_once(database: Path, work: Callable[[sqlite3.Connection], T]) -> T:
    connection = connect_to_read(database)
    try:
        with snapshot(connection):
            return work(connection)
    except sqlite3.Error as problem:
        raise storage_error(database, "read", problem) from problem
    finally:
        connection.close()


def _heartbeat(connection: sqlite3.Connection) -> None:
    connection.execute(
        "insert or replace into remembered(kind, key, value, at) values ('health', 'written', '', ?)",
        (rfc3339(utc_now()),),
    )
