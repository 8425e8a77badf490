"""What is sent of a recorded answer, piece by piece, with faults and pauses. Pure."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias, get_args

from tollhouse.llm.dialogue import FORMS
from tollhouse.llm.form import Problem
from tollhouse.llm.formats.bedrock_converse.eventstream import FrameReader, frame
from tollhouse.replay.recordings import Recording

Fault: TypeAlias = Literal["cut", "stall", "garble", "slow", "429", "wrong-usage"]
FAULTS: Final[tuple[str, ...]] = get_args(Fault)
#: how long a slow provider thinks before each piece, in seconds
SLOW_SECONDS: Final = 0.5
#: in how many pieces a slow provider sends a whole answer
_SLOW_PIECES: Final = 8
_FRAMES: Final = "application/vnd.amazon.eventstream"
#: members that count tokens, in the words of all providers
_COUNT: Final = re.compile(rb'("[A-Za-z_]*(?:[Tt]oken|_eval_c)[A-Za-z_]*" ?: ?)(\d+)')
_WRONG_BY: Final = 7
#: nothing that can be in an event, but keeps lines and frames apart
_GARBAGE: Final = b'{"\xff\x00garbled'


@dataclass(frozen=True, slots=True)
class Manner:
    """How answers are sent."""

    #: bytes in a piece; `None`: as they were recorded
    split_bytes: int | None = None
    #: before each piece
    delay_seconds: float = 0.0
    fault: Fault | None = None


@dataclass(frozen=True, slots=True)
class Script:
    """An answer as it will be sent. `ends`: whether it is complete; else the connection is closed
    (`cut`) or kept open in silence (`stall`)."""

    status: int
    headers: tuple[tuple[str, str], ...]
    pieces: tuple[bytes, ...]
    chunked: bool
    delay_seconds: float
    ends: Literal["whole", "cut", "stall"] = "whole"

    @property
    def length(self) -> int:
        return sum(map(len, self.pieces))


def script_of(stored: Recording, manner: Manner) -> Script:
    """A recorded answer in that manner."""
    if manner.fault == "429":
        return _too_many(stored, manner)
    pieces: Sequence[bytes] = stored.chunks
    if manner.fault == "garble":
        pieces = _garbled(stored)
    elif manner.fault == "wrong-usage":
        pieces = [_miscounted(piece, stored.content_type) for piece in pieces]
    if manner.split_bytes is not None:
        pieces = list(_split(b"".join(pieces), manner.split_bytes))
    delay = manner.delay_seconds
    if manner.fault == "slow":
        delay = max(delay, SLOW_SECONDS)
        if len(pieces) == 1:
            pieces = list(_split(pieces[0], max(1, len(pieces[0]) // _SLOW_PIECES)))
    fields = tuple((name, value) for name, value in stored.headers.items() if name != "content-type")
    script = Script(
        stored.status,
        (("content-type", stored.content_type), *fields),
        tuple(pieces),
        stored.streamed,
        delay,
    )
    if manner.fault == "cut":
        return replace(script, ends="cut")
    return replace(script, ends="stall") if manner.fault == "stall" else script


def sent_pieces(script: Script) -> Iterator[bytes]:
    """The pieces that are sent at all: half of the bytes of an answer that does not end."""
    left = script.length if script.ends == "whole" else script.length // 2
    for piece in script.pieces:
        if left <= 0:
            return
        yield piece[:left]
        left -= len(piece)


def _too_many(stored: Recording, manner: Manner) -> Script:
    answer = FORMS[stored.form].encode_error(Problem("rate_limit", "drilled: too many requests", 429))
    fields = {"content-type": "application/json", "retry-after": "1", **answer.headers}
    return Script(429, tuple(fields.items()), (answer.body,), False, manner.delay_seconds)


def _split(content: bytes, size: int) -> Iterator[bytes]:
    for start in range(0, len(content), size):
        yield content[start : start + size]


def _garbled(stored: Recording) -> list[bytes]:
    """One event in the middle is no event any longer; of a whole answer its second half."""
    pieces = list(stored.chunks)
    middle = len(pieces) // 2
    if not stored.streamed:
        content = pieces[0]
        return [content[: len(content) // 2] + _GARBAGE]
    piece = pieces[middle]
    if stored.content_type.startswith(_FRAMES):
        # Neither the length nor the headers, so that only the sum of the frame is wrong.
        pieces[middle] = piece[:-8] + bytes(byte ^ 0x55 for byte in piece[-8:-4]) + piece[-4:]
        return pieces
    start = max(piece.find(b"{"), 0)
    end = len(piece.rstrip(b"\r\n"))
    pieces[middle] = piece[:start] + _GARBAGE + piece[end:]
    return pieces


def _miscounted(piece: bytes, content_type: str) -> bytes:
    """Ten times the tokens, and some."""
    if not content_type.startswith(_FRAMES):
        return _COUNT.sub(_wrong, piece)
    frames = [frame(each.headers, _COUNT.sub(_wrong, each.payload)) for each in FrameReader().feed(piece)]
    return b"".join(frames)


def _wrong(found: re.Match[bytes]) -> bytes:
    return found[1] + str(int(found[2]) * 10 + _WRONG_BY).encode()
