"""Anthropic's Claude, wherever it is hosted: what each model takes, and how it is told to think.

Models and their output limits: https://platform.claude.com/docs/en/about-claude/models/overview
Thinking by model: https://platform.claude.com/docs/en/build-with-claude/thinking-troubleshooting
Effort: https://platform.claude.com/docs/en/build-with-claude/effort
Sampling parameters, forced tools: https://platform.claude.com/docs/en/about-claude/models/migration-guide
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

from tollhouse.llm.chat import Effort

_LINES: Final = "opus|sonnet|haiku|fable|mythos"
#: `claude-opus-4-5-20251101`, `claude-sonnet-4@20250514`, `anthropic.claude-haiku-5-5`
_NEW_NAME: Final = re.compile(
    rf"claude-({_LINES})(?:[-.](\d)(?:[-.](\d{{1,2}})(?!\d))?(?!\d))?(?![a-z])", re.IGNORECASE
)
#: `claude-3-7-sonnet-20250219`, `claude-4.5-haiku`
_OLD_NAME: Final = re.compile(rf"claude-(\d)(?:[-.](\d))?-({_LINES})(?![a-z])", re.IGNORECASE)
#: what a name without a number stands for, as `claude-opus-latest`
_NEWEST: Final = (5, 5)
_ALWAYS_THINKING: Final = frozenset({"fable", "mythos"})

#: least budget that is taken: https://platform.claude.com/docs/en/build-with-claude/extended-thinking
LEAST_BUDGET: Final = 1024
_BUDGETS: Final[Mapping[Effort, int]] = {
    "minimal": 1024,
    "low": 2048,
    "medium": 8192,
    "high": 16384,
    "xhigh": 32768,
    "max": 32768,
}
_ADAPTIVE: Final[Mapping[Effort, str]] = {
    "minimal": "low",
    "low": "low",
    "medium": "medium",
    "high": "high",
    "xhigh": "xhigh",
    "max": "max",
}
#: budget in tokens up to which an effort stands for it, where budgets are not taken
_EFFORT_UP_TO: Final[tuple[tuple[int, Effort], ...]] = (
    (2048, "low"),
    (8192, "medium"),
    (16384, "high"),
)


@dataclass(frozen=True, slots=True)
class Claude:
    """One model of the family. `line` is its size, `version` its number."""

    line: str
    version: tuple[int, int]

    @property
    def output_limit(self) -> int:
        """Most tokens that it writes in one answer, thoughts included."""
        if self.version >= (4, 6):
            return 128_000
        if self.line == "opus" and (4, 0) <= self.version < (4, 5):
            return 32_000
        if self.version >= (3, 7):
            return 64_000
        return 8192 if self.version >= (3, 5) else 4096

    @property
    def samples(self) -> bool:
        """Whether it takes `temperature`, `top_p` and `top_k`."""
        return self.version < (4, 7)

    @property
    def samples_by_both(self) -> bool:
        """Whether it takes `temperature` and `top_p` in one request."""
        return self.version < (4, 1)

    @property
    def adapts(self) -> bool:
        """Whether it takes thinking of the type `adaptive`, and efforts with it."""
        return self.version >= (4, 6)

    @property
    def takes_budget(self) -> bool:
        return (3, 7) <= self.version < (4, 7)

    @property
    def thinks_unasked(self) -> bool:
        return self.version >= (5, 0)

    @property
    def not_thinking(self) -> str | None:
        """The type of thinking that keeps it from thinking first; `None` if nothing does."""
        if self.line in _ALWAYS_THINKING or (self.line == "opus" and self.version >= (5, 5)):
            return None
        if self.line == "sonnet" and self.version >= (5, 5):
            return "between_tools"
        return "disabled"

    @property
    def can_be_forced(self) -> bool:
        """Whether it takes a tool choice that makes it call a tool.
        https://platform.claude.com/docs/en/agents-and-tools/tool-use/define-tools"""
        if self.line in _ALWAYS_THINKING:
            return self.version < (5, 1)
        return self.line == "haiku" or self.version < (5, 5)

    @property
    def keeps_schemas(self) -> bool:
        """Whether answers and arguments can be held to a JSON Schema.
        https://platform.claude.com/docs/en/build-with-claude/structured-outputs"""
        return self.version >= (4, 5) or (self.line == "opus" and self.version >= (4, 1))


@lru_cache(maxsize=256)
def known(model: str) -> Claude | None:
    """The model of that name, with a host's prefix or suffix as well; `None` if it is none of these."""
    if found := _OLD_NAME.search(model):
        major, minor, line = found.groups()
    elif found := _NEW_NAME.search(model):
        line, major, minor = found.groups()
        if major is None:
            return Claude(line.lower(), _NEWEST)
    else:
        return None
    return Claude(line.lower(), (int(major), int(minor or 0)))


@dataclass(frozen=True, slots=True)
class Thoughts:
    """How to ask for thoughts: the `thinking` object, the effort beside it, and the limit of tokens,
    which may have to be higher than the client's for a budget to fit in."""

    thinking: Mapping[str, Any] | None = None
    effort: str | None = None
    max_tokens: int | None = None
    #: the client asked for what the model cannot do
    in_vain: bool = False


def thoughts(
    claude: Claude,
    effort: Effort | None,
    budget: int | None,
    max_tokens: int | None,
    *,
    show: bool | None = None,
) -> Thoughts:
    """`budget` is in tokens, 0 for no thoughts; an effort goes before it."""
    if effort == "none" or (effort is None and budget == 0):
        return _silent(claude, max_tokens)
    if effort is None and budget is None:
        shown = claude.thinks_unasked and show is not None
        return Thoughts(_adaptive(show) if shown else None, max_tokens=max_tokens)
    if claude.adapts and not (claude.takes_budget and effort is None):
        level = _ADAPTIVE[effort or _effort_for(budget or 0)]
        if level == "xhigh" and claude.version < (4, 7):
            level = "high"
        return Thoughts(_adaptive(show), level, max_tokens)
    if claude.takes_budget:
        tokens = _BUDGETS[effort] if effort is not None else max(LEAST_BUDGET, budget or 0)
        return _with_budget(claude, tokens, max_tokens)
    return Thoughts(max_tokens=max_tokens, in_vain=True)


def _effort_for(budget: int) -> Effort:
    return next((effort for most, effort in _EFFORT_UP_TO if budget <= most), "xhigh")


def _adaptive(show: bool | None) -> dict[str, Any]:
    """Newer models keep their thoughts to themselves unless asked to show them."""
    display = {} if show is None else {"display": "summarized" if show else "omitted"}
    return {"type": "adaptive", **display}


def _silent(claude: Claude, max_tokens: int | None) -> Thoughts:
    if not claude.thinks_unasked:
        return Thoughts(max_tokens=max_tokens)
    if claude.not_thinking is None:
        return Thoughts(effort="low", max_tokens=max_tokens, in_vain=True)
    return Thoughts({"type": claude.not_thinking}, max_tokens=max_tokens)


def _with_budget(claude: Claude, budget: int, max_tokens: int | None) -> Thoughts:
    """The budget is part of the limit of tokens, and must leave some of it for the answer."""
    limit = max_tokens if max_tokens is not None else claude.output_limit
    if budget >= limit:
        limit = min(claude.output_limit, limit + budget)
    if budget >= limit:
        budget = limit * 3 // 4
    return Thoughts({"type": "enabled", "budget_tokens": budget}, max_tokens=limit)
