"""Streams of chat completion chunks, to and from the neutral form."""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Citation,
    Delta,
    Failed,
    Finish,
    Image,
    Likely,
    Logprobs,
    OtherPart,
    Ping,
    Reason,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Trouble,
    Unshown,
)
from tollhouse.llm.form import MALFORMED, Problem
from tollhouse.llm.formats.openai_chat.response import (
    FAILED,
    FAILURE,
    REASONS,
    Call,
    Function,
    Said,
    annotation,
    picture,
    shown_logprobs,
)
from tollhouse.llm.formats.openai_chat.signature import signature_in, signed
from tollhouse.llm.formats.openai_chat.usage import Counts, Groq, shown
from tollhouse.llm.logprobs import NOTHING_TOLD_BYTES, likely_in
from tollhouse.llm.openai_errors import shown as shown_error
from tollhouse.llm.openai_errors import trouble_in_stream
from tollhouse.llm.reading import ENDED_EARLY, EventDecoder
from tollhouse.pdk.usage import Usage
from tollhouse.wire.sse import SseEvent

STREAM_TYPE: Final = "text/event-stream"
_DONE: Final = b"[DONE]"
_NOTHING: Final[dict[str, Any]] = {}


class _Error(msgspec.Struct):
    message: str | None = None
    code: str | int | None = None
    #: Groq tells what the status would have been
    status_code: int | None = None


class _Choice(msgspec.Struct):
    delta: Said | None = None
    logprobs: msgspec.Raw = msgspec.Raw(b"")
    finish_reason: str | None = None
    index: int = 0


class _Chunk(msgspec.Struct):
    id: str | None = None
    model: str | None = None
    created: int | None = None
    choices: list[_Choice] | None = None
    usage: Counts | None = None
    x_groq: Groq | None = None
    error: _Error | str | None = None


class _Decoder(EventDecoder):
    """Usage may come with the last choice, after it, or both: the last one told counts, so the end of
    the answer is only certain when the stream has ended."""

    def __init__(self) -> None:
        super().__init__()
        self._started = False
        self._reason: Reason | None = None
        self._usage: Usage | None = None
        #: by the provider's index: our own, and the call's id
        self._calls: dict[int, tuple[int, str]] = {}
        self._count = self._last_index = 0

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        for event in self._reader.end():
            # What was cut off is told by the reason that is missing then.
            if event.data == _DONE:
                self._event(event, deltas)
        if not self._over:
            if self._reason is None:
                self._fail(ENDED_EARLY, deltas)
            else:
                self._finish(deltas)
        return deltas

    def _event(self, event: SseEvent, deltas: list[Delta]) -> None:
        data = event.data
        if data is None or self._over:
            return
        if data == _DONE:
            self._finish(deltas)
            return
        try:
            chunk = msgspec.json.decode(data, type=_Chunk)
        except MALFORMED:
            self.skipped += 1
            return
        counts = chunk.usage or (chunk.x_groq and chunk.x_groq.usage)
        if counts:
            self._usage = counts.usage()
        if chunk.error is not None:
            failed = _failed(chunk.error)
            self._fail(failed.message, deltas, failed.trouble)
            return
        if not self._started:
            if not (chunk.choices or chunk.model or chunk.id):
                return  # Azure's first chunk tells what it thinks of the prompt, and nothing else
            self._started = True
            deltas.append(Start(chunk.model or "", chunk.id or "", chunk.created))
        for choice in chunk.choices or ():
            if choice.index == 0:
                self._choice(choice, deltas)

    def _choice(self, choice: _Choice, deltas: list[Delta]) -> None:
        said = choice.delta
        if len(choice.logprobs) > NOTHING_TOLD_BYTES and (tokens := likely_in(choice.logprobs)):
            deltas.append(Logprobs(tokens))
        if said is not None:
            deltas += [
                Unshown(piece.kind) if isinstance(piece, OtherPart) else piece for piece in said.pieces()
            ]
            for call in said.tool_calls or ():
                self._call(call, deltas)
        if choice.finish_reason == FAILED:
            self._fail(FAILURE, deltas)
        elif choice.finish_reason:
            self._reason = REASONS.get(choice.finish_reason, "stop")

    def _call(self, call: Call, deltas: list[Delta]) -> None:
        """A piece of a call. Compatible servers leave out the index, use 0 for every call, or repeat id
        and name in every piece; a new id is a new call, whatever its index says."""
        function = call.function or Function()
        index = call.index if call.index is not None else self._last_index
        place, id_ = self._calls.get(index, (-1, ""))
        if place < 0 or (call.id and call.id != id_):
            place, id_ = self._count, call.id or ""
            self._calls[index] = (place, id_)
            self._count += 1
            signature = signature_in(call.extra_content)
            deltas.append(ToolStart(place, id_, function.name or "", signature))
        self._last_index = index
        if function.arguments:
            deltas.append(ToolArguments(place, function.arguments))

    def _finish(self, deltas: list[Delta]) -> None:
        self._over = True
        reason = self._reason or "stop"
        if self._calls and reason == "stop":
            reason = "tool_calls"
        deltas.append(Finish(reason, self._usage))

    def _counted(self) -> Usage | None:
        return self._usage


