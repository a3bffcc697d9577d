"""`zendesk-connector rotate-key`: what is stored of the connections is encrypted with a new key."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from bolt_app.commands import accounts
from bolt_app.commands.working import run, who
from bolt_app.composition import Sides
from zendesk_bridge.bridge import new_key


def rotate_key(
    print_key: Annotated[
        bool, typer.Option("--print-key", help="Only print a new key, for CONNECTOR_SECRET_KEY.")
    ] = False,
) -> None:
    """Encrypts stored tokens with a new key.

    The key is in the file DATABASE.key, and is replaced there; or in CONNECTOR_SECRET_KEY, which has the new key before
    the old one then: NEW,OLD.
    """
    if print_key:
        typer.echo(new_key())
        return

    async def work(sides: Sides) -> tuple[dict[str, Any], bool]:
        return await sides.bridge.request("rotate_key", {}, who()), sides.bridge.vault.keyring.is_given

    answer, in_setting = run(work)
    accounts.rotated(answer, in_setting=in_setting)
