"""Requests and answers that stay in this form: passed on with the fewest edits, never re-modelled.

A request is taken apart one level deep; the members that are not edited keep their very bytes, so that
fields younger than this file, big numbers and odd escapes survive. An answer is not changed at all, and
only what carries usage is looked into.
"""

from collections.abc import Callable
from struct import Struct
from typing import Any, Final, Literal

import msgspec
from msgspec import UNSET, Raw, UnsetType

from tollhouse.llm.chat import Failed, Trouble
from tollhouse.llm.form import MALFORMED, Refusal, Unreadable
from tollhouse.llm.formats.openai_chat.stream import failed_by, failure
from tollhouse.llm.formats.openai_chat.usage import Counts, Groq
from tollhouse.llm.reading import ENDED_EARLY
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent, SseReader

Kind = Literal["llm/v1/chat", "llm/v1/completions"]
Members = dict[str, Raw]

CHAT: Final[Kind] = "llm/v1/chat"
COMPLETIONS: Final[Kind] = "llm/v1/completions"
NO_PROMPTS: Final = "request body doesn't contain valid prompts"
BOTH: Final = "request matches multiple LLM request formats"
NOT_COMPATIBLE: Final = "[{}] message format is not compatible with [{}] route type"

#: Kong's words for an answer it cannot use
NO_CHOICES: Final = "'choices' not in {} response"
TRUE: Final = Raw(b"true")
FALSE: Final = Raw(b"false")
NULL: Final = Raw(b"null")
_INCLUDE_USAGE: Final = Raw(b'{"include_usage":true}')
_QUOTE: Final = (b'"',)
_BRACKET: Final = (b"[",)
_OBJECTS: Final = (b"[{",)

#: how a value begins; a view of it would cost twice as much
_first: Final = Struct("1s").unpack_from
_first_two: Final = Struct("2s").unpack_from

#: the bytes of a request body with these members
body_of: Final[Callable[[Members], bytes]] = msgspec.json.Encoder().encode
_members = msgspec.json.Decoder(Members).decode
_encode = msgspec.json.Encoder().encode


# Requests


def members_of(content: bytes) -> Members:
    """The members of a request body. Raises `Refusal` unless it is an object."""
    try:
        return _members(content)
    except MALFORMED:
        raise Refusal(NO_PROMPTS) from None


def check_kind(members: Members, wanted: str) -> None:
    """Raises `Refusal` unless the body is a prompt of the wanted kind, in Kong's order of questions."""
    messages = members.get("messages", NULL)
    has_objects = len(messages) > 1 and _first_two(messages) == _OBJECTS
    if has_objects and wanted == CHAT and "prompt" not in members:
        return  # nearly all
    chat, completion = has_objects or _is_filled_array(messages), _is_string(members.get("prompt"))
    if chat and completion:
        raise Refusal(BOTH)
    if not chat and not completion:
        raise Refusal(NO_PROMPTS)
    if chat != (wanted == CHAT):
        raise Refusal(NOT_COMPATIBLE.format(CHAT if chat else COMPLETIONS, wanted))


def _is_filled_array(raw: Raw) -> bool:
    return is_array(raw) and bool(bytes(raw)[1:-1].strip())


def is_array(raw: Raw | None) -> bool:
    return raw is not None and _first(raw) == _BRACKET


def _is_string(raw: Raw | None) -> bool:
    return raw is not None and _first(raw) == _QUOTE


def text_of(raw: Raw | None) -> str | None:
    """A member's text, `None` if it is absent or something else."""
    if raw is None or not _is_string(raw):
        return None
    try:
        return msgspec.json.decode(raw, type=str)
    except MALFORMED:
        return None


def is_true(raw: Raw | None) -> bool:
    return raw == TRUE


def ask_for_usage(members: Members) -> bool:
    """Asks the provider to tell the usage of a stream; `False` if the client did so itself."""
    options = members.get("stream_options")
    if options is None or options == NULL:
        members["stream_options"] = _INCLUDE_USAGE
        return True
    try:
        inner = _members(options)
    except MALFORMED:
        return False  # no object: the provider's to refuse
    if is_true(inner.get("include_usage")):
        return False
    inner["include_usage"] = TRUE
    members["stream_options"] = Raw(_encode(inner))
    return True


