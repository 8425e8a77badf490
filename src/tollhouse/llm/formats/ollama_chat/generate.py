"""Ollama's `/api/generate`: completions of text, in a form that differs from chats by two members.

https://docs.ollama.com/api/generate
"""

from typing import Any

from tollhouse.llm.chat import Chat, ChatRequest, Delta, Part, Text, Thinking
from tollhouse.llm.form import MALFORMED, StreamDecoder, Unreadable
from tollhouse.llm.formats.ollama_chat import request, stream
from tollhouse.llm.formats.ollama_chat.response import NOT_READABLE, Line, read_line


def encode_request(chat: ChatRequest, ignored: list[str]) -> dict[str, Any]:
    """Of a chat that is one message of the user."""
    body = request.encode_request(chat, ignored)
    (message,) = body.pop("messages")
    return {**body, "prompt": message["content"]}


def decode_response(body: bytes) -> Chat:
    try:
        line = read_line(body)
    except MALFORMED:
        raise Unreadable(NOT_READABLE) from None
    if line.response is None:
        raise Unreadable(line.error or NOT_READABLE)
    parts: list[Part] = [Text(line.response)]
    if line.thinking:
        parts.insert(0, Thinking(line.thinking))
    return Chat(
        model=line.model,
        parts=tuple(parts),
        reason=line.reason,
        usage=line.usage(),
        created=line.created,
    )


class _Decoder(stream.Decoder):
    def _message(self, line: Line, deltas: list[Delta]) -> None:
        if line.thinking:
            deltas.append(Thinking(line.thinking))
        if line.response:
            deltas.append(Text(line.response))


def stream_decoder() -> StreamDecoder:
    return _Decoder()
