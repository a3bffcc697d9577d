"""`zendesk-connector serve`: the running connector."""

from __future__ import annotations

import asyncio
import logging
import sys
import time

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
    configure_logging(logging.INFO)
    from bolt_app.server import serve as run

    asyncio.run(run(settings))


def configure_logging(level: int) -> None:
    """Logs a line an event to standard error; the libraries' own chatter only from warnings up."""
    # UTC, as in the history: the two are read side by side.
    form = logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    form.converter = time.gmtime
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(form)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in ("bolt_app", "zendesk_bridge"):
        logging.getLogger(name).setLevel(level)
