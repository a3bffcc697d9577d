"""`zendesk-connector backup`: a copy of the database to keep elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from bolt_app.commands import display
from bolt_app.commands.flows import Json
from bolt_app.commands.working import run
from bolt_app.settings import load


def backup(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="A file that is not there yet.")], as_json: Json = False
) -> None:
    """Copies the database to a new file.

    While `serve` runs, or not. The copy is looked through before it counts, and only its owner may read it. The key
    file is never in it.
    """
    settings = load()
    size = run(lambda sides: sides.bridge.back_up(file), settings)
    database = settings.connector_database
    key_file = None if settings.connector_secret_key else str(database.with_name(f"{database.name}.key"))
    if as_json:
        display.json({"file": str(file), "bytes": size, "key_file": key_file})
    else:
        display.backed_up(str(file), size, key_file)
