"""Streamed answers of operations on their way to the client: passed on as they are, their usage read.

An event that cannot be read is left out and counted. A stream that ends before its end was told gets an error
in its own form behind it: clients take the mere end of a stream for the end of an answer.
"""

from collections.abc import Callable
from typing import Any, Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.chat import Failed, Trouble
from tollhouse.llm.dialogue import Got, Reader
from tollhouse.llm.form import MALFORMED, Unreadable
from tollhouse.llm.formats.openai_chat.forward import text_in
from tollhouse.llm.formats.openai_chat.stream import failed_by, failure
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.operations.frames import Frames
from tollhouse.llm.reading import ENDED_EARLY
from tollhouse.llm.trouble import trouble_of
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent, SseReader

_SSE: Final = "text/event-stream"
_LINES: Final = "application/x-ndjson"
_FRAMES: Final = "application/vnd.amazon.eventstream"
_DONE: Final = b"[DONE]"
#: a line that grows beyond this is none, in bytes
_LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024
#: largest answer that is collected
_WHOLE_LIMIT_BYTES: Final = 64 * 1024 * 1024
#: how names of events end that carry a piece of the answer, and of those that end it
_PIECES: Final = (".delta", ".segment", ".partial_image")
_ENDS: Final = (".done", ".completed")


def reader_for(content_type: str) -> Reader | None:
    """By what the answer says it is; `None` for sound and whatever else is no stream of events."""
    if content_type.startswith(_SSE):
        return Events()
    if content_type.startswith(_LINES):
        return Lines()
    if content_type.startswith(_FRAMES):
        return Frames()
    return None


class Collected:
    """A whole answer that came where a stream was asked for: kept until all of it is there, and made fit for
    the client then."""

    malformed = 0

    def __init__(self, finish: Callable[[bytes], Got]) -> None:
        """`finish` may raise `Unreadable`."""
        self._finish = finish
        self._held = bytearray()
        self.usage: Usage | None = None
        self.model = ""
        self.written = 0
        self.began = self.complete = False
        self.failed: Failed | None = None

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        self.failed = self.failed or Failed(reason, trouble)
        return failure(reason)

    def feed(self, data: bytes, last: bool) -> bytes:
        self._held += data
        if len(self._held) > _WHOLE_LIMIT_BYTES:
            raise PeerError("the provider's answer is too large")
        if not last:
            return b""
        try:
            got = self._finish(bytes(self._held))
        except Unreadable as error:
            raise PeerError(f"the provider's answer cannot be read: {error}") from None
        self.began = self.complete = True
        self.usage, self.model, self.written = got.usage, got.model, got.written
        return got.content


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    delta: str | None = None
    #: of compatible servers' transcriptions, whose events are those of chats
    choices: msgspec.Raw = msgspec.Raw()
    error: Any = None


_read_event: Final = msgspec.json.Decoder(_Event).decode


class Events:
    """Server-sent events of pictures, speech and transcriptions, whose last event is named `….done` or
    `….completed`. https://platform.openai.com/docs/api-reference/images-streaming,
    https://platform.openai.com/docs/api-reference/audio/speech-audio-delta-event"""

    def __init__(self) -> None:
        self._reader = SseReader()
        self.usage: Usage | None = None
        self.model = ""
        self.written = self.malformed = 0
        self.began = self.complete = False
        self.failed: Failed | None = None

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        self.failed = self.failed or Failed(reason, trouble)
        return failure(reason, trouble)

    def feed(self, data: bytes, last: bool) -> bytes:
        passed = b"".join([event.raw for event in self._reader.feed(data) if self._passes(event)])
        return passed + self._end() if last else passed

    def _end(self) -> bytes:
        """What is left, or that the answer is not complete. What was cut off is no malformed event."""
        malformed = self.malformed
        rest = b"".join([event.raw for event in self._reader.end() if self._passes(event)])
        self.malformed = malformed
        return rest if self.complete or self.failed is not None else rest + self.fail(ENDED_EARLY)

    def _passes(self, event: SseEvent) -> bool:
        """Whether the client gets the event."""
        data = event.data
        if data is None:
            return True  # a comment
        if data == _DONE:
            self.began = self.complete = True
            return True
        try:
            told = _read_event(data)
        except msgspec.ValidationError:
            self.began = True  # a shape younger than this file: not ours to judge
            return True
        except MALFORMED:
            self.malformed += 1
            return False
        self._learn(told)
        if b'"usage"' in data:
            usage, model = usage_told(data, {}, "openai")
            self.usage, self.model = usage or self.usage, model or self.model
        return True

    def _learn(self, told: _Event) -> None:
        if told.error is not None or told.type == "error":
            self.failed = failed_by(told.error)
            return
        self.written += len((told.delta or "").encode())
        if told.choices:
            self.written += text_in(told.choices)[1]
            self.began = self.began or self.written > 0
        elif told.type.endswith(_PIECES):
            self.began = True
        elif told.type.endswith(_ENDS):
            self.began = self.complete = True


class _Line(msgspec.Struct, gc=False):
    done: bool = False
    response: str = ""
    thinking: str | None = None
    error: str | None = None


_read_line: Final = msgspec.json.Decoder(_Line).decode


class Lines:
    """Ollama's lines, the last of which says that it is."""

    def __init__(self) -> None:
        self._held = b""
        self.usage: Usage | None = None
        self.model = ""
        self.written = self.malformed = 0
        self.began = self.complete = False
        self.failed: Failed | None = None

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        self.failed = self.failed or Failed(reason, trouble)
        return msgspec.json.encode({"error": reason}) + b"\n"

    def feed(self, data: bytes, last: bool) -> bytes:
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > _LINE_LIMIT_BYTES:
            raise PeerError("the provider's stream has a line without an end")
        passed = b"".join([line + b"\n" for line in lines if self._passes(line)])
        if not last:
            return passed
        malformed, rest = self.malformed, self._held
        if rest and self._passes(rest):
            passed += rest + b"\n"
        self.malformed = malformed
        return passed if self.complete or self.failed is not None else passed + self.fail(ENDED_EARLY)

    def _passes(self, line: bytes) -> bool:
        if not line.strip():
            return True
        try:
            told = _read_line(line)
        except msgspec.ValidationError:
            self.began = True
            return True
        except MALFORMED:
            self.malformed += 1
            return False
        if told.error is not None:
            self.failed = Failed(told.error, trouble_of(500, told.error))
            return True
        self.written += len(told.response.encode()) + len((told.thinking or "").encode())
        self.complete = self.complete or told.done
        self.began = self.began or self.complete or self.written > 0
        if told.done:
            self.usage, self.model = usage_told(line, {}, "ollama")
        return True
