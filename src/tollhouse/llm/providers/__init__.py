"""Providers, one module each, nearly all data. A new one is a module and two lines here."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from tollhouse.llm.provider import Provider
from tollhouse.llm.providers import (
    anthropic,
    azure,
    bedrock,
    cohere,
    deepseek,
    gemini,
    groq,
    huggingface,
    llama2,
    local,
    mistral,
    ollama,
    openai,
    openrouter,
    together,
    xai,
)

_MODULES: Final = (
    anthropic,
    azure,
    bedrock,
    cohere,
    deepseek,
    gemini,
    groq,
    huggingface,
    llama2,
    local,
    mistral,
    ollama,
    openai,
    openrouter,
    together,
    xai,
)
PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {module.PROVIDER.name: module.PROVIDER for module in _MODULES}
)
