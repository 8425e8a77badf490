import pytest

from tollhouse.llm.families.openai_reasoning import is_reasoning, limit_name


@pytest.mark.parametrize(
    "model", ["o1", "o3-mini", "o4-mini-2025-04-16", "gpt-5", "GPT-5.1", "gpt-5-nano", "openai/o1"]
)
def test_reasoning_models_have_their_own_name_for_the_limit(model: str) -> None:
    assert is_reasoning(model)
    assert limit_name(model) == "max_completion_tokens"


@pytest.mark.parametrize(
    "model", ["", "gpt-4o", "gpt-50", "o10", "o1x", "omni-1", "llama-o1", "gpt-oss-120b"]
)
def test_all_others_have_the_usual_one(model: str) -> None:
    assert not is_reasoning(model)
    assert limit_name(model) == "max_tokens"
