"""espeak-ng behind a pipe: a program of its own, which the synthesiser starts by this file's path.

    python -I -S engine.py LIBRARY FOLDER

espeak-ng gives the same samples for the same text only in a process that has not spoken before, so
each utterance is spoken by a fork of this program, which has loaded the library and nothing else:
that costs 2 ms, and no thread or lock of the user's program is ever forked. Needs only the standard
library; nothing of the project may be imported here.

Both directions: 4 bytes of length, then that many bytes of JSON; answers are followed by the samples.
Request: ``{"text", "voice"}``. Answer: ``{"samples", "rate", "events"}`` or ``{"error"}``, where an
event is ``[type, position, length, sample, name]``.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import struct
import sys
import traceback
from pathlib import Path
from typing import Any, BinaryIO

LENGTH = struct.Struct(">I")
WORD, PHONEME = 1, 7  # event types of speak_lib.h
SYNCHRONOUS = 2
PHONEME_EVENTS, IPA_NAMES = 1, 2  # bits of the options of espeak_Initialize
UTF8 = 1


class Event(ctypes.Structure):
    """``espeak_EVENT`` of speak_lib.h; `id` is a union, of which `name` is the part for phonemes."""

    _fields_ = (
        ("type", ctypes.c_int),
        ("unique_identifier", ctypes.c_uint),
        ("text_position", ctypes.c_int),  # characters, the first one is 1
        ("length", ctypes.c_int),  # characters
        ("audio_position", ctypes.c_int),  # ms
        ("sample", ctypes.c_int),
        ("user_data", ctypes.c_void_p),
        ("name", ctypes.c_ubyte * 8),  # UTF-8; ends with a NUL only where it is shorter
    )

    def row(self) -> list[Any]:
        """Return the event as plain values."""
        # A name of more than 8 bytes is cut, perhaps within a character.
        name = bytes(self.name).split(b"\0")[0].decode("utf-8", "ignore") if self.type == PHONEME else ""
        return [self.type, self.text_position, self.length, self.sample, name]


Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.POINTER(Event))


class Engine:
    """The library, initialised; good for one utterance."""

    def __init__(self, library: str, folder: str) -> None:
        self._library = ctypes.CDLL(library)
        self._folder = Path(folder)
        self._events: list[list[Any]] = []
        self._blocks: list[bytes] = []
        self._callback = Callback(self._collect)  # held: the library keeps only the address
        self._library.espeak_SetSynthCallback(self._callback)
        # The library cuts paths at 160 bytes: a relative one is never too long.
        os.chdir(self._folder)
        self.rate = self._library.espeak_Initialize(SYNCHRONOUS, 0, b".", PHONEME_EVENTS | IPA_NAMES)

    def speak(self, text: str, voice: str) -> tuple[dict[str, Any], bytes]:
        """Return the header of the answer and the samples, 16-bit in the machine's byte order."""
        _, _, variant = voice.partition("+")
        # An unknown variant is ignored by the library, an unknown voice leaves the last one.
        known = not variant or (self._folder / "voices" / "!v" / variant).is_file()
        if not known or self._library.espeak_SetVoiceByName(voice.encode()):
            return {"error": f"espeak-ng has no voice {voice!r}"}, b""
        data = text.encode()
        status = self._library.espeak_Synth(data, len(data) + 1, 0, 1, 0, UTF8, None, None)
        if status:
            return {"error": f"espeak-ng gave up with status {status}"}, b""
        pcm = b"".join(self._blocks)
        return {"samples": len(pcm) // 2, "rate": self.rate, "events": self._events}, pcm

    def _collect(self, wave: Any, samples: int, events: Any) -> int:
        index = 0
        while events[index].type:  # the list ends with type 0
            if events[index].type in (WORD, PHONEME):
                self._events.append(events[index].row())
            index += 1
        if samples and wave:
            self._blocks.append(ctypes.string_at(wave, 2 * samples))
        return 0


def send(pipe: BinaryIO, header: dict[str, Any], payload: bytes = b"") -> None:
    """Write one message."""
    data = json.dumps(header, ensure_ascii=False).encode()
    rest = memoryview(LENGTH.pack(len(data)) + data + payload)
    while rest:  # an unbuffered pipe may take a part
        rest = rest[pipe.write(rest) :]
    pipe.flush()


def receive(pipe: BinaryIO) -> dict[str, Any] | None:
    """Read the JSON of one message, None at the end of the stream."""
    prefix = read(pipe, LENGTH.size)
    size = LENGTH.unpack(prefix)[0] if len(prefix) == LENGTH.size else 0
    data = read(pipe, size)
    return json.loads(data) if size and len(data) == size else None


def read(pipe: BinaryIO, size: int) -> bytes:
    """Read `size` bytes, fewer only at the end of the stream."""
    data = bytearray()
    while len(data) < size and (chunk := pipe.read(size - len(data))):
        data += chunk
    return bytes(data)


def serve(engine: Engine, requests: BinaryIO, answers: BinaryIO) -> None:
    """Answer each request from a fork, until the stream of requests ends."""
    while (request := receive(requests)) is not None:
        child = os.fork()
        if not child:
            _answer(engine, request, answers)
        _, status = os.waitpid(child, 0)
        if status:  # an answer may be cut off in the middle: the stream can't be used any more
            sys.exit(1)


def _answer(engine: Engine, request: dict[str, Any], answers: BinaryIO) -> None:
    status = 1
    try:
        header, pcm = engine.speak(request["text"], request["voice"])
        send(answers, header, pcm)
        status = 0
    except BrokenPipeError:  # nobody waits for it any more
        pass
    except BaseException:  # whatever happens, a fork must not go on as a second server
        traceback.print_exc()
    finally:
        os._exit(status)


if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program that asks; its end ends us
    serve(Engine(*sys.argv[1:3]), sys.stdin.buffer, sys.stdout.buffer)
