from typing import Any

import pytest

from tollhouse.llm.tokens import completion_tokens, prompt_tokens


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
