"""Streams of ConverseStream: frames with an event each.

Blocks have an index; those of text and thoughts begin with their first delta, those of calls with an
event. `metadata`, with the counts, comes after `messageStop`.
https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
"""

from base64 import b64encode
from typing import Any, Final

import msgspec

from tollhouse.errors import PeerError
from tollhouse.llm.chat import (
    Delta,
    Failed,
    Finish,
    Image,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Trouble,
)
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.bedrock_converse.errors import trouble_of_kind
from tollhouse.llm.formats.bedrock_converse.eventstream import (
    CONTENT_TYPE,
    Frame,
    FrameReader,
)
from tollhouse.llm.formats.bedrock_converse.response import (
    Trace,
    invoked_model,
    reason_of,
    stop_sequence_in,
)
from tollhouse.llm.formats.bedrock_converse.usage import Counts

STREAM_TYPE: Final = CONTENT_TYPE
#: the statuses of what can be told so, for those whose kind does not say enough
_STATUSES: Final = {"validationException": 400}


class _ToolInput(msgspec.Struct):
    input: str = ""


class _Reasoning(msgspec.Struct):
    text: str = ""
    signature: str | None = None
    redactedContent: str | None = None


_NO_THOUGHT: Final = _Reasoning()


class _Source(msgspec.Struct, rename={"data": "bytes"}):
    data: bytes = b""


class _Picture(msgspec.Struct):
    source: _Source = msgspec.field(default_factory=_Source)


class _PictureStart(msgspec.Struct):
    format: str = ""


class _Piece(msgspec.Struct):
    image: _Picture | None = None
    text: str | None = None
    toolUse: _ToolInput | None = None
    reasoningContent: _Reasoning | None = None


class _BlockDelta(msgspec.Struct):
    delta: _Piece
    contentBlockIndex: int = 0


class _ToolUse(msgspec.Struct):
    toolUseId: str = ""
    name: str = ""
    #: of a tool that runs at the provider
    type: str | None = None


class _Opening(msgspec.Struct):
    toolUse: _ToolUse | None = None
    image: _PictureStart | None = None


class _BlockStart(msgspec.Struct):
    start: _Opening
    contentBlockIndex: int = 0


class _BlockStop(msgspec.Struct):
    contentBlockIndex: int = 0


class _MessageStop(msgspec.Struct):
    stopReason: str
    additionalModelResponseFields: Any = None


class _Metadata(msgspec.Struct):
    usage: Counts | None = None
    trace: Trace | None = None


class _Exception(msgspec.Struct):
    message: str = ""


_read_delta: Final = msgspec.json.Decoder(_BlockDelta).decode
_read_start: Final = msgspec.json.Decoder(_BlockStart).decode
_read_stop: Final = msgspec.json.Decoder(_BlockStop).decode
_read_message_stop: Final = msgspec.json.Decoder(_MessageStop).decode
_read_metadata: Final = msgspec.json.Decoder(_Metadata).decode


