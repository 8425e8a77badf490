"""Counting tokens before asking. https://ai.google.dev/api/tokens

The Developer API wants everything but the conversation wrapped in a request of `generateContent`, Vertex
takes the members as they are.
"""

from typing import Any, Final

import msgspec

from tollhouse.llm.chat import ChatRequest
from tollhouse.llm.form import MALFORMED, NOTHING_TOLD, Refusal, Told, Unreadable
from tollhouse.llm.formats.gemini.asked import decode_members
from tollhouse.llm.formats.gemini.names import camel
from tollhouse.llm.formats.gemini.request import encode_request

_WRAPPED: Final = "generateContentRequest"


def decode_count_request(body: bytes, told: Told = NOTHING_TOLD) -> ChatRequest:
    """The request whose tokens a client wants to know. Raises `Refusal`."""
    try:
        given = camel(msgspec.json.decode(body, type=dict[str, Any]))
        wrapped = given.get(_WRAPPED)
        return decode_members(camel(wrapped) if isinstance(wrapped, dict) else given, told)
    except (*MALFORMED, TypeError) as error:
        raise Refusal(f"the request body is not a countTokens request: {error}") from None


def encode_count_request(chat: ChatRequest, ignored: list[str], *, vertex: bool = False) -> dict[str, Any]:
    """The body for a provider. Raises `Refusal`."""
    body = encode_request(chat, ignored)
    if vertex:
        return body
    if body.keys() == {"contents"}:
        return body
    return {_WRAPPED: {"model": f"models/{chat.model.removeprefix('models/')}", **body}}


class _Counted(msgspec.Struct, rename="camel"):
    total_tokens: int | None = None


def decode_count(body: bytes) -> int:
    """Tokens of the prompt; nothing at all is how Google writes 0. Raises `Unreadable`."""
    try:
        return msgspec.json.decode(body, type=_Counted).total_tokens or 0
    except MALFORMED as error:
        raise Unreadable(str(error)) from None


def encode_count(tokens: int) -> dict[str, Any]:
    return {"totalTokens": tokens, "promptTokensDetails": [{"modality": "TEXT", "tokenCount": tokens}]}