def stream_decoder() -> _Decoder:
    return _Decoder()


class _Encoder:
    """Writes chunks in OpenAI's order: the role, the pieces, the reason, usage if asked for, the end."""

    def __init__(self, *, include_usage: bool) -> None:
        self._include_usage = include_usage
        self._head: dict[str, Any] = {}
        #: characters of text that were said, and those of them that have been assigned to pages
        self._said = self._cited = 0
        self._pictures = 0
        #: of the text that comes next
        self._likely: tuple[Likely, ...] = ()

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(model, id_, created):
                self._head = {"id": id_} if id_ else {}
                self._head |= {"object": "chat.completion.chunk", "created": created, "model": model}
                return self._chunk({"role": "assistant", "content": ""})
            case Text(text):
                self._said += len(text)
                return self._chunk({"content": text}, told=self._told())
            case Citation():
                start, self._cited = self._cited, self._said
                return self._chunk({"annotations": [annotation(delta, start, self._said)]})
            case Image():
                self._pictures += 1
                return self._chunk({"images": [picture(delta, self._pictures - 1)]})
            case Logprobs(tokens):
                self._likely += tokens
                return b""
            case Unshown():
                return b""
            case Thinking(text):
                # A signature alone has no place here.
                return self._chunk({"reasoning_content": text}) if text else b""
            case ToolStart(index, id_, name, signature):
                function = {"name": name, "arguments": ""}
                call = {"index": index, "id": id_, "type": "function", "function": function}
                return self._chunk({"tool_calls": [call | signed(signature)]})
            case ToolArguments(index, fragment):
                return self._chunk({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})
            case Finish(reason, usage):
                return self._end(reason, usage)
            case Ping():
                return b": ping\n\n"
            case Failed(message, trouble):
                return failure(message, trouble)

    def _told(self) -> dict[str, Any]:
        """How likely the text's tokens were, if that is known."""
        if not self._likely:
            return _NOTHING
        tokens, self._likely = self._likely, ()
        return shown_logprobs(tokens)

    def _chunk(
        self, piece: dict[str, Any], reason: Reason | None = None, told: dict[str, Any] = _NOTHING
    ) -> bytes:
        choice = {"index": 0, "delta": piece, **told, "finish_reason": reason}
        body = self._head | {"choices": [choice]}
        if self._include_usage:
            body["usage"] = None
        return _event(body)

    def _end(self, reason: Reason, usage: Usage | None) -> bytes:
        last = self._chunk({}, reason, self._told())
        if self._include_usage and usage is not None:
            last += _event(self._head | {"choices": [], "usage": shown(usage)})
        return last + b"data: [DONE]\n\n"


def _failed(error: _Error | str) -> Failed:
    told = error if isinstance(error, _Error) else _Error(error)
    text = told.message or "the provider reported an error"
    return Failed(text, trouble_in_stream(told.status_code or told.code, text))


def failed_by(error: Any) -> Failed:
    """What the member `error` of a chunk says."""
    try:
        return _failed(msgspec.convert(error, type=_Error | str))
    except msgspec.ValidationError:
        return Failed("the provider reported an error")


def failure(message: str, trouble: Trouble = "upstream_error") -> bytes:
    """Tells the client that the stream broke off. No [DONE] follows: it would make half an answer look
    whole."""
    return _event({"error": shown_error(Problem(trouble, message))})


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + msgspec.json.encode(body) + b"\n\n"


def stream_encoder(*, include_usage: bool) -> _Encoder:
    return _Encoder(include_usage=include_usage)
