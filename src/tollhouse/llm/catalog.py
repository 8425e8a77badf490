"""Which provider a model's name stands for, where nobody configured one."""

import re
from collections.abc import Collection
from functools import lru_cache
from itertools import islice
from typing import Final

from tollhouse.llm.cost import model_in, models_in
from tollhouse.llm.provider import Provider
from tollhouse.llm.providers import PROVIDERS

#: who makes the models whose names begin so
_MAKERS: Final = (
    (re.compile(r"(?:gpt-(?!oss)|chatgpt-|o[1-9](?:-|$))", re.IGNORECASE), "openai"),
    (re.compile(r"claude-", re.IGNORECASE), "anthropic"),
    (re.compile(r"gemini-", re.IGNORECASE), "gemini"),
    (re.compile(r"grok-", re.IGNORECASE), "xai"),
    (re.compile(r"(?:command|c4ai)-", re.IGNORECASE), "cohere"),
    (re.compile(r"deepseek-", re.IGNORECASE), "deepseek"),
    (re.compile(r"(?:mistral|magistral|ministral|codestral|devstral|pixtral)-", re.IGNORECASE), "mistral"),
)


def provider_for(model: str, available: Collection[str]) -> tuple[str, str]:
    """The provider to ask, of those available, and the model's name there.

    A provider's name before a slash decides; then who makes the model; then whose catalogue of prices
    alone knows it; else it is the first one's. Raises `LookupError` if none is available.
    """
    prefix, slash, rest = model.partition("/")
    if slash and rest and prefix in available:
        return prefix, rest
    for names, maker in _MAKERS:
        if maker in available and names.match(model):
            return maker, model
    knowing = list(islice((name for name in available if _knows(name, model)), 2))
    if len(knowing) == 1:
        return knowing[0], model
    for name in available:
        return name, model
    raise LookupError("no provider is configured")


def models_of(provider: Provider) -> list[str]:
    """The names of a provider's models, as far as the catalogue of prices knows them; of others the one
    that everybody has."""
    if provider.prices is None:
        return [provider.usual_model] if provider.usual_model else []
    # Names that end so are the beginnings of names: of fine-tuned models.
    return [name for name in models_in(provider.prices) if not name.endswith(("-", ":"))]


@lru_cache(maxsize=16)
def listed(available: tuple[str, ...]) -> tuple[tuple[str, str], ...]:
    """The models of these providers, each under a name that leads back to it, and whose they are.

    With many providers it takes a second to find out: to be asked for when somebody wants to know."""
    return tuple(
        (model if provider_for(model, available) == (name, model) else f"{name}/{model}", name)
        for name in available
        for model in models_of(PROVIDERS[name])
    )


def _knows(name: str, model: str) -> bool:
    prices = PROVIDERS[name].prices if name in PROVIDERS else None
    return prices is not None and model_in(prices, model) is not None
