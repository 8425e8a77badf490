"""Paths and hosts of models on Google Cloud."""

import pytest

from tollhouse.llm.providers.vertex import Place, anthropic_body, chat_path, path_of, publisher_of

HERE = Place("example-project", "us-central1")
WITHIN = "/v1/projects/example-project/locations/us-central1/publishers/"


@pytest.mark.parametrize(
    ("location", "host"),
    [
        ("us-central1", "us-central1-aiplatform.googleapis.com"),
        ("global", "aiplatform.googleapis.com"),
        ("", "aiplatform.googleapis.com"),
        ("eu", "aiplatform.eu.rep.googleapis.com"),
    ],
)
def test_hosts(location: str, host: str) -> None:
    assert Place("p", location).host == host


@pytest.mark.parametrize(
    ("model", "stream", "path"),
    [
        ("gemini-2.5-flash", False, "google/models/gemini-2.5-flash:generateContent"),
        (
            "publishers/google/models/gemini-2.5-flash",
            True,
            "google/models/gemini-2.5-flash:streamGenerateContent",
        ),
        ("claude-sonnet-4-5@20250929", False, "anthropic/models/claude-sonnet-4-5@20250929:rawPredict"),
        ("Claude-sonnet-4-5", True, "anthropic/models/Claude-sonnet-4-5:streamRawPredict"),
        ("mistral-large", False, "mistralai/models/mistral-large:rawPredict"),
        # whatever a client calls a model, it stays in its place
        ("a?b:c", False, "google/models/a%3Fb%3Ac:generateContent"),
        ("../../x", False, "google/models/x:generateContent"),
    ],
)
def test_paths(model: str, stream: bool, path: str) -> None:
    assert chat_path(HERE, model, stream=stream) == WITHIN + path


def test_the_path_without_a_project_begins_with_the_publisher() -> None:
    path = path_of(Place("", ""), "google", "m", "countTokens", "v1beta1")

    assert path == "/v1beta1/publishers/google/models/m:countTokens"


def test_who_publishes_a_model() -> None:
    names = ["gemini-3-pro", "claude-opus-4", "llama-4", "codestral-2", "jamba-1.5", "text-embedding-005"]

    assert [publisher_of(name) for name in names] == [
        "google",
        "anthropic",
        "meta",
        "mistralai",
        "ai21",
        "google",
    ]


def test_claude_s_requests_have_a_version_in_place_of_the_model() -> None:
    assert anthropic_body({"model": "claude", "max_tokens": 5}) == {
        "anthropic_version": "vertex-2023-10-16",
        "max_tokens": 5,
    }
    assert anthropic_body({"anthropic_version": "2026-10-21"}) == {"anthropic_version": "2026-10-21"}
