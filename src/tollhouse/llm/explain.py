"""How the cost of a logged call came about: tokens by kind, each at its price, and their sum."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Decimal
from typing import Any, Final

_MILLION: Final = Decimal(10**6)
_HOUR_MS: Final = Decimal(3_600_000)
_NANO: Final = Decimal(1).scaleb(-9)


@dataclass(frozen=True, slots=True)
class Line:
    """Tokens of one kind, or characters, and what a million of them costs in dollars; or milliseconds, and
    what an hour costs."""

    kind: str
    tokens: int
    rate: Decimal
    unit: str = "tokens"
    per: str = "million"

    @property
    def usd(self) -> Decimal:
        if self.per == "hour":
            return round(self.tokens * self.rate / _HOUR_MS, 12)
        return self.tokens * self.rate / _MILLION


#: whose price holds for kinds that have none of their own
_INSTEAD: Final = {
    "cache_write_hour": "cache_write",
    "prompt_image": "prompt",
    "completion_image": "completion",
}


@dataclass(frozen=True, slots=True)
class Bill:
    lines: tuple[Line, ...]
    #: the sum, in dollars, rounded to billionths as the gateway does
    usd: Decimal
    #: what the record says; `None` if nobody knew the price
    logged_usd: Decimal | None

    @property
    def agrees(self) -> bool:
        return self.logged_usd == self.usd


def bill_of(call: Mapping[str, Any]) -> Bill | None:
    """The bill of the object `ai.call` of a log record, `None` if it has no price."""
    price, nano_usd = call["price"], call["cost_nano_usd"]
    if price is None:
        return None
    lines = tuple(_lines(call, price))
    exact = sum((line.usd for line in lines), Decimal(0))
    logged = None if nano_usd is None else nano_usd * _NANO
    return Bill(lines, exact.quantize(_NANO, ROUND_HALF_UP), logged)


def _lines(call: Mapping[str, Any], price: Mapping[str, Any]) -> Iterator[Line]:
    if "usd_per_hour" in price:
        yield Line("audio", call["tokens"]["audio_ms"], Decimal(price["usd_per_hour"]), "ms", "hour")
        return
    if "usd_per_million_characters" in price:
        rate = Decimal(price["usd_per_million_characters"])
        yield Line("speech", call["tokens"]["characters"], rate, "characters")
        return
    rates = {name: Decimal(text) for name, text in price["usd_per_million"].items()}
    for kind, count in _parts(call):
        if count:
            yield Line(kind.replace("_", " "), count, rates[kind if kind in rates else _INSTEAD[kind]])


def _parts(call: Mapping[str, Any]) -> Iterator[tuple[str, int]]:
    """Tokens by the name of their price; together they are all tokens of the call."""
    if "billed" in call:  # the provider bills fewer than it counts
        yield from zip(("prompt", "completion"), call["billed"], strict=True)
        return
    tokens: Mapping[str, int] = call["tokens"]
    cached, written = tokens.get("cached_tokens", 0), tokens.get("cache_write_tokens", 0)
    hour = tokens.get("cache_write_hour_tokens", 0)
    heard, spoken = tokens.get("prompt_audio_tokens", 0), tokens.get("completion_audio_tokens", 0)
    thought = tokens.get("reasoning_tokens", 0)
    seen, drawn = tokens.get("prompt_image_tokens", 0), tokens.get("completion_image_tokens", 0)
    yield "prompt", tokens.get("prompt_tokens", 0) - cached - written - heard - seen
    yield "cached", cached
    yield "cache_write", written - hour
    yield "cache_write_hour", hour
    yield "prompt_audio", heard
    yield "prompt_image", seen
    yield "completion", tokens.get("completion_tokens", 0) - thought - spoken - drawn
    yield "reasoning", thought
    yield "completion_audio", spoken
    yield "completion_image", drawn
