from typing import Any

import msgspec
import pytest

from tollhouse.llm.tokens import completion_tokens, prompt_in, prompt_tokens


@pytest.mark.parametrize(
    ("prompt", "tokens"),
    [
        (None, 0),
        ("", 0),
        ("one two three", 5),
        ([{"role": "user", "content": "one two three four five"}], 9),
        ([{"content": "one"}, {"content": "two"}], 4),
        ([{"content": [{"type": "text", "text": "one two"}, {"type": "image_url", "image_url": {}}]}], 4),
        ([{"content": None}, 7, True], 0),
    ],
)
def test_a_prompt_has_1_8_tokens_a_word(prompt: Any, tokens: int) -> None:
    assert prompt_tokens(prompt) == tokens


@pytest.mark.parametrize(("written", "tokens"), [(0, 0), (1, 1), (4, 1), (5, 2), (400, 100)])
def test_an_answer_has_one_token_for_every_four_bytes(written: int, tokens: int) -> None:
    assert completion_tokens(written) == tokens


@pytest.mark.parametrize(
    ("members", "tokens"),
    [
        ({}, 0),
        ({"messages": b'["\xff"]'}, 0),
        ({"prompt": b'"one two three"', "model": b'"four five"'}, 5),
        ({"system": b'"one two"', "messages": b'[{"content": "three"}]'}, 6),
        ({"contents": b'[{"parts": [{"text": "one two three"}]}]'}, 5),
        ({"input": b'[{"role": "user", "content": [{"type": "input_text", "text": "one two three"}]}]'}, 5),
    ],
)
def test_prompts_are_found_in_requests_of_all_forms(members: dict[str, bytes], tokens: int) -> None:
    assert prompt_in({name: msgspec.Raw(raw) for name, raw in members.items()}) == tokens
