"""Pieces of an answer that the client's form has no place for: told to whoever asked, never lost in silence.

Pure. What providers do with tools of their own, pictures and sound stand in few forms; pages that an answer
is from in some.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from tollhouse.llm.chat import Chat, Citation, Image, OtherPart, Text
from tollhouse.llm.provider import FormName

#: forms that have a place for the pages that an answer is from
CITING: Final[frozenset[FormName]] = frozenset(
    {"openai_chat", "openai_responses", "anthropic_messages", "gemini"}
)
#: forms of answers with pictures
_PICTURING: Final[frozenset[FormName]] = frozenset({"gemini"})
#: forms that tell how likely tokens were
TELLING: Final[frozenset[FormName]] = frozenset({"openai_chat", "openai_responses", "gemini", "ollama_chat"})
CITATIONS: Final = "citations"
LOGPROBS: Final = "logprobs"


def unshown_in(chat: Chat, client: FormName) -> tuple[str, ...]:
    """The kinds of such pieces in an answer of another form, each once."""
    return tuple(dict.fromkeys(_unshown(chat, client)))


def _unshown(chat: Chat, client: FormName) -> Iterator[str]:
    if chat.logprobs and client not in TELLING:
        yield LOGPROBS
    for part in chat.parts:
        match part:
            case OtherPart(kind):
                yield kind
            case Image() if client not in _PICTURING:
                yield "image"
            case Citation() if client not in CITING:
                yield CITATIONS
            case Text(_, extra):
                yield from _beside(extra)
            case _:
                continue


def _beside(extra: Mapping[str, Any]) -> Iterator[str]:
    """Of what stands beside a text. Pages are parts of their own."""
    cited = extra.get("citations")
    if isinstance(cited, list) and any(not (isinstance(one, dict) and one.get("url")) for one in cited):
        yield CITATIONS
    if "citationsContent" in extra:
        yield CITATIONS
