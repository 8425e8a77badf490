"""Google's Gemini models: how much they think, and what their thoughts are signed for.

Models from 3 on take a level, those of 2.5 a number of tokens, older ones do not think and refuse to be
asked. https://ai.google.dev/gemini-api/docs/thinking; efforts as Google itself reads them from clients of
OpenAI's form: https://ai.google.dev/gemini-api/docs/openai#thinking
"""

import re
from typing import Any, Final, NamedTuple

from tollhouse.llm.chat import Effort

_NAME: Final = re.compile(r"(?:.*/)?gemini-(\d+)(?:\.(\d+))?(.*)", re.IGNORECASE)
#: what Google's documentation says to send with calls that another model made
#: (https://ai.google.dev/gemini-api/docs/thought-signatures#faqs)
UNSIGNED: Final = "skip_thought_signature_validator"
_LEVELS: Final[dict[Effort, str]] = {
    "none": "MINIMAL",
    "minimal": "MINIMAL",
    "low": "LOW",
    "medium": "MEDIUM",
    "high": "HIGH",
    "xhigh": "HIGH",
    "max": "HIGH",
}
#: Pro models know fewer: the nearest
_LEVELS_OF_PRO: Final = {"MINIMAL": "LOW"}
_LEVELS_OF_FIRST_PRO: Final = {"MINIMAL": "LOW", "MEDIUM": "HIGH"}
_BUDGETS: Final[dict[Effort, int]] = {
    "none": 0,
    "minimal": 1024,
    "low": 1024,
    "medium": 8192,
    "high": 24_576,
    "xhigh": 32_768,
    "max": 32_768,
}
#: fewest and most tokens to think with, by what the name of the model says
_RANGES: Final = (("flash-lite", 512, 24_576), ("pro", 128, 32_768), ("", 1, 24_576))
#: tokens up to which a level is enough
_ENOUGH: Final = ((1024, "MINIMAL"), (4096, "LOW"), (16_384, "MEDIUM"))
#: models whose names tell no version are the newest, or somebody's own
_NEWEST: Final = (99, 0)


class Thought(NamedTuple):
    """Members of a `thinkingConfig`, and whether they say what was asked for."""

    config: dict[str, Any]
    honoured: bool = True


def version_of(model: str) -> tuple[int, int]:
    found = _NAME.fullmatch(model)
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def is_pro(model: str) -> bool:
    return "-pro" in model.lower()


def takes_levels(model: str) -> bool:
    return version_of(model) >= (3, 0)


def thinks(model: str) -> bool:
    return version_of(model) >= (2, 5)


def can_stop_thinking(model: str) -> bool:
    """Only the smaller ones of 2.5 can; models without a version in their name get the benefit of the
    doubt."""
    version = version_of(model)
    return version == _NEWEST or version < (2, 5) or (version < (3, 0) and not is_pro(model))


def takes_json_schema(model: str) -> bool:
    """Whether JSON Schemas can be sent as they are; older models take a subset of OpenAPI's
    (https://ai.google.dev/gemini-api/docs/structured-output)."""
    return version_of(model) >= (2, 5)


def wants_signatures(model: str) -> bool:
    """Whether a call in the conversation without the signature of its thought is an error:
    https://ai.google.dev/gemini-api/docs/thought-signatures."""
    return _NAME.fullmatch(model) is not None and version_of(model) >= (3, 0)


def reads_pictures_in_results(model: str) -> bool:
    """Whether results of functions may have parts beside their object."""
    return version_of(model) >= (3, 0)


def thinking_by_effort(model: str, effort: Effort) -> Thought:
    if not thinks(model):
        return Thought({}, effort == "none")
    honoured = effort != "none" or can_stop_thinking(model)
    if effort == "none" and honoured:
        return Thought({"thinkingBudget": 0})
    if takes_levels(model):
        return Thought({"thinkingLevel": _level(model, _LEVELS[effort])}, honoured)
    return Thought({"thinkingBudget": _within_range(model, _BUDGETS[effort])}, honoured)


def thinking_by_tokens(model: str, tokens: int) -> Thought:
    if tokens == 0:
        return thinking_by_effort(model, "none")
    if not thinks(model):
        return Thought({}, honoured=False)
    if takes_levels(model):
        level = next((level for enough, level in _ENOUGH if tokens <= enough), "HIGH")
        return Thought({"thinkingLevel": _level(model, level)})
    return Thought({"thinkingBudget": _within_range(model, tokens)})


def _level(model: str, level: str) -> str:
    if not is_pro(model):
        return level
    known = _LEVELS_OF_FIRST_PRO if version_of(model) == (3, 0) else _LEVELS_OF_PRO
    return known.get(level, level)


def _within_range(model: str, tokens: int) -> int:
    _, fewest, most = next(row for row in _RANGES if row[0] in model.lower())
    return max(fewest, min(tokens, most))
