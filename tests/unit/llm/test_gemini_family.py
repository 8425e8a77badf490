"""Which Gemini model thinks how."""

from typing import Any

import pytest

from tollhouse.llm.families.gemini import (
    Thought,
    can_stop_thinking,
    takes_json_schema,
    takes_levels,
    thinking_by_effort,
    thinking_by_tokens,
    thinks,
    version_of,
    wants_signatures,
)


@pytest.mark.parametrize(
    ("model", "version", "told"),
    [
        # thinks, takes levels, can stop thinking, takes JSON Schema, wants signatures
        ("gemini-1.5-pro", (1, 5), (False, False, True, False, False)),
        ("gemini-2.0-flash", (2, 0), (False, False, True, False, False)),
        ("gemini-2.5-flash", (2, 5), (True, False, True, True, False)),
        ("models/gemini-2.5-flash-lite", (2, 5), (True, False, True, True, False)),
        ("publishers/google/models/gemini-2.5-pro", (2, 5), (True, False, False, True, False)),
        ("gemini-3-flash-preview", (3, 0), (True, True, False, True, True)),
        ("Gemini-3.1-Pro-preview", (3, 1), (True, True, False, True, True)),
        ("gemini-flash-latest", (99, 0), (True, True, True, True, False)),
        ("my-own", (99, 0), (True, True, True, True, False)),
    ],
)
def test_what_models_can(model: str, version: tuple[int, int], told: tuple[bool, ...]) -> None:
    assert version_of(model) == version
    found = (thinks, takes_levels, can_stop_thinking, takes_json_schema, wants_signatures)
    assert tuple(ask(model) for ask in found) == told


@pytest.mark.parametrize(
    ("model", "effort", "config", "honoured"),
    [
        ("gemini-2.5-flash", "none", {"thinkingBudget": 0}, True),
        ("gemini-2.5-flash", "low", {"thinkingBudget": 1024}, True),
        ("gemini-2.5-flash", "medium", {"thinkingBudget": 8192}, True),
        ("gemini-2.5-flash", "max", {"thinkingBudget": 24_576}, True),
        ("gemini-2.5-pro", "max", {"thinkingBudget": 32_768}, True),
        ("gemini-2.5-pro", "none", {"thinkingBudget": 128}, False),
        ("gemini-2.5-flash-lite", "none", {"thinkingBudget": 0}, True),
        ("gemini-2.0-flash", "high", {}, False),
        ("gemini-2.0-flash", "none", {}, True),
        ("gemini-3-flash", "none", {"thinkingLevel": "MINIMAL"}, False),
        ("gemini-3-flash", "medium", {"thinkingLevel": "MEDIUM"}, True),
        ("gemini-3-flash", "xhigh", {"thinkingLevel": "HIGH"}, True),
        ("gemini-3-pro", "none", {"thinkingLevel": "LOW"}, False),
        ("gemini-3-pro", "minimal", {"thinkingLevel": "LOW"}, True),
        ("gemini-3-pro", "medium", {"thinkingLevel": "HIGH"}, True),
        ("gemini-3.1-pro", "medium", {"thinkingLevel": "MEDIUM"}, True),
        ("my-own", "none", {"thinkingBudget": 0}, True),
        ("my-own", "high", {"thinkingLevel": "HIGH"}, True),
    ],
)
def test_efforts(model: str, effort: Any, config: dict[str, Any], honoured: bool) -> None:
    assert thinking_by_effort(model, effort) == Thought(config, honoured)


@pytest.mark.parametrize(
    ("model", "tokens", "config", "honoured"),
    [
        ("gemini-2.5-flash", 0, {"thinkingBudget": 0}, True),
        ("gemini-2.5-flash", 5000, {"thinkingBudget": 5000}, True),
        ("gemini-2.5-flash", 50_000, {"thinkingBudget": 24_576}, True),
        ("gemini-2.5-flash-lite", 5, {"thinkingBudget": 512}, True),
        ("gemini-2.5-pro", 5, {"thinkingBudget": 128}, True),
        ("gemini-3-flash", 1024, {"thinkingLevel": "MINIMAL"}, True),
        ("gemini-3-flash", 2000, {"thinkingLevel": "LOW"}, True),
        ("gemini-3-flash", 16_000, {"thinkingLevel": "MEDIUM"}, True),
        ("gemini-3-flash", 32_000, {"thinkingLevel": "HIGH"}, True),
        ("gemini-3-pro", 1024, {"thinkingLevel": "LOW"}, True),
        ("gemini-2.0-flash", 5, {}, False),
    ],
)
def test_tokens_to_think_with(model: str, tokens: int, config: dict[str, Any], honoured: bool) -> None:
    assert thinking_by_tokens(model, tokens) == Thought(config, honoured)
