"""What can go wrong in a step, named by what happens next. Services translate their own errors into these."""

from __future__ import annotations


class ConnectorError(Exception):
    """A problem with a code for machines, a message for people and a hint that says what to do."""

    def __init__(self, code: str, message: str, *, hint: str = "") -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.hint = hint

    def as_json(self) -> dict[str, str]:
        """`{code, message, hint}`, the form every `error` in the history has."""
        return {"code": self.code, "message": self.message, "hint": self.hint}


class Transient(ConnectorError):
    """The service refused for now and nothing happened: the call may be sent again later."""

    def __init__(
        self, code: str, message: str, *, hint: str = "", retry_after: float | None = None, limit: bool = False
    ) -> None:
        super().__init__(code, message, hint=hint)
        #: Seconds the service asked us to wait; None where it named none.
        self.retry_after = retry_after
        #: Whether a rate limit was the reason.
        self.limit = limit


class Paced(Transient):
    """Not called yet: the service's limits are nearly used up. The run is woken when its turn has come."""

    def __init__(self, message: str, *, retry_after: float) -> None:
        hint = "Nothing needs to be done: it goes on by itself."
        super().__init__("limit", message, hint=hint, retry_after=retry_after, limit=True)


class Uncertain(ConnectorError):
    """The call may have happened: the answer was lost, or the service broke while it worked."""


class Permanent(ConnectorError):
    """The call will not work however often it is tried."""


class NeedsInvite(ConnectorError):
    """The bot is not in the channel: the run waits until somebody invites it."""

    def __init__(self, code: str, message: str, *, channel: str, hint: str = "") -> None:
        super().__init__(code, message, hint=hint)
        #: The channel as the flow names it: an id, or a name.
        self.channel = channel


class Credentials(ConnectorError):
    """The connection to a service is broken: runs wait until it is mended."""

    def __init__(self, code: str, message: str, *, service: str, hint: str = "") -> None:
        super().__init__(code, message, hint=hint)
        self.service = service


class FlowError(ConnectorError):
    """The flow itself cannot go on: a template, a condition or an input does not work with the values it got."""


class StorageError(ConnectorError):
    """The database cannot be read or written."""

    def __init__(self, message: str, *, hint: str = "Check the free space and the permissions of the folder.") -> None:
        super().__init__("storage", message, hint=hint)


class WrongVersion(StorageError):
    """The database was made by another version of this software."""


class Locked(ConnectorError):
    """Another process holds the database."""

    def __init__(self, path: str, pid: str) -> None:
        super().__init__(
            "locked",
            f"{path} is in use by process {pid}",
            hint="Stop that process first, or set CONNECTOR_DATABASE to another file.",
        )


class SettingsError(ConnectorError):
    """The settings do not allow what was asked for; `problems` has one line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("settings", "; ".join(problems))
        self.problems = problems


class NotFound(ConnectorError):
    """There is no flow, run or connection of that name."""
