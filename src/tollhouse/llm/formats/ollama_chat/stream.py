"""Streams of `/api/chat`: one JSON object a line, the last with `done` and the counts."""

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
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Unshown,
)
from tollhouse.llm.form import MALFORMED
from tollhouse.llm.formats.ollama_chat.response import Line, encoded_call, ending, read_line, shown_time
from tollhouse.llm.logprobs import NOTHING_TOLD_BYTES, likely_in
from tollhouse.llm.logprobs import shown as shown_logprobs

STREAM_TYPE: Final = "application/x-ndjson"
LINE_LIMIT_BYTES: Final = 16 * 1024 * 1024


class Decoder:
    """Calls come whole, in a line before the last; a line may also be an error, and then is the last."""

    def __init__(self) -> None:
        self._held = b""
        self._started = False
        self._over = False
        self._calls = 0
        #: lines that could not be read
        self.skipped = 0

    def feed(self, data: bytes) -> list[Delta]:
        *lines, self._held = (self._held + data).split(b"\n")
        deltas: list[Delta] = []
        for line in lines:
            self._line(line, deltas)
        if len(self._held) > LINE_LIMIT_BYTES:
            self._held = b""
            self._fail("a line of the provider's stream is too long", deltas)
        return deltas

    def end(self) -> list[Delta]:
        deltas: list[Delta] = []
        self._line(self._held, deltas)
        self._held = b""
        self._fail("the provider's stream ended early", deltas)
        return deltas

    def _line(self, text: bytes, deltas: list[Delta]) -> None:
        if self._over or not text.strip():
            return
        try:
            line = read_line(text)
        except MALFORMED:
            self.skipped += 1
            return
        if line.error is not None:
            self._fail(line.error, deltas)
            return
        if not self._started:
            self._started = True
            deltas.append(Start(line.model, created=line.created))
        self._message(line, deltas)
        if line.done:
            self._over = True
            deltas.append(Finish("tool_calls" if self._calls else line.reason, line.usage()))

    def _message(self, line: Line, deltas: list[Delta]) -> None:
        message = line.message
        if message is None:
            return
        if message.thinking:
            deltas.append(Thinking(message.thinking))
        if len(line.logprobs) > NOTHING_TOLD_BYTES and (tokens := likely_in(line.logprobs)):
            deltas.append(Logprobs(tokens))
        if message.content:
            deltas.append(Text(message.content))
        deltas += message.pictures()
        for call in line.calls(self._calls):
            deltas.append(ToolStart(self._calls, call.id, call.name))
            deltas.append(ToolArguments(self._calls, call.arguments))
            self._calls += 1

    def _fail(self, message: str, deltas: list[Delta]) -> None:
        if not self._over:
            self._over = True
            deltas.append(Failed(message))


def stream_decoder() -> Decoder:
    return Decoder()


class _Encoder:
    """Calls are gathered until the end: Ollama's clients expect them whole."""

    def __init__(self) -> None:
        self._head: dict[str, Any] = {}
        self._calls: list[tuple[str, str, list[str]]] = []
        #: of the text that comes next
        self._likely: tuple[Likely, ...] = ()

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start(model, _, created):
                self._head = {"model": model, "created_at": shown_time(created)}
                return b""
            case Text(text):
                return self._line({"content": text}, self._told())
            case Thinking(text):
                return self._line({"content": "", "thinking": text})
            case Image(data=data):
                return self._line({"content": "", "images": [data]}) if data else b""
            case ToolStart(_, id_, name):
                self._calls.append((id_, name, []))
                return b""
            case ToolArguments(index, fragment):
                self._calls[index][2].append(fragment)
                return b""
            case Finish(reason, usage):
                end = ending(reason, usage) | self._told()
                return self._gathered() + self._line({"content": ""}, end)
            case Logprobs(tokens):
                self._likely += tokens
                return b""
            case Citation() | Unshown():
                return b""  # told in log records
            case Ping():
                return b""  # NDJSON has no line that says nothing
            case Failed(message):
                return msgspec.json.encode({"error": message}) + b"\n"

    def _gathered(self) -> bytes:
        if not self._calls:
            return b""
        calls = [encoded_call(id_, name, "".join(pieces)) for id_, name, pieces in self._calls]
        return self._line({"content": "", "tool_calls": calls})

    def _told(self) -> dict[str, Any]:
        """How likely the text's tokens were, if that is known."""
        tokens, self._likely = self._likely, ()
        return {"logprobs": shown_logprobs(tokens)} if tokens else {}

    def _line(self, message: dict[str, Any], beside: dict[str, Any] | None = None) -> bytes:
        body = self._head | {"message": {"role": "assistant", **message}, "done": False} | (beside or {})
        return msgspec.json.encode(body) + b"\n"


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """Ollama's streams always tell usage."""
    return _Encoder()
