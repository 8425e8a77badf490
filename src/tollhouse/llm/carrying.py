"""A request on its way into another form: what forms say in words of their own, in words that the encoders of
all others know. Pure.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec

from tollhouse.llm.chat import (
    ChatRequest,
    Document,
    Image,
    Media,
    OtherPart,
    Part,
    Text,
    Tool,
    ToolChoice,
    ToolResult,
)
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_responses.request import LOGPROBS

_TIER: Final = "service_tier"
#: Bedrock's and Gemini's name for it
_TIER_THERE: Final = "serviceTier"
#: OpenAI's words for tiers, by those of the others where they differ
_TIERS: Final[Mapping[str, str]] = {"standard_only": "default", "standard": "default"}
#: addresses that every provider can fetch from; the others are of one cloud's storage
_FETCHED: Final = ("", "http", "https", "data")


def carried(chat: ChatRequest) -> ChatRequest:
    """Raises `Refusal` for what lies where no other provider can read it."""
    for place, message in enumerate(chat.messages):
        for part in _all(message.parts):
            url = part.url if isinstance(part, Image | Document | Media) else None
            if url is not None and urlsplit(url[:64]).scheme not in _FETCHED:
                raise Refusal(f"messages[{place}]: '{url[:64]}' cannot be read by this model's provider")
    chat = _with_tier(_narrowed(chat))
    options = chat.options
    if options.top_logprobs and options.logprobs is None:  # the other forms refuse the one without the other
        chat = replace(chat, options=replace(options, logprobs=True))
    if chat.form == "openai_responses":
        return _from_responses(chat)
    return _from_cohere(chat) if chat.form == "cohere_chat" else chat


def _all(parts: tuple[Part, ...]) -> Iterator[Part]:
    for part in parts:
        yield part
        if isinstance(part, ToolResult):
            yield from part.parts


def _narrowed(chat: ChatRequest) -> ChatRequest:
    """The request with no other tools than those that may be called, where its form has a choice for that."""
    choice = chat.tool_choice
    if choice is None or choice.instead is None:
        return chat
    names = {*choice.allowed}
    tools = tuple(tool for tool in chat.tools if not names or (isinstance(tool, Tool) and tool.name in names))
    return replace(chat, tools=tools, tool_choice=ToolChoice(choice.instead))


def _from_responses(chat: ChatRequest) -> ChatRequest:
    """That it wants to know how likely tokens were is an option of other forms."""
    include = [name for name in chat.extra.get("include") or () if name != LOGPROBS]
    extra = {name: value for name, value in chat.extra.items() if name != "include"}
    return replace(chat, extra={**extra, "include": include} if include else extra)


def _from_cohere(chat: ChatRequest) -> ChatRequest:
    """Its tools are strict all together, and results of tools are documents, whose data are text or JSON."""
    messages = tuple(
        replace(message, parts=tuple(map(_with_texts, message.parts))) for message in chat.messages
    )
    extra = dict(chat.extra)
    tools = chat.tools
    if extra.pop("strict_tools", None):
        tools = tuple(replace(tool, strict=True) if isinstance(tool, Tool) else tool for tool in tools)
    return replace(chat, messages=messages, tools=tools, extra=extra)


def _with_texts(part: Part) -> Part:
    match part:
        case ToolResult(parts=parts):
            return replace(part, parts=tuple(map(_with_texts, parts)))
        case OtherPart("document", {"document": {"data": data}}):
            return Text(data if isinstance(data, str) else msgspec.json.encode(data).decode())
        case _:
            return part


def _with_tier(chat: ChatRequest) -> ChatRequest:
    told: Any = chat.extra.get(_TIER) or chat.extra.get(_TIER_THERE)
    if isinstance(told, dict):
        told = told.get("type")
    if not isinstance(told, str):
        return chat
    extra = {name: value for name, value in chat.extra.items() if name != _TIER_THERE}
    tier = told.lower()
    return replace(chat, extra={**extra, _TIER: _TIERS.get(tier, tier)})
