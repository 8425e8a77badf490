"""What Kong's AI plugins are told about a model: shared by all plugins that call one."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

from tollhouse.llm.provider import FormName
from tollhouse.model.checks import (
    Check,
    Conditional,
    ConditionalAtLeastOneOf,
    CustomEntity,
    MutuallyRequired,
)
from tollhouse.model.validators import url
from tollhouse.pdk import setting

#: Kong's names first, in its order
ProviderName = Literal[
    "openai",
    "azure",
    "anthropic",
    "cohere",
    "mistral",
    "llama2",
    "gemini",
    "bedrock",
    "huggingface",
    "ollama",
    "local",
    "groq",
    "deepseek",
    "xai",
    "openrouter",
    "together",
]
#: the four of Kong's open edition, the others by the names of its newer ones, and by shorter ones
RouteType = Literal[
    "llm/v1/chat",
    "llm/v1/completions",
    "llm/v1/responses",
    "preserve",
    "llm/v1/embeddings",
    "llm/v1/rerank",
    "llm/v1/moderations",
    "llm/v1/images",
    "llm/v1/audio",
    "llm/v1/files",
    "llm/v1/batches",
    "image/v1/images/generations",
    "image/v1/images/edits",
    "audio/v1/audio/speech",
    "audio/v1/audio/transcriptions",
    "audio/v1/audio/translations",
]
#: Kong's names first; the others are Tollhouse's own
ClientFormat = Literal["openai", "bedrock", "gemini", "anthropic", "cohere", "ollama"]
_CLIENT_FORMS: Final[dict[str, FormName]] = {
    "openai": "openai_chat",
    "bedrock": "bedrock_converse",
    "gemini": "gemini",
    "anthropic": "anthropic_messages",
    "cohere": "cohere_chat",
    "ollama": "ollama_chat",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Auth:
    header_name: str | None = setting(
        None, required=False, referenceable=True, doc="Header that carries the provider's key."
    )
    header_value: str | None = setting(
        None, required=False, referenceable=True, encrypted=True, doc="Its whole value, e.g. `Bearer sk-…`."
    )
    param_name: str | None = setting(
        None, required=False, referenceable=True, doc="Parameter that carries the provider's key."
    )
    param_value: str | None = setting(
        None, required=False, referenceable=True, encrypted=True, doc="Its value."
    )
    param_location: Literal["query", "body"] | None = setting(
        None, required=False, doc="Where the parameter goes."
    )
    gcp_use_service_account: bool = setting(False, required=False, doc="Log in to Google Cloud.")
    gcp_service_account_json: str | None = setting(
        None, required=False, referenceable=True, doc="Key file of the service account."
    )
    aws_access_key_id: str | None = setting(
        None, required=False, referenceable=True, encrypted=True, doc="Access key of AWS."
    )
    aws_secret_access_key: str | None = setting(
        None, required=False, referenceable=True, encrypted=True, doc="Secret key of AWS."
    )
    allow_override: bool = setting(False, required=False, doc="Let a client bring its own key.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Gemini:
    api_endpoint: str | None = setting(None, required=False, doc="Host of the regional endpoint of Vertex.")
    project_id: str | None = setting(None, required=False, doc="Project in Google Cloud.")
    location_id: str | None = setting(None, required=False, doc="Region in Google Cloud.")

    CHECKS = (MutuallyRequired("api_endpoint", "project_id", "location_id"),)


@dataclass(frozen=True, slots=True, kw_only=True)
class Bedrock:
    aws_region: str | None = setting(None, required=False, doc="Region of AWS.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Huggingface:
    use_cache: bool | None = setting(None, required=False, doc="Let the provider answer from its cache.")
    wait_for_model: bool | None = setting(None, required=False, doc="Wait until the model is loaded.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    max_tokens: int | None = setting(
        None, required=False, doc="Most tokens to write; overrides the client's."
    )
    input_cost: float | None = setting(
        None, required=False, gt=0, unit="USD per million tokens", doc="Price of what goes in."
    )
    output_cost: float | None = setting(
        None, required=False, gt=0, unit="USD per million tokens", doc="Price of what comes out."
    )
    temperature: float | None = setting(
        None, required=False, between=(0, 5), doc="Sampling temperature; overrides the client's."
    )
    top_p: float | None = setting(
        None, required=False, between=(0, 1), doc="Nucleus sampling; overrides the client's."
    )
    top_k: int | None = setting(
        None, required=False, between=(0, 500), doc="Candidates to sample from; overrides the client's."
    )
    anthropic_version: str | None = setting(None, required=False, doc="Version header of Anthropic.")
    azure_instance: str | None = setting(None, required=False, doc="Instance of Azure OpenAI.")
    azure_api_version: str = setting("2023-05-15", required=False, doc="API version of Azure OpenAI.")
    azure_deployment_id: str | None = setting(None, required=False, doc="Deployment of Azure OpenAI.")
    llama2_format: Literal["raw", "openai", "ollama"] | None = setting(
        None, required=False, doc="What the server of a self-hosted model speaks."
    )
    mistral_format: Literal["openai", "ollama"] | None = setting(
        None, required=False, doc="What the server of a Mistral model speaks."
    )
    upstream_url: str | None = setting(
        None,
        required=False,
        validator=url,
        doc="Where to send requests, in place of the provider's own address.",
    )
    upstream_path: str | None = setting(
        None, required=False, doc="Path in place of the provider's own. Deprecated: use `upstream_url`."
    )
    gemini: Gemini | None = setting(None, required=False, doc="For models on Vertex.")
    bedrock: Bedrock | None = setting(None, required=False, doc="For models on Bedrock.")
    huggingface: Huggingface | None = setting(None, required=False, doc="For models on Hugging Face.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Model:
    provider: ProviderName = setting(required=True, doc="Who serves the model.")
    name: str | None = setting(None, required=False, doc="The model; without it the client chooses.")
    options: Options | None = setting(None, required=False, doc="How to call the model, and what it costs.")


def client_form(llm_format: str, route_type: str) -> FormName:
    """The form that clients of such a route speak."""
    if llm_format == "openai" and route_type == "llm/v1/responses":
        return "openai_responses"
    return _CLIENT_FORMS[llm_format]


def server_format(provider: str, options: Options) -> str | None:
    """What the settings say a self-hosted server speaks; they say it of two providers."""
    formats = {"llama2": options.llama2_format, "mistral": options.mistral_format}
    return formats.get(provider)


def needed_headers(headers: tuple[tuple[str, str], ...], options: Options) -> tuple[tuple[str, str], ...]:
    """A provider's header fields, with the values that the settings have for them."""
    told = {"anthropic-version": options.anthropic_version}
    return tuple((name, told.get(name) or value) for name, value in headers)


