"""A memory for clients of Slack that are to look everything up."""

from __future__ import annotations


class NothingRemembered:
    """Forgets at once."""

    async def recall(self, kind: str, key: str, max_age: float | None = None) -> str | None:
        return None

    async def remember(self, kind: str, key: str, value: str) -> None:
        pass

    async def forget(self, kind: str, key: str) -> None:
        pass
