"""`zendesk-connector sandbox`: the main job on this machine alone, without any account."""

from __future__ import annotations


def sandbox() -> None:
    """placeholder"""
