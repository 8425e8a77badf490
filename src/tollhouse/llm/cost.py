"""What a call costs, exactly: integers of a billionth of a US dollar, never floats that drift.

Prices come from the operator's configuration, else from the catalogue of `genai-prices`, else they are
unknown, which is `None` and never 0. The catalogue is loaded when a price is first asked for, which
takes about half a second; each model is looked up in it once.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import asdict

from tollhouse.llm.limits import Price
from tollhouse.llm.provider import Provider
from tollhouse.pdk.usage import Usage

if TYPE_CHECKING:
    from genai_prices.data_snapshot import DataSnapshot
    from genai_prices.types import ModelInfo, ModelPrice

_MILLION: Final = 10**6
_NANO: Final = 10**9
_HOUR_MS: Final = 3_600_000
_MODELS_KNOWN: Final = 4096


def plain_usd(nano_usd: int) -> str:
    """An amount in dollars, without an exponent and without zeros that say nothing."""
    if 0 < nano_usd < _NANO:  # nearly all calls: half the work
        return f"0.{nano_usd:09d}".rstrip("0")
    whole, rest = divmod(nano_usd, _NANO)
    return f"{whole}.{rest:09d}".rstrip("0") if rest else str(whole)


def _rate(usd_per_million: Decimal | float) -> int:
    """Billionths of a dollar for a million tokens."""
    exact = Decimal(str(usd_per_million)) * _NANO
    return int(exact.to_integral_value(ROUND_HALF_EVEN))


class Rates(msgspec.Struct, frozen=True):
    """What a million tokens of each kind cost, in billionths of a dollar."""

    prompt: int
    completion: int
    cached: int
    cache_write: int
    prompt_audio: int
    completion_audio: int
    reasoning: int
    #: written to a cache for an hour
    cache_write_hour: int | None = None
    #: of pictures, where they do not cost what text costs
    prompt_image: int | None = None
    completion_image: int | None = None

    @classmethod
    def flat(cls, prompt: int, completion: int) -> "Rates":
        """One price for all that goes in, one for all that comes out."""
        return _FlatRates(prompt, completion, prompt, prompt, prompt, completion, completion)

    def nano_usd(self, usage: Usage) -> int:
        if usage.billed is not None:
            prompt, completion = usage.billed
            return (prompt * self.prompt + completion * self.completion + _MILLION // 2) // _MILLION
        exact = usage.prompt_tokens * self.prompt + usage.completion_tokens * self.completion
        # A kind costs its own price in place of its total's, not beside it.
        if usage.cached_tokens:
            exact += usage.cached_tokens * (self.cached - self.prompt)
        if usage.cache_write_tokens:
            exact += usage.cache_write_tokens * (self.cache_write - self.prompt)
        if usage.cache_write_hour_tokens and self.cache_write_hour is not None:
            exact += usage.cache_write_hour_tokens * (self.cache_write_hour - self.cache_write)
        if usage.prompt_audio_tokens:
            exact += usage.prompt_audio_tokens * (self.prompt_audio - self.prompt)
        if usage.completion_audio_tokens:
            exact += usage.completion_audio_tokens * (self.completion_audio - self.completion)
        if usage.reasoning_tokens:
            exact += usage.reasoning_tokens * (self.reasoning - self.completion)
        if usage.prompt_image_tokens and self.prompt_image is not None:
            exact += usage.prompt_image_tokens * (self.prompt_image - self.prompt)
        if usage.completion_image_tokens and self.completion_image is not None:
            exact += usage.completion_image_tokens * (self.completion_image - self.completion)
        return (exact + _MILLION // 2) // _MILLION


class _FlatRates(Rates, frozen=True):
    def nano_usd(self, usage: Usage) -> int:
        prompt, completion = usage.billed or (usage.prompt_tokens, usage.completion_tokens)
        return (prompt * self.prompt + completion * self.completion + _MILLION // 2) // _MILLION


class Row(msgspec.Struct, frozen=True):
    """A row of a table of prices, and how it is shown."""

    rates: Rates
    shown: Mapping[str, Any]


def _row(rates: Rates, **where: Any) -> Row:
    """`where` says which row it is, of which table."""
    named = {name: plain_usd(value) for name, value in asdict(rates).items() if value is not None}
    return Row(rates, {**where, "usd_per_million": named})


#: rows by the number of prompt tokens above which they hold for the whole call, the highest first
_Bands = tuple[tuple[int, Row], ...]


def _bands(price: "ModelPrice", model: str, tier: str | None) -> _Bands | None:
    """The rates of a catalogue's price; `None` if it does not go by tokens."""
    stored: Mapping[str, Any] = price.__dict__
    if stored.get("input_mtok") is None and stored.get("output_mtok") is None:
        return None
    starts = {tier.start for value in stored.values() for tier in getattr(value, "tiers", ())}
    where = {"table": _table(), "model": model} | ({"tier": tier} if tier else {})
    bands = []
    for start in sorted({-1, *starts}, reverse=True):
        above = {"above_prompt_tokens": start} if start >= 0 else {}
        bands.append((start, _row(_rates_above(start, stored), **where, **above)))
    return tuple(bands)


