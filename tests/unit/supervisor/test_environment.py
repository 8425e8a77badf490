"""What a node serves that was given no file."""

import pytest
import yaml

from tollhouse.config.settings import from_environment
from tollhouse.errors import ConfigErrors
from tollhouse.supervisor import environment
from tollhouse.supervisor.environment import kept_private, llm_gateway, providers, usual_model


def test_it_listens_on_loopback() -> None:
    settings = kept_private(from_environment({}), {})

    assert [str(listen) for listen in settings.proxy_listen] == ["127.0.0.1:8000"]


@pytest.mark.parametrize("name", ["KONG_PROXY_LISTEN", "TOLLHOUSE_PROXY_LISTEN"])
def test_it_listens_where_it_is_told_to(name: str) -> None:
    given = {name: "0.0.0.0:9000"}

    settings = kept_private(from_environment(given), given)

    assert [str(listen) for listen in settings.proxy_listen] == ["0.0.0.0:9000"]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({}, {}),
        ({"OPENAI_API_KEY": ""}, {}),
        ({"GROQ_API_KEY": "k", "OPENAI_API_KEY": "k"}, {"openai": "OPENAI_API_KEY", "groq": "GROQ_API_KEY"}),
        ({"GOOGLE_API_KEY": "k"}, {"gemini": "GOOGLE_API_KEY"}),
        ({"GOOGLE_API_KEY": "k", "GEMINI_API_KEY": "k"}, {"gemini": "GEMINI_API_KEY"}),
    ],
)
def test_providers_are_those_whose_keys_there_are(given: dict[str, str], expected: dict[str, str]) -> None:
    assert providers(given) == expected


def test_keys_are_referred_to_and_never_copied() -> None:
    text = llm_gateway({"OPENAI_API_KEY": "sk-secret", "MISTRAL_API_KEY": "ms-secret"})

    assert "secret" not in text
    (plugin,) = yaml.safe_load(text)["services"][0]["plugins"]
    assert plugin["config"]["providers"] == [
        {"name": "openai", "key": "{vault://env/OPENAI_API_KEY}"},
        {"name": "mistral", "key": "{vault://env/MISTRAL_API_KEY}"},
    ]


def test_without_keys_the_embedded_model_answers() -> None:
    (plugin,) = yaml.safe_load(llm_gateway({}))["services"][0]["plugins"]

    assert plugin["config"]["providers"] == [{"name": "local"}]
    assert usual_model({}) == "smollm2"


def test_without_keys_and_model_it_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(environment, "has_engine", lambda: False)

    with pytest.raises(ConfigErrors) as failure:
        llm_gateway({})

    text = str(failure.value)
    assert "tollhouse start -c kong.yml" in text
    assert "OPENAI_API_KEY" in text
    assert "tollhouse models add smollm2" in text
