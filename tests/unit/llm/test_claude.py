"""Which Claude takes what."""

from typing import Any

import pytest

from tollhouse.llm.chat import Effort
from tollhouse.llm.families.claude import Claude, Thoughts, known, thoughts


@pytest.mark.parametrize(
    ("name", "line", "version"),
    [
        ("claude-3-opus-20240229", "opus", (3, 0)),
        ("claude-3-5-haiku-latest", "haiku", (3, 5)),
        ("claude-3.7-sonnet", "sonnet", (3, 7)),
        ("claude-sonnet-4-20250514", "sonnet", (4, 0)),
        ("claude-sonnet-4@20250514", "sonnet", (4, 0)),
        ("claude-opus-4-0", "opus", (4, 0)),
        ("claude-opus-4-1-20250805", "opus", (4, 1)),
        ("anthropic/claude-opus-4.6", "opus", (4, 6)),
        ("us.anthropic.claude-haiku-4-5-20251001-v1:0", "haiku", (4, 5)),
        ("claude-opus-5", "opus", (5, 0)),
        ("Claude-Opus-5-20260724", "opus", (5, 0)),
        ("claude-haiku-5-5", "haiku", (5, 5)),
        ("claude-fable-5-2", "fable", (5, 2)),
        ("claude-mythos-preview", "mythos", (5, 5)),
        ("claude-opus-latest", "opus", (5, 5)),
    ],
)
def test_a_name_tells_the_model(name: str, line: str, version: tuple[int, int]) -> None:
    assert known(name) == Claude(line, version)


@pytest.mark.parametrize("name", ["", "gpt-5", "claude-2.1", "claude", "claude-opusculum-4", "deepseek-chat"])
def test_other_names_are_none_of_the_family(name: str) -> None:
    assert known(name) is None


@pytest.mark.parametrize(
    ("name", "limit"),
    [
        ("claude-3-haiku-20240307", 4096),
        ("claude-3-5-sonnet-20241022", 8192),
        ("claude-3-7-sonnet-20250219", 64_000),
        ("claude-opus-4-1", 32_000),
        ("claude-sonnet-4-0", 64_000),
        ("claude-opus-4-5", 64_000),
        ("claude-haiku-4-5", 64_000),
        ("claude-sonnet-4-6", 128_000),
        ("claude-opus-5", 128_000),
        ("claude-haiku-5-5", 128_000),
    ],
)
def test_how_much_a_model_writes(name: str, limit: int) -> None:
    assert found(name).output_limit == limit


def found(name: str) -> Claude:
    claude = known(name)
    assert claude is not None
    return claude


@pytest.mark.parametrize(
    ("name", "samples", "by_both", "adapts", "budget", "unasked", "off", "forced", "schemas"),
    [
        ("claude-3-5-haiku-20241022", True, True, False, False, False, "disabled", True, False),
        ("claude-opus-4-1", True, False, False, True, False, "disabled", True, True),
        ("claude-haiku-4-5", True, False, False, True, False, "disabled", True, True),
        ("claude-sonnet-4-6", True, False, True, True, False, "disabled", True, True),
        ("claude-opus-4-7", False, False, True, False, False, "disabled", True, True),
        ("claude-opus-5", False, False, True, False, True, "disabled", True, True),
        ("claude-sonnet-5", False, False, True, False, True, "disabled", True, True),
        ("claude-fable-5", False, False, True, False, True, None, True, True),
        ("claude-fable-5-1", False, False, True, False, True, None, False, True),
        ("claude-opus-5-5", False, False, True, False, True, None, False, True),
        ("claude-sonnet-5-5", False, False, True, False, True, "between_tools", False, True),
        ("claude-haiku-5-5", False, False, True, False, True, "disabled", True, True),
    ],
)
def test_what_a_model_takes(
    name: str,
    samples: bool,
    by_both: bool,
    adapts: bool,
    budget: bool,
    unasked: bool,
    off: str | None,
    forced: bool,
    schemas: bool,
) -> None:
    claude = found(name)

    assert (claude.samples, claude.samples_by_both) == (samples, by_both)
    assert (claude.adapts, claude.takes_budget, claude.thinks_unasked) == (adapts, budget, unasked)
    assert (claude.not_thinking, claude.can_be_forced, claude.keeps_schemas) == (off, forced, schemas)


