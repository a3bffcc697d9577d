"""`zendesk-connector serve`: the running connector."""

from __future__ import annotations

import asyncio
import gc
import logging
import sys

from bolt_app import logs
from bolt_app.settings import load
from zendesk_bridge.flows.errors import SettingsError


def serve() -> None:
    """Receives events and runs action flows.

    Until SIGTERM or Ctrl-C; SIGHUP reads the flow files again.
    """
    settings = load()
    problems = settings.problems()
    if problems:
        raise SettingsError([*problems, "`zendesk-connector doctor` shows every setting and where it came from."])
    logs.configure(logging.INFO, settings)
    logs.leave_out_what_no_line_shows()
    import uvloop

    from bolt_app.server import serve as run

    # A thread that wants the interpreter gets it where the loop calls the system, at the latest after so long: forcing
    # it six times as often, as Python does, costs a tenth of all work under load.
    sys.setswitchinterval(0.03)
    # What is loaded stays, and little that is made later forms cycles: looking for them takes a tenth of the time.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 50, 100)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(run(settings))
