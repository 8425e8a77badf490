"""What the operator sets, in requests that are not translated."""

from typing import Any

import msgspec
import pytest

from tollhouse.llm.fixed import Fixed
from tollhouse.llm.form import Refusal
from tollhouse.llm.formats.openai_chat.forward import body_of, members_of
from tollhouse.llm.provider import FormName
from tollhouse.llm.settings import Options

OPTIONS = Options(max_tokens=7, temperature=0.5, top_k=3)


@pytest.mark.parametrize(
    ("form", "sent", "expected"),
    [
        ("anthropic_messages", {"max_tokens": 99}, {"max_tokens": 7, "temperature": 0.5, "top_k": 3}),
        ("openai_responses", {"top_p": 1}, {"top_p": 1, "max_output_tokens": 7, "temperature": 0.5}),
        ("cohere_chat", {}, {"max_tokens": 7, "temperature": 0.5, "k": 3}),
        ("ollama_chat", {}, {"options": {"num_predict": 7, "temperature": 0.5, "top_k": 3}}),
        (
            "ollama_chat",
            {"options": {"num_ctx": 1, "top_k": 9}},
            {"options": {"num_ctx": 1, "num_predict": 7, "temperature": 0.5, "top_k": 3}},
        ),
        (
            "gemini",
            {"generation_config": {"max_output_tokens": 99, "seed": 1}},
            {"generation_config": {"seed": 1, "maxOutputTokens": 7, "temperature": 0.5, "topK": 3}},
        ),
        (
            "bedrock_converse",
            {"inferenceConfig": None},
            {"inferenceConfig": {"maxTokens": 7, "temperature": 0.5}},
        ),
    ],
)
def test_options_stand_where_the_form_has_them(
    form: FormName, sent: dict[str, Any], expected: dict[str, Any]
) -> None:
    members = members_of(msgspec.json.encode(sent))

    Fixed(form, OPTIONS).put_in(members)

    assert msgspec.json.decode(body_of(members)) == expected


def test_without_options_nothing_is_touched() -> None:
    members = members_of(b'{"generationConfig": 5}')

    Fixed("gemini", Options()).put_in(members)

    assert body_of(members) == b'{"generationConfig":5}'


def test_options_that_are_no_object_are_refused() -> None:
    with pytest.raises(Refusal, match="generationConfig is not an object"):
        Fixed("gemini", OPTIONS).put_in(members_of(b'{"generationConfig": 5}'))
