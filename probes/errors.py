"""The error that users of the probes see: one line with what is wrong and what to do."""

from __future__ import annotations


class ProbeError(ValueError):
    """A table cannot be probed as asked; the command prints the message and exits with status 2."""
