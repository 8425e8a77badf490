"""Estimates of tokens, for providers that tell no usage and for streams that were broken off.

Kong's rules, so that both gateways report alike: 1.8 tokens for each word of a prompt, one for every
four bytes of an answer. Either is within some tens of percent for European languages; numbers got this
way are marked as estimated wherever they are shown.
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec

from tollhouse.llm.form import MALFORMED

_TOKENS_PER_10_WORDS: Final = 18
_BYTES_PER_TOKEN: Final = 4
#: members of requests, in all forms, that a model reads
_PROMPTS: Final = (
    *("messages", "prompt", "system", "contents", "systemInstruction", "system_instruction"),
    *("input", "instructions"),
)


def prompt_tokens(prompt: Any) -> int:
    """Of a prompt: a text, or messages whose `content` is text or a list of parts."""
    words = sum(len(text.split()) for text in _texts(prompt))
    return round(words * _TOKENS_PER_10_WORDS / 10)


def prompt_in(members: Mapping[str, msgspec.Raw]) -> int:
    """Of all prompts in a request, whatever its form; its members are JSON."""
    found = (_decoded(members[name]) for name in _PROMPTS if name in members)
    return sum(map(prompt_tokens, found))


def _decoded(raw: msgspec.Raw) -> Any:
    """`None` for what a provider took though it cannot be read here."""
    try:
        return msgspec.json.decode(raw)
    except MALFORMED:
        return None


def completion_tokens(written: int) -> int:
    """Of an answer of so many bytes of text."""
    return -(-written // _BYTES_PER_TOKEN)


def _texts(prompt: Any) -> Iterator[str]:
    if isinstance(prompt, str):
        yield prompt
    elif isinstance(prompt, list):
        for piece in prompt:
            yield from _texts(piece)
    elif isinstance(prompt, dict):
        yield from _texts(prompt.get("content"))
        yield from _texts(prompt.get("text"))
        yield from _texts(prompt.get("parts"))