class _Decoder:
    __slots__ = (
        "_calls",
        "_frames",
        "_over",
        "_pictures",
        "_started",
        "_stop",
        "_without_arguments",
        "skipped",
    )

    def __init__(self) -> None:
        self._frames = FrameReader()
        self._started = False
        self._over = False
        self._stop: _MessageStop | None = None
        #: index among the calls by index of the block
        self._calls: dict[int, int] = {}
        #: type and pieces of pictures that are not whole, by index of the block
        self._pictures: dict[int, tuple[str, list[bytes]]] = {}
        #: blocks of calls that have said nothing yet
        self._without_arguments: set[int] = set()
        #: events that could not be read
        self.skipped = 0

    def feed(self, data: bytes) -> list[Delta]:
        deltas: list[Delta] = []
        if self._over:
            return deltas
        try:
            for frame in self._frames.feed(data):
                self._frame(frame, deltas)
        except PeerError as error:
            self._fail(str(error), deltas, unread=True)
        return deltas

    def end(self) -> list[Delta]:
        """An answer whose end was told is whole, though its counts never came."""
        deltas: list[Delta] = []
        if self._stop is not None and not self._over:
            self._finish(_Metadata(), deltas)
        self._fail("the provider's stream ended early", deltas)
        return deltas

    def _frame(self, frame: Frame, deltas: list[Delta]) -> None:
        if self._over:
            return
        headers, payload = frame
        kind = headers.get(":event-type")
        try:
            if kind == "contentBlockDelta":
                self._delta(_read_delta(payload), deltas)
            elif kind is None or headers.get(":message-type") != "event":
                self._exception(frame, deltas)
            else:
                self._event(kind, payload, deltas)
        except MALFORMED:
            self.skipped += 1

    def _event(self, kind: str, payload: bytes, deltas: list[Delta]) -> None:
        match kind:
            case "contentBlockStart":
                self._block_start(_read_start(payload), deltas)
            case "contentBlockStop":
                self._block_stop(_read_stop(payload).contentBlockIndex, deltas)
            case "messageStart":
                self._start(deltas)
            case "messageStop":
                self._stop = _read_message_stop(payload)
            case "metadata":
                self._finish(_read_metadata(payload), deltas)
            case _:
                pass  # events younger than this file

    def _start(self, deltas: list[Delta]) -> None:
        if not self._started:
            self._started = True
            deltas.append(Start(""))

    def _delta(self, found: _BlockDelta, deltas: list[Delta]) -> None:
        if not self._started:
            self._start(deltas)
        piece = found.delta
        if piece.text:
            deltas.append(Text(piece.text))
        elif piece.toolUse is not None:
            index = self._calls.get(found.contentBlockIndex)
            if index is not None and piece.toolUse.input:
                self._without_arguments.discard(found.contentBlockIndex)
                deltas.append(ToolArguments(index, piece.toolUse.input))
        elif piece.reasoningContent is not None and piece.reasoningContent != _NO_THOUGHT:
            thought = piece.reasoningContent
            deltas.append(Thinking(thought.text, thought.signature, thought.redactedContent))
        elif piece.image is not None and found.contentBlockIndex in self._pictures:
            self._pictures[found.contentBlockIndex][1].append(piece.image.source.data)

    def _block_start(self, found: _BlockStart, deltas: list[Delta]) -> None:
        self._start(deltas)
        use, picture = found.start.toolUse, found.start.image
        if picture is not None:
            self._pictures[found.contentBlockIndex] = (f"image/{picture.format}", [])
        if use is not None and use.type is None:
            index = self._calls[found.contentBlockIndex] = len(self._calls)
            self._without_arguments.add(found.contentBlockIndex)
            deltas.append(ToolStart(index, use.toolUseId, use.name))

    def _block_stop(self, block: int, deltas: list[Delta]) -> None:
        if (picture := self._pictures.pop(block, None)) is not None:
            media_type, pieces = picture
            deltas.append(Image(data=b64encode(b"".join(pieces)).decode(), media_type=media_type))
        if block in self._without_arguments:
            self._without_arguments.discard(block)
            deltas.append(ToolArguments(self._calls[block], "{}"))

    def _finish(self, found: _Metadata, deltas: list[Delta]) -> None:
        if self._stop is None:
            return  # the counts alone do not say that the answer is whole
        for block in sorted(self._without_arguments):
            self._block_stop(block, deltas)
        if not self._started:
            self._started = True
            deltas.append(Start(invoked_model(found.trace)))
        self._over = True
        reason = reason_of(self._stop.stopReason, called=bool(self._calls))
        usage = None if found.usage is None else found.usage.usage()
        stop_sequence = stop_sequence_in(self._stop.additionalModelResponseFields, self._stop.stopReason)
        deltas.append(Finish(reason, usage, stop_sequence))

    def _exception(self, frame: Frame, deltas: list[Delta]) -> None:
        headers = frame.headers
        kind = headers.get(":exception-type") or headers.get(":error-code", "")
        try:
            message = msgspec.json.decode(frame.payload, type=_Exception).message
        except MALFORMED:
            message = ""
        message = message or headers.get(":error-message", "") or kind or "the provider's stream broke off"
        trouble = trouble_of_kind(kind, _STATUSES.get(kind, 500), message)
        self._fail(message, deltas, trouble)

    def _fail(
        self,
        message: str,
        deltas: list[Delta],
        trouble: Trouble = "upstream_error",
        *,
        unread: bool = False,
    ) -> None:
        if not self._over:
            self._over = True
            deltas.append(Failed(message, trouble, unread=unread))


def stream_decoder() -> _Decoder:
    return _Decoder()
