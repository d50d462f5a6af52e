"""Clones whose recordings Git LFS holds: without it there is a line of text in the place of each."""

from __future__ import annotations

from builders.errors import AudioError
from builders.files import Files

POINTER = b"version https://git-lfs.github.com/spec/"
POINTER_BYTES = 1024  # no pointer is as long, few recordings are as short


def refuse_pointer(files: Files, member: str, size: int) -> None:
    """Raise AudioError if a member of `size` bytes is a pointer of Git LFS; long ones are not looked at."""
    if 0 < size < POINTER_BYTES and files.read(member).startswith(POINTER):
        raise AudioError("a Git LFS pointer, not the recording: run `git lfs pull` in the clone")
