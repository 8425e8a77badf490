"""What of ai-proxy's settings is refused, in Kong's words."""

from typing import Any

import pytest

from tollhouse.llm.settings import Options, server_format
from tollhouse.model.plugin import plugin_variant
from tollhouse.model.schema import Record
from tollhouse.plugins import Registry

MODEL = {"provider": "openai", "name": "gpt-4o"}
URL = {"upstream_url": "http://127.0.0.1:1/v1/chat/completions"}


def problems(**config: Any) -> Any:
    raw = {"name": "ai-proxy", "config": {"route_type": "llm/v1/chat", "model": MODEL, **config}}
    schema = plugin_variant(raw, Registry())
    assert isinstance(schema, Record)
    errors = schema.check(raw)[1]
    return errors.get("config", errors) if isinstance(errors, dict) else errors


def model(provider: str, **options: Any) -> dict[str, Any]:
    return {"provider": provider, "name": "m", "options": options}


@pytest.mark.parametrize(
    "config",
    [
        {},
        {"route_type": "llm/v1/completions"},
        {"route_type": "preserve"},
        {"model": {"provider": "openai"}},
        {"model": model("ollama")},
        {"model": model("local")},
        {"model": model("azure", azure_instance="i", azure_deployment_id="d")},
        {"model": model("llama2", llama2_format="raw", **URL)},
        {"model": model("llama2", llama2_format="ollama", **URL)},
        {"model": model("mistral", mistral_format="openai", **URL)},
        {"model": model("openai", input_cost=1.5, output_cost=2)},
        {"auth": {"header_name": "Authorization", "header_value": "Bearer x"}},
        {"auth": {"param_name": "k", "param_value": "v", "param_location": "query"}},
        {"response_streaming": "always"},
    ],
)
def test_what_kong_accepts_is_accepted(config: dict[str, Any]) -> None:
    assert problems(**config) == {}


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ({"route_type": None}, "required field missing"),
        (
            {"route_type": "llm/v1/other"},
            "expected one of: llm/v1/chat, llm/v1/completions, llm/v1/responses, preserve",
        ),
        ({"model": None}, "required field missing"),
        ({"model": {"name": "m"}}, "required field missing"),
        ({"model": {"provider": "nobody"}}, "expected one of: openai, azure"),
        ({"model": model("openai", temperature=6)}, "value should be between 0 and 5"),
        ({"model": model("openai", top_p=1.1)}, "value should be between 0 and 1"),
        ({"model": model("openai", top_k=501)}, "value should be between 0 and 500"),
        ({"model": model("openai", input_cost=0)}, "value must be greater than 0"),
        ({"model": model("openai", upstream_url="no url")}, "missing host in url"),
        ({"model": model("llama2", **URL)}, "must set 'model.options.llama2_format' for llama2 provider"),
        ({"model": model("llama2", llama2_format="openai")}, "for self-hosted providers/models"),
        ({"model": model("mistral")}, "must set 'model.options.mistral_format' for mistral provider"),
        ({"model": model("anthropic")}, "must set 'model.options.anthropic_version' for anthropic provider"),
        ({"model": model("azure")}, "must set 'model.options.azure_instance' for azure provider"),
        ({"auth": {"header_name": "A"}}, "all or none of these fields must be set"),
        ({"auth": {"param_name": "A", "param_value": "v"}}, "all or none of these fields must be set"),
        (
            {
                "route_type": "llm/v1/completions",
                "model": model("anthropic", anthropic_version="1"),
                "logging": {"log_statistics": True},
            },
            "{'@entity': ['anthropic does not support statistics when route_type is llm/v1/completions']}",
        ),
        (
            {
                "auth": {"allow_override": False},
                "model": model("bedrock", bedrock={"aws_region": "$(headers.x-region)"}),
            },
            "aws_region cannot depend on the request",
        ),
        ({"response_streaming": "maybe"}, "expected one of: allow, deny, always"),
        ({"max_request_body_size": 0}, "value must be greater than 0"),
    ],
)
def test_what_is_wrong_is_said(config: dict[str, Any], words: str) -> None:
    assert words in str(problems(**config))


def test_a_self_hosted_server_s_form_is_told_by_its_settings() -> None:
    options = Options(llama2_format="ollama", mistral_format="openai")

    assert server_format("llama2", options) == "ollama"
    assert server_format("mistral", options) == "openai"
    assert server_format("openai", options) is None
