"""What a model's id tells of whose it is, and of what is asked of it in its maker's own words.

An id may have a region before the maker (`us.anthropic.…`) or be an ARN that ends in one; ARNs of profiles
and endpoints of a customer's own tell nothing.
"""

import re
from typing import Final, Literal, TypeAlias

Maker: TypeAlias = Literal["claude", "nova", "gpt_oss", "cohere", "other", "unknown"]

_MAKERS: Final[tuple[tuple[re.Pattern[str], Maker], ...]] = (
    (re.compile(r"anthropic\.|claude"), "claude"),
    (re.compile(r"amazon\.nova"), "nova"),
    (re.compile(r"openai\.gpt-oss"), "gpt_oss"),
    (re.compile(r"cohere\."), "cohere"),
)
_PLAIN_ID: Final = re.compile(r"(?:[a-z-]+\.)?[a-z0-9-]+\.[a-z0-9-]+")
_NOVA_2: Final = re.compile(r"amazon\.nova-2")


def maker_of(model: str) -> Maker:
    for pattern, maker in _MAKERS:
        if pattern.search(model):
            return maker
    return "other" if _PLAIN_ID.match(model) else "unknown"


def is_nova_2(model: str) -> bool:
    """Whether it is of the generation that can be told how much to think."""
    return _NOVA_2.search(model) is not None


def can_cache(model: str) -> bool:
    """Whether marks of the prompt cache are understood; the other models answer 400 to them.
    https://docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html"""
    return maker_of(model) in ("claude", "nova", "unknown")
