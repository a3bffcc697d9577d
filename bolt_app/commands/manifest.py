"""`zendesk-connector manifest`: the Slack app's manifest, for this installation."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

import typer

from bolt_app.settings import examine

#: In a checkout beside the package, in an installation inside it.
PLACES = (Path(__file__).parents[2] / "manifest.yml", Path(__file__).parents[1] / "manifest.yml")

_HTTP = """\
# The Slack app, over HTTP at {url}
# Create it at https://api.slack.com/apps > Create New App > From a manifest, and paste this. SLACK_SIGNING_SECRET is
# then under Basic Information > App Credentials.
"""


def manifest(
    public_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="Slack comes over HTTP to this https address; CONNECTOR_PUBLIC_URL if not given."
        ),
    ] = None,
    socket_mode: Annotated[
        bool, typer.Option("--socket-mode", help="Slack is reached over Socket Mode, whatever the settings say.")
    ] = False,
) -> None:
    """Prints the Slack app's manifest.

    For Socket Mode, or with an https address for HTTP. Paste it at https://api.slack.com/apps.
    """
    if public_url is not None and socket_mode:
        raise typer.BadParameter("give either --public-url or --socket-mode")
    text = text_of_manifest()
    url = None if socket_mode else public_url or examine().settings.connector_public_url
    typer.echo(text if url is None else over_http(text, _address(url)), nl=False)


def text_of_manifest(places: tuple[Path, ...] = PLACES) -> str:
    """The manifest as it is shipped: for Socket Mode."""
    return next(place for place in places if place.is_file()).read_text(encoding="utf-8")


def over_http(text: str, url: str) -> str:
    """The manifest for an app that Slack reaches over HTTP.

    Args:
        text: the manifest for Socket Mode.
        url: the https address of this connector, without a path.
    """
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.width = 120
    yaml.preserve_quotes = True
    yaml.indent(mapping=2, sequence=4, offset=2)
    document: Any = yaml.load(text[text.index("_metadata:") :])
    events = f"{url}/slack/events"
    for command in document["features"]["slash_commands"]:
        command["url"] = events
    document["oauth_config"].insert(0, "redirect_urls", [f"{url}/slack/oauth_redirect"])
    settings = document["settings"]
    settings["event_subscriptions"].insert(0, "request_url", events)
    settings["interactivity"]["request_url"] = events
    settings["socket_mode_enabled"] = False
    written = io.StringIO()
    yaml.dump(document, written)
    return _HTTP.format(url=url) + written.getvalue()


def _address(url: str) -> str:
    try:
        parts = urlsplit(url.strip())
        bare = not (parts.path.strip("/") or parts.query or parts.fragment or parts.username)
        fine = parts.scheme == "https" and bool(parts.hostname) and bare
    except ValueError:
        fine = False
    if not fine:
        raise typer.BadParameter("must be an https address without a path, such as https://connector.acme.example")
    return f"https://{parts.netloc}"
