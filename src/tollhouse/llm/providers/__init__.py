"""Providers, one module each, nearly all data. A new one is a module and its name here."""

from collections.abc import Mapping
from importlib import import_module
from types import MappingProxyType
from typing import Final

from tollhouse.llm.provider import Provider

_MODULES: Final = (
    *("anthropic", "azure", "bedrock", "cohere", "deepseek", "gemini", "groq", "huggingface", "llama2"),
    *("local", "mistral", "ollama", "openai", "openrouter", "together", "xai"),
)


def _provider_in(module: str) -> Provider:
    provider: Provider = import_module(f"{__name__}.{module}").PROVIDER
    return provider


PROVIDERS: Final[Mapping[str, Provider]] = MappingProxyType(
    {provider.name: provider for provider in map(_provider_in, _MODULES)}
)
