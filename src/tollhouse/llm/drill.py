"""Answers that go wrong on purpose, for users who want to see what their clients make of them. Pure.

An answer is given in pieces, each with the seconds to wait before it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal, TypeAlias

import msgspec

from tollhouse.llm.chat import Chat, ChatRequest, Delta, Failed, Finish, Start, Text
from tollhouse.llm.form import Form
from tollhouse.pdk.usage import Usage

Fault: TypeAlias = Literal["none", "cut", "stall", "garble", "slow", "429", "wrong-usage", "error"]
Pieces: TypeAlias = Iterator[tuple[float, bytes]]

_FRAMES: Final = "application/vnd.amazon.eventstream"
#: nothing that can be in an event, but keeps lines apart
_GARBAGE: Final = b'{"\xff\x00garbled'
_WHOLE_PIECES: Final = 8
_WRONG_TIMES: Final = 10
BROKEN: Final = "drilled: the model has failed"


@dataclass(frozen=True, slots=True)
class Drill:
    """What goes wrong. Times in seconds."""

    fault: Fault
    text: str
    #: before each piece, and of a slow answer
    delay: float
    slow_delay: float
    #: of an answer that stalls
    silence: float

    @property
    def is_cut(self) -> bool:
        """The connection ends within the answer."""
        return self.fault in ("cut", "stall")

    @property
    def usage(self) -> Usage:
        """As many tokens as words; ten times that where it shall be wrong."""
        written = len(self.text.split())
        times = _WRONG_TIMES if self.fault == "wrong-usage" else 1
        return Usage(prompt_tokens=times, completion_tokens=times * written)

    def streamed(self, form: Form, chat: ChatRequest, id_: str, now: int) -> Pieces:
        """A stream, event by event."""
        encoder = form.stream_encoder(include_usage=chat.include_usage)
        words = self.text.split(" ")
        said = [Text(word if place == 0 else f" {word}") for place, word in enumerate(words)]
        deltas: list[Delta] = [Start(chat.model, id_, now), *said, Finish("stop", self.usage)]
        if self.fault == "error":
            deltas = [*deltas[: len(deltas) // 2], Failed(BROKEN)]
        events = [event for delta in deltas if (event := encoder.encode(delta))]
        if self.fault == "garble":
            middle = len(events) // 2
            events[middle] = garbled(events[middle], form.STREAM_TYPE)
        return self._in_time(events)

    def whole(self, form: Form, chat: ChatRequest, id_: str, now: int) -> Pieces:
        """An answer in one, cut up only for the faults that take time."""
        answer = Chat(
            model=chat.model, parts=(Text(self.text),), reason="stop", usage=self.usage, id=id_, created=now
        )
        content = msgspec.json.encode(form.encode_response(answer))
        if self.fault == "garble":
            content = content[: len(content) // 2] + _GARBAGE
        size = max(1, len(content) // _WHOLE_PIECES)
        return self._in_time([content[start : start + size] for start in range(0, len(content), size)])

    def _in_time(self, events: Sequence[bytes]) -> Pieces:
        delay = max(self.delay, self.slow_delay) if self.fault == "slow" else self.delay
        for event in events[: len(events) // 2] if self.is_cut else events:
            yield delay, event
        if self.fault == "stall":
            yield self.silence, b""


def garbled(event: bytes, stream_type: str) -> bytes:
    """An event that cannot be read, within bounds that can."""
    if stream_type.startswith(_FRAMES):
        # Neither the length nor the headers, so that only the sum of the frame is wrong.
        return event[:-8] + bytes(byte ^ 0x55 for byte in event[-8:-4]) + event[-4:]
    start, end = max(event.find(b"{"), 0), len(event.rstrip(b"\r\n"))
    return event[:start] + _GARBAGE + event[end:]


def asked_with(chat: ChatRequest, model: str) -> ChatRequest:
    """The request, with a name for the model if it has none."""
    return chat if chat.model else replace(chat, model=model)
