"""Streams of ConverseStream, written for a client.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStream.html
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
from tollhouse.llm.formats.bedrock_converse.eventstream import (
    event,
    exception,
)
from tollhouse.llm.formats.bedrock_converse.redacted import written
from tollhouse.llm.formats.bedrock_converse.response import (
    picture,
    shown_reason,
)
from tollhouse.llm.formats.bedrock_converse.usage import shown

#: what can be told within a stream
_EXCEPTIONS: Final[dict[Trouble, str]] = {
    "invalid_request": "validationException",
    "context_length": "validationException",
    "content_filter": "validationException",
    "too_large": "validationException",
    "rate_limit": "throttlingException",
    "quota": "throttlingException",
    "overloaded": "serviceUnavailableException",
    "timeout": "modelStreamErrorException",
    "upstream_error": "modelStreamErrorException",
}


class _Encoder:
    """Blocks come one after another, so a call that begins while another is open waits for its end."""

    def __init__(self) -> None:
        self._index = 0
        #: the kind of the open block; a call's is its index
        self._open: str | int | None = None
        #: block by index of the call
        self._blocks: dict[int, int] = {}
        self._waiting: dict[int, tuple[ToolStart, list[str]]] = {}

    def encode(self, delta: Delta) -> bytes:
        match delta:
            case Start():
                return event("messageStart", b'{"role":"assistant"}')
            case Text(text):
                return self._piece("text", {"text": text}) if text else b""
            case Thinking():
                return self._thinking(delta)
            case ToolStart():
                return self._call(delta)
            case ToolArguments(index, fragment):
                return self._arguments(index, fragment)
            case Finish(reason, usage, stop_sequence):
                stop: dict[str, Any] = {"stopReason": shown_reason(reason, stop_sequence)}
                if stop_sequence:
                    fields = {"delta": {"stop_sequence": stop_sequence}}
                    stop["additionalModelResponseFields"] = fields
                told = {"usage": shown(usage), "metrics": {"latencyMs": 0}}
                return self._close() + _event("messageStop", stop) + _event("metadata", told)
            case Image():
                return self._picture(delta)
            case Citation() | Logprobs() | Unshown():
                return b""  # told in log records
            case Ping():
                return b""  # there is no event that says nothing
            case Failed(message, trouble):
                kind = _EXCEPTIONS.get(trouble, "internalServerException")
                return exception(kind, msgspec.json.encode({"message": message}))

    def _piece(self, kind: str, piece: dict[str, Any]) -> bytes:
        begun = b"" if self._open == kind else self._close()
        self._open = kind
        return begun + self._delta(piece)

    def _thinking(self, thought: Thinking) -> bytes:
        if thought.redacted is not None:
            closed = self._close()
            return closed + self._piece("redacted", _thought("redactedContent", written(thought.redacted)))
        content = b""
        if thought.text:
            content = self._piece("thinking", _thought("text", thought.text))
        if thought.signature is not None:
            # It ends a thought: what follows is another.
            content += self._piece("thinking", _thought("signature", thought.signature)) + self._close()
        return content

    def _picture(self, image: Image) -> bytes:
        block = picture(image)
        if block is None:
            return b""
        closed, told = self._close(), block["image"]
        start = {"contentBlockIndex": self._index, "start": {"image": {"format": told["format"]}}}
        piece = self._delta({"image": {"source": told["source"]}})
        return closed + _event("contentBlockStart", start) + piece + self._block_stop()

    def _call(self, start: ToolStart) -> bytes:
        if isinstance(self._open, int):
            self._waiting[start.index] = (start, [])
            return b""
        closed = self._close()
        self._open = start.index
        return closed + self._opening(start)

    def _arguments(self, index: int, fragment: str) -> bytes:
        if index in self._waiting:
            self._waiting[index][1].append(fragment)
        elif index in self._blocks and fragment:
            # Of a call that something else has interrupted, clients at least learn which it is.
            body = {"contentBlockIndex": self._blocks[index], "delta": {"toolUse": {"input": fragment}}}
            return _event("contentBlockDelta", body)
        return b""

    def _opening(self, start: ToolStart) -> bytes:
        self._blocks[start.index] = self._index
        use = {"toolUseId": start.id, "name": start.name}
        return _event("contentBlockStart", {"contentBlockIndex": self._index, "start": {"toolUse": use}})

    def _delta(self, piece: dict[str, Any]) -> bytes:
        return _event("contentBlockDelta", {"contentBlockIndex": self._index, "delta": piece})

    def _close(self) -> bytes:
        """Ends the open block, and sends the calls that waited for that."""
        if self._open is None:
            return b""
        content = self._block_stop()
        waiting, self._waiting = self._waiting, {}
        for start, fragments in waiting.values():
            content += self._opening(start) + self._delta({"toolUse": {"input": "".join(fragments)}})
            content += self._block_stop()
        self._open = None
        return content

    def _block_stop(self) -> bytes:
        content = _event("contentBlockStop", {"contentBlockIndex": self._index})
        self._index += 1
        return content


def _thought(name: str, value: str) -> dict[str, Any]:
    return {"reasoningContent": {name: value}}


def _event(kind: str, body: dict[str, Any]) -> bytes:
    return event(kind, msgspec.json.encode(body))


def stream_encoder(*, include_usage: bool) -> _Encoder:
    """Bedrock's streams always tell usage."""
    return _Encoder()
