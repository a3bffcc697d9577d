"""What the commands share: both sides for as long as a command runs."""

from __future__ import annotations

import asyncio
import getpass
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from bolt_app.commands.serve import configure_logging
from bolt_app.composition import Sides, wire
from bolt_app.settings import load

T = TypeVar("T")


@asynccontextmanager
async def both_sides() -> AsyncIterator[Sides]:
    """Both sides, not started: they read the database, and change it through whoever holds it."""
    sides = wire(load())
    try:
        yield sides
    finally:
        await sides.close()


def run(work: Callable[[Sides], Awaitable[T]]) -> T:
    """Runs a command's work with both sides. Raises SettingsError and whatever the work raises."""
    configure_logging(logging.ERROR)

    async def within() -> T:
        async with both_sides() as sides:
            return await work(sides)

    return asyncio.run(within())


def who() -> str:
    """Who types this: for the log and the history."""
    try:
        return f"{getpass.getuser()} (command line)"
    except (KeyError, OSError):
        return "command line"
