"""Streams, written for clients: each event has a line with its name, without which Anthropic's own SDKs
pass over it. https://platform.claude.com/docs/en/build-with-claude/streaming

Blocks follow one another and are never taken up again, while the pieces of calls may come in turns. So a
call that begins before the one that is open is whole waits for the end.
"""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import (
    Citation,
    Delta,
    Failed,
    Finish,
    Image,
    Logprobs,
    Ping,
    Start,
    Text,
    Thinking,
    ToolArguments,
    ToolStart,
    Trouble,
    Unshown,
)
from tollhouse.llm.formats.anthropic_messages.blocks import arguments_in
from tollhouse.llm.formats.anthropic_messages.errors import envelope
from tollhouse.llm.formats.anthropic_messages.response import citation, stop_reason
from tollhouse.llm.formats.anthropic_messages.usage import shown

_PING: Final = b'event: ping\ndata: {"type": "ping"}\n\n'
_MIXED_UP: Final = "the model's provider took up a call again that was over"


class _Call(msgspec.Struct):
    index: int
    id: str
    name: str
    pieces: list[str] = []

    @property
    def arguments(self) -> str:
        return "".join(self.pieces)

    @property
    def is_whole(self) -> bool:
        """A JSON object that is complete cannot go on. What has not begun is no object yet, though it
        may turn out to be a call without arguments."""
        arguments = self.arguments
        return bool(arguments.strip()) and arguments_in(arguments) is not None


class _Encoder:
    def __init__(self) -> None:
        self._started = self._over = False
        #: kind of the open block, empty if none is
        self._kind = ""
        self._index = -1
        #: the call whose block is open
        self._call: _Call | None = None
        self._waiting: dict[int, _Call] = {}
        #: the thought in the open block has its signature
        self._signed = False

    def encode(self, delta: Delta) -> bytes:
        if self._over:
            return b""
        match delta:
            case Text(text):
                return self._text(text)
            case Citation():
                return (
                    self._piece("citations_delta", citation=citation(delta)) if self._kind == "text" else b""
                )
            case Image() | Logprobs() | Unshown():
                return b""
            case Thinking():
                return self._thought(delta)
            case ToolArguments(index, fragment):
                return self._arguments(index, fragment)
            case ToolStart(index, id_, name):
                return self._begin_call(_Call(index, id_, name))
            case Start():
                return self._start(delta)
            case Ping():
                return _PING
            case Finish():
                return self._finish(delta)
            case Failed(message, trouble):
                return self._fail(message, trouble)

    def _start(self, start: Start) -> bytes:
        """The prompt's tokens are often known only at the end: zeros now, the numbers in `message_delta`."""
        if self._started:
            return b""
        self._started = True
        message: dict[str, Any] = {
            "id": start.id,
            "type": "message",
            "role": "assistant",
            "model": start.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": shown(start.usage),
        }
        return _event({"type": "message_start", "message": message})

    def _open(self, kind: str, block: dict[str, Any]) -> bytes:
        """Begins a block, and ends the one before it."""
        before = (b"" if self._started else self._start(Start(""))) + self._close()
        self._kind = kind
        self._index += 1
        self._signed = False
        event = {"type": "content_block_start", "index": self._index}
        return before + _event(event | {"content_block": {"type": kind, **block}})

    def _close(self) -> bytes:
        if not self._kind:
            return b""
        self._kind = ""
        self._call = None
        return _event({"type": "content_block_stop", "index": self._index})

    def _piece(self, kind: str, **members: Any) -> bytes:
        event = {"type": "content_block_delta", "index": self._index}
        return _event(event | {"delta": {"type": kind, **members}})

    def _text(self, text: str) -> bytes:
        if not text:
            return b""
        opened = b"" if self._kind == "text" else self._waited() + self._open("text", {"text": ""})
        return opened + self._piece("text_delta", text=text)

    def _thought(self, thought: Thinking) -> bytes:
        if thought.redacted is not None:
            return (
                self._waited() + self._open("redacted_thinking", {"data": thought.redacted}) + self._close()
            )
        out = b""
        if self._kind != "thinking" or (self._signed and thought.text):
            out = self._waited() + self._open("thinking", {"thinking": "", "signature": ""})
        if thought.text:
            out += self._piece("thinking_delta", thinking=thought.text)
        if thought.signature:
            self._signed = True
            out += self._piece("signature_delta", signature=thought.signature)
        return out

    def _begin_call(self, call: _Call) -> bytes:
        if self._waiting or (self._call is not None and not self._call.is_whole):
            self._waiting[call.index] = call
            return b""
        return self._open_call(call)

    def _open_call(self, call: _Call) -> bytes:
        opened = self._open("tool_use", {"id": call.id, "name": call.name, "input": {}})
        self._call = call
        return opened

    def _arguments(self, index: int, fragment: str) -> bytes:
        call = self._call
        if call is not None and call.index == index:
            call.pieces.append(fragment)
            return self._piece("input_json_delta", partial_json=fragment) if fragment else b""
        if index in self._waiting:
            self._waiting[index].pieces.append(fragment)
            return b""
        # The client may have run the call already, with less than it should have had.
        return self._fail(_MIXED_UP, "upstream_error") if fragment.strip() else b""

    def _waited(self) -> bytes:
        """The calls that waited, whole."""
        out = b""
        waiting, self._waiting = self._waiting, {}
        for call in waiting.values():
            out += self._open_call(call)
            if call.pieces:
                out += self._piece("input_json_delta", partial_json=call.arguments)
        return out

    def _finish(self, end: Finish) -> bytes:
        before = (b"" if self._started else self._start(Start(""))) + self._waited() + self._close()
        self._over = True
        reason = stop_reason(end.reason, end.stop_sequence)
        delta = {"stop_reason": reason, "stop_sequence": end.stop_sequence or None}
        last = _event({"type": "message_delta", "delta": delta, "usage": shown(end.usage)})
        return before + last + _event({"type": "message_stop"})

    def _fail(self, message: str, trouble: Trouble) -> bytes:
        """Nothing may follow: the end of the message would make half an answer look whole."""
        self._over = True
        return _event(envelope(trouble, message))


def _event(body: dict[str, Any]) -> bytes:
    name: str = body["type"]
    return b"event: " + name.encode() + b"\ndata: " + msgspec.json.encode(body) + b"\n\n"


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """These streams always tell usage."""
    return _Encoder()