def asks_only_usage(members: Members) -> bool:
    """Whether the stream options are the gateway's, and nothing of the client's is in them."""
    return members.get("stream_options") == _INCLUDE_USAGE


# Answers


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or one chunk of a stream: only what is read of it."""

    model: str | None = None
    choices: Raw | UnsetType = UNSET
    usage: Counts | None = None
    x_groq: Groq | None = None
    service_tier: str | None = None

    def counted(self) -> Usage | None:
        """The usage told here."""
        counts = self.usage
        if counts is None and self.x_groq is not None:
            counts = self.x_groq.usage
        return None if counts is None else counts.usage()


read_answer: Final = msgspec.json.Decoder(Answer).decode


class _Loose(msgspec.Struct, gc=False):
    choices: Raw | UnsetType = UNSET


def read_whole(content: bytes, kind: Kind = CHAT) -> Answer:
    """A whole answer. Raises `Unreadable` unless it has choices; odd types elsewhere are let pass."""
    try:
        answer = _read(content)
    except MALFORMED:
        answer = Answer()
    if answer.choices is UNSET:
        raise Unreadable(NO_CHOICES.format(kind))
    return answer


def _read(content: bytes) -> Answer:
    try:
        return read_answer(content)
    except msgspec.ValidationError:
        return Answer(choices=msgspec.json.decode(content, type=_Loose).choices)


class _Message(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: Any = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message | None = None
    delta: _Message | None = None
    text: str | None = None


_read_choices = msgspec.json.Decoder(list[_Choice]).decode


def text_in(choices: Raw | UnsetType) -> tuple[str, int]:
    """What the choices of an answer or chunk say to the user, and how many bytes the model wrote in
    all, with reasoning and calls."""
    if choices is UNSET:
        return "", 0
    try:
        found = _read_choices(choices)
    except MALFORMED:
        return "", 0
    said, size = [], 0
    for choice in found:
        message = choice.message or choice.delta or _Message()
        content = message.content if isinstance(message.content, str) else ""
        said.append(choice.text or content)
        written = (message.reasoning_content or message.reasoning, message.refusal)
        size += len(said[-1].encode()) + sum(len(text.encode()) for text in written if text)
        if message.tool_calls:
            size += len(_encode(message.tool_calls))
    return "".join(said), size


# Streams

_DONE: Final = b"[DONE]"


class _Function(msgspec.Struct, gc=False):
    name: str | None = None
    arguments: str | None = None


class _ToolCall(msgspec.Struct, gc=False):
    function: _Function | None = None


class _Piece(msgspec.Struct, gc=False):
    content: Any = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[_ToolCall] | None = None
    images: Any = None
    audio: Any = None


class _ChunkChoice(msgspec.Struct, gc=False):
    delta: _Piece | None = None
    #: of a whole answer where a stream was asked for
    message: _Piece | None = None
    #: of a text completion
    text: str | None = None
    finish_reason: str | None = None


class _Chunk(msgspec.Struct, gc=False):
    model: str | None = None
    choices: list[_ChunkChoice] | None = None
    usage: Counts | None = None
    x_groq: Groq | None = None
    service_tier: str | None = None
    error: Any = None


_read_chunk: Final = msgspec.json.Decoder(_Chunk).decode


class StreamMeter:
    """Passes a stream on and reads its usage.

    Whole events are passed on at once, the beginning of one is held until its end has come; one that
    cannot be read is left out and counted. If it was the gateway that asked for usage (`hide_usage`),
    the chunk that carries nothing else is taken out again: clients that did not ask for it index
    `choices[0]`. An answer that ends without a reason is told as the failure that it is, for clients
    take the mere end of a stream for the end of an answer.
    """

    __slots__ = (
        "_hide_usage",
        "_reader",
        "_said",
        "began",
        "complete",
        "failed",
        "kind",
        "malformed",
        "model",
        "service_tier",
        "usage",
        "written",
    )

    def __init__(self, kind: Kind, *, hide_usage: bool, keep_text: bool = False) -> None:
        self.kind = kind
        self._hide_usage = hide_usage
        self._reader = SseReader()
        self._said: list[str] | None = [] if keep_text else None
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        #: bytes of text that the model wrote so far
        self.written = 0
        self.began = self.complete = False
        self.failed: Failed | None = None
        self.malformed = 0

    @property
    def unshown(self) -> tuple[str, ...]:
        """Nothing: bytes pass as they are."""
        return ()

    @property
    def text(self) -> str:
        """What the model said, if that was to be kept."""
        return "".join(self._said or ())

    def feed(self, data: bytes, last: bool) -> bytes:
        """What to send to the client now."""
        events = self._reader.feed(data)
        if len(events) == 1:
            passed = events[0].raw if self._passes(events[0]) else b""
        else:
            passed = b"".join([event.raw for event in events if self._passes(event)])
        return passed + self._end() if last else passed

    def fail(self, reason: str, trouble: Trouble = "upstream_error") -> bytes:
        self.failed = self.failed or Failed(reason, trouble)
        return failure(reason, trouble)

    def _end(self) -> bytes:
        """What is left, or that the answer is not complete: an event that was cut would become a part
        of the one that says so."""
        malformed = self.malformed
        rest = b"".join([event.raw for event in self._reader.end() if self._passes(event)])
        self.malformed = malformed
        return rest if self.complete or self.failed is not None else self.fail(ENDED_EARLY)

    def _passes(self, event: SseEvent) -> bool:
        raw = event.raw
        if raw.startswith(b"data: {"):
            # Nearly all: one line with one object. Whatever else it is shows when it cannot be read so.
            try:
                return self._learn(_read_chunk(raw[6:]))
            except MALFORMED:
                pass
        return self._passes_slowly(event)

    def _passes_slowly(self, event: SseEvent) -> bool:
        data = event.data
        if data is None:
            data = event.raw.strip()
            if not data.startswith(b"{"):
                return True  # a comment; an object without `data:` is a whole answer, or an error
        if data == _DONE:
            self.began = self.complete = True
            return True
        try:
            chunk = _read_chunk(data)
        except msgspec.ValidationError:
            self.began = True  # a shape younger than this file: not ours to judge
            return True
        except MALFORMED:
            self.malformed += 1
            return False
        return self._learn(chunk)

    def _learn(self, chunk: _Chunk) -> bool:
        """Whether the client gets the chunk."""
        if chunk.model:
            self.model = chunk.model
        if chunk.service_tier:
            self.service_tier = chunk.service_tier
        for choice in chunk.choices or ():
            self._note(choice)
        if chunk.error is not None:
            self.failed = failed_by(chunk.error)
        counts = chunk.usage
        if counts is None:
            if chunk.x_groq is None or chunk.x_groq.usage is None:
                return True
            counts = chunk.x_groq.usage
        self.usage = counts.usage()  # the last one counts: some providers send running totals
        return not (self._hide_usage and chunk.choices == [])

    def _note(self, choice: _ChunkChoice) -> None:
        if choice.finish_reason:
            self.began = self.complete = True
        piece = choice.delta or choice.message
        text: Any = choice.text
        if piece is not None:
            text = text or piece.content
            others = piece.reasoning_content or piece.reasoning or piece.refusal
            if others:
                self._wrote(others)
            if piece.tool_calls:
                self._called(piece.tool_calls)
            elif piece.audio or piece.images:
                self.began = True
        if text:
            self._wrote(text if isinstance(text, str) else "")
            if self._said is not None and isinstance(text, str):
                self._said.append(text)

    def _wrote(self, text: str) -> None:
        self.began = True
        self.written += len(text) if text.isascii() else len(text.encode())

    def _called(self, calls: list[_ToolCall]) -> None:
        self.began = True
        for call in calls:
            if call.function is not None:
                written = (call.function.name or "") + (call.function.arguments or "")
                self.written += len(written.encode())
