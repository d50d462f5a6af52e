"""Errors that users see: one line each, with what was found, what was expected, what to do."""

from __future__ import annotations

from datasets.exceptions import DatasetGenerationError


class CorpusError(DatasetGenerationError):
    """A corpus cannot be read.

    A subclass of datasets' own error, which it passes on as it is; any other error inside a
    builder is hidden behind "An error occurred while generating the dataset".
    """


class AudioError(ValueError):
    """One recording cannot be used; the message is the reason that the quarantine records."""


class MemberError(CorpusError):
    """One file of a corpus cannot be read; audio is quarantined for it, metadata ends the run."""


class TooManyBadFilesError(CorpusError):
    """More recordings than `max_bad` allows were quarantined."""
