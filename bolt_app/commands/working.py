"""What the commands share: both sides for as long as a command runs."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import Awaitable, Callable
from typing import TypeVar

from bolt_app import logs
from bolt_app.composition import Sides, wire
from bolt_app.settings import Settings, load

T = TypeVar("T")


def run(work: Callable[[Sides], Awaitable[T]], settings: Settings | None = None) -> T:
    """Runs a command's work with both sides, not started: they read the database, and change it through its holder.

    Raises SettingsError and whatever the work raises.
    """
    settings = settings or load()
    logs.configure(logging.ERROR, settings)

    async def within() -> T:
        sides = wire(settings)
        try:
            return await work(sides)
        finally:
            await sides.close()

    return asyncio.run(within())


def who() -> str:
    """Who types this: for the log and the history."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