def _rates_above(start: int, stored: Mapping[str, Any]) -> Rates:
    def rate(name: str, instead: int = 0) -> int:
        value = stored.get(name)
        if value is None:
            return instead
        for tier in reversed(getattr(value, "tiers", ())):
            if start >= tier.start:
                return _rate(tier.price)
        return _rate(getattr(value, "base", value))

    prompt, completion = rate("input_mtok"), rate("output_mtok")
    return Rates(
        prompt=prompt,
        completion=completion,
        cached=rate("cache_read_mtok", prompt),
        cache_write=rate("cache_write_mtok", prompt),
        prompt_audio=rate("input_audio_mtok", prompt),
        completion_audio=rate("output_audio_mtok", completion),
        reasoning=rate("output_reasoning_mtok", completion),
        cache_write_hour=rate("cache_write_1h_mtok") or None,
        prompt_image=rate("input_image_mtok") or None,
        completion_image=rate("output_image_mtok") or None,
    )


#: when the versions of the catalogue that Tollhouse was tested with came out
_RELEASED: Final = {"0.2.3": "2026-11-10"}


@cache
def _table() -> str:
    """The name of the catalogue and its date."""
    version = metadata.version("genai-prices")
    released = _RELEASED.get(version)
    return f"genai-prices {version}" + (f" of {released}" if released else "")


@cache
def _catalogue() -> "DataSnapshot":
    from genai_prices.data_snapshot import get_snapshot

    return get_snapshot()


def model_in(prices: str, model: str) -> "ModelInfo | None":
    """The catalogue's entry of a model, by the catalogue's name of the provider."""
    catalogue = _catalogue()
    # Not by the catalogue's own lookup, which remembers every name that a client makes up.
    provider = catalogue.find_provider(None, prices, None)
    return provider.find_model(model, all_providers=catalogue.providers)


def models_in(prices: str) -> list[str]:
    """The models of a provider that the catalogue knows and that are not withdrawn."""
    provider = _catalogue().find_provider(None, prices, None)
    return [model.id for model in provider.models if not model.deprecated]


class _Priced:
    """A model's prices in time: some change on a day, some by the hour."""

    __slots__ = ("_bands", "_context", "_info", "_minute")

    def __init__(self, info: "ModelInfo", context: dict[str, str] | None) -> None:
        self._info = info
        self._context = context
        self._minute = -1
        self._bands: _Bands | None = None

    def row(self, prompt_tokens: int, at: float) -> Row | None:
        minute = int(at) // 60
        if minute != self._minute:
            price = self._info.get_prices(datetime.fromtimestamp(at, UTC), self._context)
            tier = self._context["service_tier"] if self._context else None
            self._minute, self._bands = minute, _bands(price, self._info.id, tier)
        for start, row in self._bands or ():
            if prompt_tokens > start:
                return row
        return None


def _own_row(price: Price) -> Row:
    """An operator's price; what has none of its own costs what its total costs."""
    prompt, completion = _rate(price.input), _rate(price.output)

    def rate(given: float | None, instead: int) -> int:
        return instead if given is None else _rate(given)

    write = rate(price.cache_write, prompt)
    rates = Rates(
        prompt=prompt,
        completion=completion,
        cached=rate(price.cached_input, prompt),
        cache_write=write,
        prompt_audio=rate(price.input_audio, prompt),
        completion_audio=rate(price.output_audio, completion),
        reasoning=rate(price.reasoning, completion),
        cache_write_hour=rate(price.cache_write_hour, write),
    )
    tier = {"tier": price.tier} if price.tier else {}
    return _row(rates, table="configuration: prices", model=price.model, **tier)


