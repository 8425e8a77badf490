"""Requests and answers that stay in this form: passed on with the fewest edits, never re-modelled.

A request is taken apart one level deep; the members that are not edited keep their very bytes, so that
fields younger than this file, big numbers and odd escapes survive. An answer is not changed at all, and
only what carries usage is looked into.
"""

import re
from collections import deque
from typing import Any, Final, Literal

import msgspec
from msgspec import Raw

from tollhouse.llm.form import MALFORMED, Refusal, Unreadable
from tollhouse.llm.formats.openai_chat.stream import ENDED_EARLY, failure
from tollhouse.llm.formats.openai_chat.usage import Counts, Groq
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
NO_CHOICES: Final = "'choices' not in llm/v1/chat response"
TRUE: Final = Raw(b"true")
FALSE: Final = Raw(b"false")
NULL: Final = Raw(b"null")
_INCLUDE_USAGE: Final = Raw(b'{"include_usage":true}')
_QUOTE: Final = ord('"')
_BRACKET: Final = ord("[")

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
    chat, completion = _is_filled_array(members.get("messages")), _is_string(members.get("prompt"))
    if chat and completion:
        raise Refusal(BOTH)
    if not chat and not completion:
        raise Refusal(NO_PROMPTS)
    if chat != (wanted == CHAT):
        raise Refusal(NOT_COMPATIBLE.format(CHAT if chat else COMPLETIONS, wanted))


def _is_filled_array(raw: Raw | None) -> bool:
    if raw is None:
        return False
    view = memoryview(raw)
    return view[0] == _BRACKET and (len(view) > 64 or bool(bytes(view[1:-1]).strip()))


def _is_string(raw: Raw | None) -> bool:
    return raw is not None and memoryview(raw)[0] == _QUOTE


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


def body_of(members: Members) -> bytes:
    return _encode(members)


def prompts(members: Members) -> Any:
    """The messages or the prompt, decoded; `None` if the provider took what cannot be read here."""
    raw = members.get("messages") or members.get("prompt")
    try:
        return None if raw is None else msgspec.json.decode(raw)
    except MALFORMED:
        return None


# Answers


class Answer(msgspec.Struct, gc=False):
    """A whole answer, or one chunk of a stream: only what is read of it."""

    model: str | None = None
    choices: Raw = Raw()
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
    choices: Raw = Raw()


def read_whole(content: bytes) -> Answer:
    """A whole answer. Raises `Unreadable` unless it has choices; odd types elsewhere are let pass."""
    try:
        answer = read_answer(content)
    except msgspec.ValidationError:
        answer = Answer(choices=_loosely(content).choices)
    except MALFORMED:
        raise Unreadable(NO_CHOICES) from None
    if not bytes(answer.choices):
        raise Unreadable(NO_CHOICES)
    return answer


def _loosely(content: bytes) -> _Loose:
    try:
        return msgspec.json.decode(content, type=_Loose)
    except MALFORMED:
        raise Unreadable(NO_CHOICES) from None


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


def text_in(choices: Raw) -> tuple[str, int]:
    """What the choices of an answer or chunk say to the user, and how many bytes the model wrote in
    all, with reasoning and calls."""
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


#: every usage object of every dialect has names like this, and hardly anything else in a chunk
_USAGE_MARK: Final = b"_tokens"
_STRING: Final = rb"""": ?"((?:[^"\\]|\\.)*+)\""""
#: an answer has come to its end if one of its last events has one of these
_RECENT_EVENTS: Final = 4
_ENDING: Final = re.compile(rb'data: ?\[DONE\]|"finish_reason" ?: ?"|"error" ?: ?[{"]')
#: what the model wrote in a chunk, found without parsing it
_WRITTEN: Final = {
    CHAT: re.compile(rb'"delta": ?\{[^}]*?"(?:content|reasoning_content|reasoning|arguments)' + _STRING),
    COMPLETIONS: re.compile(rb'"text' + _STRING),
}


class StreamMeter:
    """Passes a stream on and reads its usage.

    Whole events are passed on at once, the beginning of one is held until its end has come. If it was
    the gateway that asked for usage (`hide_usage`), the chunk that carries nothing else is taken out
    again: clients that did not ask for it index `choices[0]`. An answer that ends without a reason is
    told as the failure that it is, for clients take the mere end of a stream for the end of an answer.
    """

    __slots__ = (
        "_find_written",
        "_hide_usage",
        "_reader",
        "_recent",
        "_said",
        "model",
        "service_tier",
        "usage",
        "written",
    )

    def __init__(self, kind: Kind, *, hide_usage: bool, keep_text: bool = False) -> None:
        self._find_written = _WRITTEN[kind].findall
        self._hide_usage = hide_usage
        self._reader = SseReader()
        self._recent: deque[bytes] = deque(maxlen=_RECENT_EVENTS)
        self._said: list[str] | None = [] if keep_text else None
        self.usage: Usage | None = None
        self.model = ""
        self.service_tier: str | None = None
        #: bytes of text that the model wrote so far, escapes as they were sent
        self.written = 0

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

    def fail(self, reason: str) -> bytes:
        return failure(reason)

    def _end(self) -> bytes:
        """What is left, or that the answer is not complete: an event that was cut would become a part
        of the one that says so."""
        rest = b"".join([event.raw for event in self._reader.end() if self._passes(event)])
        return rest if any(_ENDING.search(raw) for raw in self._recent) else failure(ENDED_EARLY)

    def _passes(self, event: SseEvent) -> bool:
        raw = event.raw
        self._recent.append(raw)
        if raw.rfind(_USAGE_MARK) < 0 and self.model and self._said is None:
            for text in self._find_written(raw):
                self.written += len(text)
            return True
        return self._look_into(event)

    def _look_into(self, event: SseEvent) -> bool:
        """Reads a chunk, the first one for its model; or a whole answer where a stream was asked for."""
        try:
            chunk = read_answer(event.data or event.raw)
        except MALFORMED:
            return True  # a comment, the end, an error object: none of it is a chunk
        self.model = chunk.model or self.model
        self.service_tier = chunk.service_tier or self.service_tier
        text, size = text_in(chunk.choices)
        self.written += size
        if self._said is not None:
            self._said.append(text)
        usage = chunk.counted()
        if usage is None:
            return True
        self.usage = usage  # the last one counts: some providers send running totals
        return not (self._hide_usage and bytes(chunk.choices) == b"[]")
