"""Errors that say what to do."""

from __future__ import annotations


class CheckpointError(ValueError):
    """A checkpoint cannot be used: names the file, what is wrong, and what to do."""
