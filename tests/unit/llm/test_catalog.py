import pytest

from tollhouse.llm.catalog import provider_for

ALL = ("openai", "anthropic", "gemini", "xai", "deepseek", "mistral", "groq", "ollama")


@pytest.mark.parametrize(
    ("model", "available", "expected"),
    [
        ("gpt-4o", ALL, ("openai", "gpt-4o")),
        ("o3-mini", ALL, ("openai", "o3-mini")),
        ("o3", ALL, ("openai", "o3")),
        ("chatgpt-4o-latest", ALL, ("openai", "chatgpt-4o-latest")),
        ("Claude-sonnet-4-5", ALL, ("anthropic", "Claude-sonnet-4-5")),
        ("gemini-2.5-flash", ALL, ("gemini", "gemini-2.5-flash")),
        ("command-r7b-12-2024", ("groq", "cohere"), ("cohere", "command-r7b-12-2024")),
        ("grok-4", ALL, ("xai", "grok-4")),
        ("deepseek-chat", ALL, ("deepseek", "deepseek-chat")),
        ("codestral-latest", ALL, ("mistral", "codestral-latest")),
        # Its maker does not serve it: only who has a price for it does, or the first.
        ("gpt-oss-120b", ("ollama", "mistral"), ("ollama", "gpt-oss-120b")),
        # A provider before a slash decides, if there is such a provider.
        ("groq/gpt-4o", ALL, ("groq", "gpt-4o")),
        ("ollama/library/llama3", ALL, ("ollama", "library/llama3")),
        ("meta-llama/llama-3", ("ollama",), ("ollama", "meta-llama/llama-3")),
        ("openai/", ("ollama",), ("ollama", "openai/")),
        # Nobody is known to have it: the first one's.
        ("my-own", ("ollama", "openai"), ("ollama", "my-own")),
        # Its maker is not there.
        ("gpt-4o", ("ollama",), ("ollama", "gpt-4o")),
        ("", ("ollama",), ("ollama", "")),
    ],
)
def test_whose_a_model_is(model: str, available: tuple[str, ...], expected: tuple[str, str]) -> None:
    assert provider_for(model, available) == expected


def test_without_any_provider_there_is_none() -> None:
    with pytest.raises(LookupError):
        provider_for("gpt-4o", ())
