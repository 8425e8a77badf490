"""Which form a request speaks, by the path that an SDK sends."""

import pytest

from tollhouse.llm.recognise import recognised


@pytest.mark.parametrize(
    ("path", "form", "operation", "model", "stream"),
    [
        ("/v1/chat/completions", "openai_chat", "chat", "", False),
        ("/openai/v1/chat/completions", "openai_chat", "chat", "", False),
        ("/openai/deployments/gpt-4o/chat/completions", "openai_chat", "chat", "", False),
        ("/v1/responses", "openai_responses", "chat", "", False),
        ("/openai/responses", "openai_responses", "chat", "", False),
        ("/v1/messages", "anthropic_messages", "chat", "", False),
        ("/v1/messages/count_tokens", "anthropic_messages", "count_tokens", "", False),
        ("/v1beta/models/gemini-2.5-flash:generateContent", "gemini", "chat", "gemini-2.5-flash", False),
        ("/v1beta/models/gemini-2.5-flash:streamGenerateContent", "gemini", "chat", "gemini-2.5-flash", True),
        ("/v1beta/models/gemini-2.5-flash:countTokens", "gemini", "count_tokens", "gemini-2.5-flash", False),
        ("/v1beta/models/ollama/qwen3:0.6b:generateContent", "gemini", "chat", "ollama/qwen3:0.6b", False),
        (
            "/v1beta1/projects/p/locations/l/publishers/google/models/gemini-2.5-pro:generateContent",
            "gemini",
            "chat",
            "gemini-2.5-pro",
            False,
        ),
        (
            "/model/anthropic.claude-v2%3A1/converse",
            "bedrock_converse",
            "chat",
            "anthropic.claude-v2:1",
            False,
        ),
        ("/model/a%2Fb/converse-stream", "bedrock_converse", "chat", "a/b", True),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/claude-opus-4%4020250514:rawPredict",
            "anthropic_messages",
            "chat",
            "claude-opus-4@20250514",
            False,
        ),
        (
            "/projects/p/locations/l/publishers/anthropic/models/groq%2Fllama:streamRawPredict",
            "anthropic_messages",
            "chat",
            "groq/llama",
            True,
        ),
        (
            "/v1/projects/p/locations/l/publishers/anthropic/models/count-tokens:rawPredict",
            "anthropic_messages",
            "count_tokens",
            "",
            False,
        ),
        ("/api/chat", "ollama_chat", "chat", "", False),
        ("/v2/chat", "cohere_chat", "chat", "", False),
    ],
)
def test_the_paths_of_the_sdks(path: str, form: str, operation: str, model: str, stream: bool) -> None:
    asked = recognised(path)

    assert asked is not None
    assert (asked.form, asked.operation) == (form, operation)
    assert (asked.told.model, asked.told.stream) == (model, stream)


@pytest.mark.parametrize(
    ("path", "model"),
    [("/v1/models", ""), ("/v1/models/gpt-4o", "gpt-4o"), ("/v1/models/openai/gpt-4o", "openai/gpt-4o")],
)
def test_models_are_asked_for(path: str, model: str) -> None:
    asked = recognised(path)

    assert asked is not None
    assert (asked.operation, asked.model) == ("models", model)


@pytest.mark.parametrize("path", ["/", "/v1", "/v1/file", "/v1/chat/completions/x", "/model/x"])
def test_other_paths_are_unknown(path: str) -> None:
    assert recognised(path) is None
