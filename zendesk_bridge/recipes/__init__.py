"""The flows shipped with the software, one file each."""

from __future__ import annotations

from importlib.resources import files


def texts() -> dict[str, str]:
    """Each recipe's file name and text."""
    return {
        each.name: each.read_text(encoding="utf-8")
        for each in sorted(files(__name__).iterdir(), key=lambda each: each.name)
        if each.name.endswith(".yml")
    }
