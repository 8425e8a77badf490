"""Pieces of an answer that the client's form has no place for: told to whoever asked, never lost in silence.

Pure. What providers do with tools of their own, pictures and sound stand in few forms; pages that an answer
is from in some.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollhouse.llm.chat import Chat, Citation, Image, Logprobs, OtherPart, Text
from tollhouse.llm.formats.bedrock_converse.blocks import IMAGE_FORMATS
from tollhouse.llm.provider import FormName

#: forms that have a place for the pages that an answer is from
_CITING: Final[frozenset[FormName]] = frozenset(
    {"openai_chat", "openai_responses", "anthropic_messages", "gemini"}
)
#: forms of answers with pictures, and the one that may tell where a picture is
_PICTURING: Final[frozenset[FormName]] = frozenset(
    {"openai_chat", "openai_responses", "gemini", "bedrock_converse", "ollama_chat"}
)
_LINKING: Final[FormName] = "openai_chat"
#: forms that tell how likely tokens were
_TELLING: Final[frozenset[FormName]] = frozenset({"openai_chat", "openai_responses", "gemini", "ollama_chat"})


def unshown_in(chat: Chat, client: FormName) -> tuple[str, ...]:
    """The kinds of such pieces in an answer of another form, each once."""
    return tuple(dict.fromkeys(_unshown(chat, client)))


def _unshown(chat: Chat, client: FormName) -> Iterator[str]:
    yield from missing_of(Logprobs(chat.logprobs), client) if chat.logprobs else ()
    for part in chat.parts:
        match part:
            case OtherPart(kind):
                yield kind
            case Image() | Citation():
                yield from missing_of(part, client)
            case Text(_, extra):
                yield from _beside(extra)
            case _:
                continue


def missing_of(piece: Image | Citation | Logprobs, client: FormName) -> tuple[str, ...]:
    """What of a piece that some forms have a place for, and others do not."""
    match piece:
        case Image(data=data, media_type=kind):
            fits = client in _PICTURING and (data is not None or client == _LINKING)
            if client == "bedrock_converse":
                fits = fits and kind in IMAGE_FORMATS
            return () if fits else ("image",)
        case Citation():
            return () if client in _CITING else ("citations",)
        case Logprobs():
            return () if client in _TELLING else ("logprobs",)


def _beside(extra: Mapping[str, Any]) -> Iterator[str]:
    """Of what stands beside a text. Pages are parts of their own."""
    cited = extra.get("citations")
    if isinstance(cited, list) and any(not (isinstance(one, dict) and one.get("url")) for one in cited):
        yield "citations"
    if "citationsContent" in extra:
        yield "citations"
