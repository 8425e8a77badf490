"""Streams of responses, read into the neutral form.

Items are told apart by `output_index`: several may be under way at once, and ids of items are missing
or different at compatible providers. Usage stands in the terminal event, whichever of the three it is.
https://platform.openai.com/docs/api-reference/responses-streaming
"""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Citation,
    Delta,
    Finish,
    Logprobs,
    OtherPart,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Unshown,
)
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.openai_responses.response import (
    PARAGRAPH,
    PICTURE,
    Head,
    cited,
    kind_of,
    read_item,
)
from tollhouse.llm.logprobs import NOTHING_TOLD_BYTES, likely_in
from tollhouse.llm.openai_errors import trouble_in_stream
from tollhouse.llm.reading import EventDecoder
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent

STREAM_TYPE: Final = "text/event-stream"
_NOTHING: Final = msgspec.Raw()


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None


class _Event(msgspec.Struct):
    """One event of any type: the members that are read of some."""

    type: str = ""
    delta: str = ""
    output_index: int = 0
    summary_index: int = 0
    content_index: int = 0
    arguments: str | None = None
    item: msgspec.Raw = _NOTHING
    annotation: dict[str, Any] | None = None
    logprobs: msgspec.Raw = _NOTHING
    response: Head | None = None
    # of the type `error`, which some providers send without a type
    error: _Error | str | None = None
    message: str | None = None
    code: str | int | None = None


class _Call(msgspec.Struct):
    """`index` among the calls of the answer; `told` if some of its arguments were."""

    index: int
    told: bool = False


_read: Final = msgspec.json.Decoder(_Event).decode


class _Decoder(EventDecoder):
    __slots__ = ("_calls", "_said", "_started", "_thought", "_thoughts", "_usage")

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._usage: Usage | None = None
        #: by output index
        self._calls: dict[int, _Call] = {}
        #: output indexes of what was said and thought in pieces, so that it is not told again as a whole
        self._said: set[int] = set()
        self._thoughts: set[int] = set()
        #: the part of a thought that the last piece belonged to
        self._thought: tuple[int, str, int] | None = None

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        data = event.data
        if data is None or self._over or data == b"[DONE]":  # compatible servers send that as well
            return
        try:
            self._told(_read(data), deltas)
        except MALFORMED:
            self.skipped += 1

    def _told(self, event: _Event, deltas: list[Delta]) -> None:
        kind = event.type
        if kind == "error" or not kind:
            self._error(event, deltas)
            return
        if not self._started:
            self._start(event.response or Head(), deltas)
        if kind == "response.output_text.delta" or kind == "response.refusal.delta":
            self._said.add(event.output_index)
            if len(event.logprobs) > NOTHING_TOLD_BYTES and (tokens := likely_in(event.logprobs)):
                deltas.append(Logprobs(tokens))
            if event.delta:
                deltas.append(Text(event.delta))
        elif kind == "response.function_call_arguments.delta":
            self._arguments(event.output_index, event.delta, deltas)
        elif kind == "response.reasoning_summary_text.delta":
            self._thinking(event, (event.output_index, "summary", event.summary_index), deltas)
        elif kind == "response.reasoning_text.delta":
            self._thinking(event, (event.output_index, "content", event.content_index), deltas)
        elif kind == "response.output_text.annotation.added":
            if event.annotation is not None:
                deltas.append(_piece(cited(event.annotation)))
        elif kind == "response.output_item.added":
            self._added(event, deltas)
        elif kind == "response.output_item.done":
            self._done(event, deltas)
        elif event.response is not None:
            self._ended(kind, event.response, deltas)

    def _start(self, head: Head, deltas: list[Delta]) -> None:
        self._started = True
        deltas.append(Start(head.model or "", head.id or "", head.created))

    def _thinking(self, event: _Event, part: tuple[int, str, int], deltas: list[Delta]) -> None:
        if not event.delta:
            return
        earlier = self._thought
        follows = earlier is not None and earlier != part and earlier[0] == part[0]
        self._thought = part
        self._thoughts.add(event.output_index)
        deltas.append(Thinking(PARAGRAPH + event.delta if follows else event.delta))

    def _added(self, event: _Event, deltas: list[Delta]) -> None:
        if event.output_index in self._calls or kind_of(event.item) != "function_call":
            return
        item = read_item(event.item)
        call = self._calls[event.output_index] = _Call(len(self._calls))
        deltas.append(ToolStart(call.index, item.call_id or item.id or "", item.name or ""))

    def _arguments(self, output_index: int, fragment: str, deltas: list[Delta]) -> None:
        call = self._calls.get(output_index)
        if call is not None and fragment:
            call.told = True
            deltas.append(ToolArguments(call.index, fragment))

    def _done(self, event: _Event, deltas: list[Delta]) -> None:
        """An item as a whole: of what came in pieces only the proof of a thought is new."""
        kind, place = kind_of(event.item), event.output_index
        if kind == "message" and place not in self._said:
            item = read_item(event.item)
            deltas += [Logprobs(tokens)] if (tokens := item.likely()) else []
            deltas += map(_piece, item.texts())
        elif kind == "function_call":
            self._added(event, deltas)
            if not self._calls[place].told:
                self._arguments(place, read_item(event.item).arguments or "", deltas)
        elif kind == "reasoning":
            item = read_item(event.item)
            if place not in self._thoughts:
                thought = item.thought()
                if thought is not None:
                    deltas.append(thought)
            elif item.encrypted_content:
                deltas.append(Thinking("", item.encrypted_content))
        elif kind == PICTURE and (picture := read_item(event.item).picture()) is not None:
            deltas.append(picture)
        elif kind != "message":
            deltas.append(Unshown(kind))

    def _ended(self, kind: str, head: Head, deltas: list[Delta]) -> None:
        self._usage = head.usage.usage() if head.usage else None
        if kind == "response.completed" or kind == "response.incomplete":
            self._over = True
            deltas.append(Finish(head.reason(calls=bool(self._calls)), self._usage))
        elif kind == "response.failed" or kind == "response.cancelled":
            told = head.error
            text = (told and told.message) or "the provider failed to answer"
            trouble = trouble_in_stream(None if told is None else told.code, text)
            self._fail(text, deltas, trouble)

    def _error(self, event: _Event, deltas: list[Delta]) -> None:
        error = event.error
        if not event.type and error is None:
            return
        if error is None or isinstance(error, str):
            error = _Error(error or event.message, event.code)
        text = error.message or "the provider reported an error"
        self._fail(text, deltas, trouble_in_stream(error.code, text))

    def _counted(self) -> Usage | None:
        return self._usage


def _piece(part: Text | Citation | OtherPart) -> Delta:
    return Unshown(part.kind) if isinstance(part, OtherPart) else part


def stream_decoder() -> _Decoder:
    return _Decoder()