def enabled(budget: int) -> dict[str, Any]:
    return {"type": "enabled", "budget_tokens": budget}


ADAPTIVE = {"type": "adaptive"}


@pytest.mark.parametrize(
    ("name", "effort", "budget", "limit", "expected"),
    [
        ("claude-haiku-4-5", None, None, None, Thoughts()),
        ("claude-haiku-4-5", None, None, 5, Thoughts(max_tokens=5)),
        # A budget is part of the limit, which grows if it is too small.
        ("claude-haiku-4-5", "low", None, 10_000, Thoughts(enabled(2048), max_tokens=10_000)),
        ("claude-haiku-4-5", "minimal", None, 10, Thoughts(enabled(1024), max_tokens=1034)),
        ("claude-haiku-4-5", "medium", None, 8192, Thoughts(enabled(8192), max_tokens=16384)),
        ("claude-haiku-4-5", "high", None, None, Thoughts(enabled(16384), max_tokens=64_000)),
        ("claude-opus-4-1", "max", None, 100, Thoughts(enabled(24_000), max_tokens=32_000)),
        ("claude-haiku-4-5", None, 5, 2000, Thoughts(enabled(1024), max_tokens=2000)),
        ("claude-haiku-4-5", "none", None, 9, Thoughts(max_tokens=9)),
        ("claude-3-5-haiku-latest", "high", None, 9, Thoughts(max_tokens=9, in_vain=True)),
        # Both are taken: a budget that was given in tokens stays one.
        ("claude-sonnet-4-6", None, 3000, 9000, Thoughts(enabled(3000), max_tokens=9000)),
        ("claude-sonnet-4-6", "medium", None, None, Thoughts(ADAPTIVE, "medium")),
        ("claude-sonnet-4-6", "xhigh", None, None, Thoughts(ADAPTIVE, "high")),
        ("claude-sonnet-4-6", "max", None, None, Thoughts(ADAPTIVE, "max")),
        ("claude-opus-4-7", "xhigh", None, 7, Thoughts(ADAPTIVE, "xhigh", 7)),
        ("claude-opus-5", "minimal", None, None, Thoughts(ADAPTIVE, "low")),
        ("claude-opus-5", None, 2048, None, Thoughts(ADAPTIVE, "low")),
        ("claude-opus-5", None, 5000, None, Thoughts(ADAPTIVE, "medium")),
        ("claude-opus-5", None, 16000, None, Thoughts(ADAPTIVE, "high")),
        ("claude-opus-5", None, 99999, None, Thoughts(ADAPTIVE, "xhigh")),
        # Those that think unasked must be told not to, if they let themselves be told.
        ("claude-opus-4-8", "none", None, None, Thoughts()),
        ("claude-opus-5", "none", None, None, Thoughts({"type": "disabled"})),
        ("claude-opus-5", None, 0, None, Thoughts({"type": "disabled"})),
        ("claude-sonnet-5-5", "none", None, None, Thoughts({"type": "between_tools"})),
        ("claude-opus-5-5", "none", None, None, Thoughts(effort="low", in_vain=True)),
    ],
)
def test_how_a_model_is_told_to_think(
    name: str, effort: Effort | None, budget: int | None, limit: int | None, expected: Thoughts
) -> None:
    assert thoughts(found(name), effort, budget, limit) == expected


@pytest.mark.parametrize(("show", "display"), [(True, "summarized"), (False, "omitted")])
def test_thoughts_are_shown_or_not(show: bool, display: str) -> None:
    adaptive = {"type": "adaptive", "display": display}

    assert thoughts(found("claude-opus-5"), "high", None, None, show=show) == Thoughts(adaptive, "high")
    assert thoughts(found("claude-opus-5"), None, None, None, show=show) == Thoughts(adaptive)
    assert thoughts(found("claude-opus-4-8"), None, None, None, show=show) == Thoughts()