class PriceBook:
    """Prices of a provider's calls. An operator's, in dollars per million tokens, go before all others."""

    def __init__(
        self,
        provider: Provider,
        input_usd: float | None = None,
        output_usd: float | None = None,
        prices: Sequence[Price] | None = None,
    ) -> None:
        self._catalogue_name = provider.prices
        #: by model and tier
        self._own = {(price.model, price.tier): _own_row(price) for price in prices or ()}
        self._flat: Row | None = None
        if input_usd is not None and output_usd is not None:  # as in Kong, one without the other is none
            rates = Rates.flat(_rate(input_usd), _rate(output_usd))
            self._flat = _row(rates, table="configuration: input_cost, output_cost")
        elif provider.free:
            self._flat = _row(Rates.flat(0, 0), table=f"{provider.name} runs on its owner's hardware")
        self._known: dict[tuple[str, str | None], _Priced | None] = {}
        #: the row of all calls, where the configuration has but one
        self.only = None if self._own else self._flat

    def nano_usd(self, model: str, usage: Usage, at: float, service_tier: str | None = None) -> int | None:
        """What the call cost, `None` if nobody knows. `at` is in seconds since the epoch."""
        row = self.row(model, usage.prompt_tokens, at, service_tier)
        return None if row is None else row.rates.nano_usd(usage)

    def row(self, model: str, prompt_tokens: int, at: float, service_tier: str | None = None) -> Row | None:
        """The prices of a call, `None` if nobody knows them."""
        own = self._own_of(model, service_tier)
        if own is not None:
            return own
        if self._flat is not None:
            return self._flat
        key = (model, service_tier)
        if key in self._known:
            priced = self._known[key]
        else:
            priced = self._look_up(model, service_tier)
            if len(self._known) >= _MODELS_KNOWN:
                self._known.clear()
            self._known[key] = priced
        return None if priced is None else priced.row(prompt_tokens, at)

    def row_between(
        self, named: str, asked: str, prompt_tokens: int, at: float, service_tier: str | None
    ) -> Row | None:
        """The prices of a call of a model that names itself as it likes, or not at all: an operator's by
        either name, before the catalogue's."""
        if self.only is not None:
            return self.only
        own = self._own_of(named, service_tier) or self._own_of(asked, service_tier)
        if own is not None:
            return own
        row = self.row(named or asked, prompt_tokens, at, service_tier)
        return self.row(asked, prompt_tokens, at, service_tier) if row is None and named else row

    def _own_of(self, model: str, service_tier: str | None) -> Row | None:
        if not self._own:
            return None
        return self._own.get((model, service_tier)) or self._own.get((model, None))

    def by_measure(self, model: str, usage: Usage, at: float) -> tuple[int, Mapping[str, Any]] | None:
        """What a call costs that is billed by hours of sound or by characters, and the row of prices; `None`
        if nobody knows."""
        info = model_in(self._catalogue_name, model) if self._catalogue_name is not None else None
        if info is None:
            return None
        stored: Mapping[str, Any] = info.get_prices(datetime.fromtimestamp(at, UTC), None).__dict__
        hour, million = (
            stored.get("input_audio_hours") or stored.get("audio_hours"),
            stored.get("input_mchars"),
        )
        where = {"table": _table(), "model": info.id}
        if usage.audio_ms and hour is not None:
            rate = _rate(hour)
            shown = {**where, "usd_per_hour": plain_usd(rate)}
            return (usage.audio_ms * rate + _HOUR_MS // 2) // _HOUR_MS, shown
        if usage.characters and million is not None:
            rate = _rate(million)
            shown = {**where, "usd_per_million_characters": plain_usd(rate)}
            return (usage.characters * rate + _MILLION // 2) // _MILLION, shown
        return None

    def _look_up(self, model: str, service_tier: str | None) -> _Priced | None:
        info = model_in(self._catalogue_name, model) if self._catalogue_name is not None else None
        if info is None:
            return None
        return _Priced(info, {"service_tier": service_tier} if service_tier else None)
