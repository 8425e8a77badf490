"""Streamed answers of operations on their way to the client: passed on as they are, their usage read.

A stream that ends before its end was told gets an error in its own form behind it: clients take the mere end
of a stream for the end of an answer.
"""

from typing import Final, Protocol

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.chat import Failed
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats import bedrock_converse
from tollhouse.llm.formats.bedrock_converse.invoke import InvokeReader
from tollhouse.llm.formats.openai_chat.forward import COMPLETIONS, StreamMeter
from tollhouse.llm.formats.openai_chat.stream import failure
from tollhouse.llm.operations.counted import usage_told
from tollhouse.llm.reading import ENDED_EARLY
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent, SseReader

_SSE: Final = "text/event-stream"
_LINES: Final = "application/x-ndjson"
_FRAMES: Final = "application/vnd.amazon.eventstream"
_DONE: Final = b"[DONE]"
#: a line that grows beyond this is none, in bytes
_LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024


class Reader(Protocol):
    """What was learned from a stream so far."""

    @property
    def usage(self) -> Usage | None: ...
    @property
    def model(self) -> str: ...
    @property
    def written(self) -> int:
        """Bytes of text that the model wrote."""
        ...

    @property
    def complete(self) -> bool:
        """The answer has come to a good end."""
        ...

    def feed(self, data: bytes, last: bool) -> bytes:
        """What to send to the client now. Raises `PeerError` where the stream is none."""
        ...

    def fail(self, reason: str) -> bytes:
        """What tells the client that no more will come."""
        ...


def reader_for(content_type: str, *, hide_usage: bool = False) -> Reader | None:
    """By what the answer says it is; `None` for sound and whatever else is no stream of events."""
    if content_type.startswith(_SSE):
        return Events(hide_usage=hide_usage)
    if content_type.startswith(_LINES):
        return Lines()
    if content_type.startswith(_FRAMES):
        return Frames()
    return None


class _Event(msgspec.Struct, gc=False):
    type: str = ""
    object: str = ""
    delta: str | None = None
    text: str | None = None


_read_event: Final = msgspec.json.Decoder(_Event).decode


class Events:
    """Server-sent events: completions, and those of pictures, speech and transcriptions, whose last event
    is named `….done` or `….completed`."""

    def __init__(self, *, hide_usage: bool) -> None:
        self._completions: StreamMeter | None = None
        self._hide_usage = hide_usage
        self._reader = SseReader()
        self._is_complete = False
        self._usage: Usage | None = None
        self._model = ""
        self._written = 0
        self._begun = self._has_failed = False

    @property
    def complete(self) -> bool:
        done = self._is_complete if self._completions is None else self._completions.complete
        return done and not self._has_failed

    @property
    def usage(self) -> Usage | None:
        return self._usage if self._completions is None else self._completions.usage

    @property
    def model(self) -> str:
        return self._model if self._completions is None else self._completions.model

    @property
    def written(self) -> int:
        return self._written if self._completions is None else self._completions.written

    def fail(self, reason: str) -> bytes:
        return failure(reason)

    def feed(self, data: bytes, last: bool) -> bytes:
        if self._completions is not None:
            return self._completions.feed(data, last)
        passed = b""
        events = self._reader.feed(data)
        for place, event in enumerate(events):
            if not self._begun and event.data is not None and self._is_completion(event):
                # Completions have a meter of their own, which also takes out usage that nobody asked for.
                self._completions = StreamMeter(COMPLETIONS, hide_usage=self._hide_usage)
                rest = b"".join(later.raw for later in events[place:])
                held = b"".join(later.raw for later in self._reader.end())
                return passed + self._completions.feed(rest + held, last)
            self._note(event)
            passed += event.raw
        if not last:
            return passed
        for event in self._reader.end():
            self._note(event)
            passed += event.raw
        return passed if self._is_complete else passed + failure(ENDED_EARLY)

    def _is_completion(self, event: SseEvent) -> bool:
        self._begun = True
        try:
            return _read_event(event.data or b"").object == "text_completion"
        except MALFORMED:
            return False

    def _note(self, event: SseEvent) -> None:
        data = event.data
        if data is None:
            return
        if data == _DONE:
            self._is_complete = True
            return
        try:
            told = _read_event(data)
        except MALFORMED:
            return  # what it is, the client finds out
        self._begun = True
        self._written += len((told.delta or "").encode())
        if told.type.endswith((".done", ".completed", "error")):
            self._is_complete = True
            self._has_failed = told.type.endswith("error")
        if b'"usage"' in data:
            usage, model = usage_told(data, {}, "openai")
            self._usage, self._model = usage or self._usage, model or self._model


class _Line(msgspec.Struct, gc=False):
    done: bool = False
    response: str = ""
    error: str | None = None


_read_line: Final = msgspec.json.Decoder(_Line).decode


class Lines:
    """Ollama's lines, the last of which says that it is."""

    def __init__(self) -> None:
        self._held = b""
        self._is_complete = self._has_failed = False
        self.usage: Usage | None = None
        self.model = ""
        self.written = 0

    @property
    def complete(self) -> bool:
        return self._is_complete and not self._has_failed

    def fail(self, reason: str) -> bytes:
        return msgspec.json.encode({"error": reason}) + b"\n"

    def feed(self, data: bytes, last: bool) -> bytes:
        *lines, self._held = (self._held + data).split(b"\n")
        if len(self._held) > _LINE_LIMIT_BYTES:
            raise PeerError("the provider's stream has a line without an end")
        for line in lines:
            self._note(line)
        passed = b"".join(line + b"\n" for line in lines)
        if not last:
            return passed
        if self._held:
            self._note(self._held)
            passed += self._held + b"\n"
        return passed if self._is_complete else passed + self.fail(ENDED_EARLY)

    def _note(self, line: bytes) -> None:
        try:
            told = _read_line(line)
        except MALFORMED:
            return
        self.written += len(told.response.encode())
        if told.error is not None:
            self._is_complete = self._has_failed = True
        if told.done:
            self._is_complete = True
            self.usage, self.model = usage_told(line, {}, "ollama")


class Frames:
    """Bedrock's frames of InvokeModel."""

    def __init__(self) -> None:
        self._reader = InvokeReader()
        self.model = ""
        self.written = 0

    @property
    def usage(self) -> Usage | None:
        return self._reader.usage

    @property
    def complete(self) -> bool:
        return self._reader.is_complete

    def fail(self, reason: str) -> bytes:
        return bedrock_converse.stream_encoder(include_usage=True).encode(Failed(reason))

    def feed(self, data: bytes, last: bool) -> bytes:
        for _ in self._reader.feed(data):
            pass
        if last and not self._reader.is_complete:
            return data + self.fail(ENDED_EARLY)
        return data