def told_headers(options: Options) -> tuple[tuple[str, str], ...]:
    """How Hugging Face is told of its options
    (https://huggingface.co/docs/api-inference/parameters)."""
    options_there = options.huggingface or Huggingface()
    told = {"x-use-cache": options_there.use_cache, "x-wait-for-model": options_there.wait_for_model}
    return tuple((name, str(value).lower()) for name, value in told.items() if value is not None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Logging:
    log_statistics: bool = setting(
        False, required=True, doc="Tell log and metrics plugins what each call used."
    )
    log_payloads: bool = setting(
        False, required=True, doc="Put requests and answers into log records; they may be confidential."
    )


def _needed(provider: str, option: str, whom: str) -> ConditionalAtLeastOneOf:
    return ConditionalAtLeastOneOf(
        "model.provider", {"one_of": (provider,)}, (f"model.options.{option}",), f"must set %s for {whom}"
    )


#: Kong's checks of a record with `auth` and `model`, in its order
CHECKS: Final[tuple[Check, ...]] = (
    Conditional(
        "model.provider",
        {"one_of": ("bedrock", "gemini")},
        "auth.allow_override",
        {"eq": False},
        "bedrock and gemini only support auth.allow_override = false",
    ),
    MutuallyRequired("auth.header_name", "auth.header_value"),
    MutuallyRequired("auth.param_name", "auth.param_value", "auth.param_location"),
    _needed("llama2", "llama2_format", "llama2 provider"),
    _needed("mistral", "mistral_format", "mistral provider"),
    _needed("anthropic", "anthropic_version", "anthropic provider"),
    _needed("azure", "azure_instance", "azure provider"),
    _needed("azure", "azure_api_version", "azure provider"),
    _needed("azure", "azure_deployment_id", "azure provider"),
    _needed("llama2", "upstream_url", "self-hosted providers/models"),
)


def _statistics(record: Mapping[str, Any]) -> str | None:
    provider, route_type = record["model"]["provider"], record["route_type"]
    if (
        provider != "anthropic"
        or route_type != "llm/v1/completions"
        or not record["logging"]["log_statistics"]
    ):
        return None
    return f"{provider} does not support statistics when route_type is {route_type}"


#: Kong's check of a record with `route_type` and `logging` as well
STATISTICS: Final = CustomEntity(("route_type", "model", "logging"), _statistics)
