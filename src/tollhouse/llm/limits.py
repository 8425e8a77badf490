"""What an operator settles about every call of a model beyond Kong's settings: how long it may take, what it
costs, and how long a retry finds the first answer. Shared by all plugins that call one."""

from dataclasses import dataclass
from typing import Final

from tollhouse.pdk import Patience, setting

_USD: Final = "USD per million tokens"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    connect_timeout: int | None = setting(
        None,
        required=False,
        gt=0,
        unit="ms",
        doc="To connect. Without it: the service's `connect_timeout`.",
    )
    first_byte_timeout: int | None = setting(
        None,
        required=False,
        gt=0,
        unit="ms",
        doc="Until an answer begins. Without it: the service's `read_timeout` if that is not Kong's default "
        "of 60000, else 300000.",
    )
    chunk_timeout: int | None = setting(
        None,
        required=False,
        gt=0,
        unit="ms",
        doc="From one piece of an answer to the next. Without it: the service's `read_timeout`.",
    )
    total_timeout: int = setting(1_800_000, gt=0, unit="ms", doc="Until an answer has ended.")
    min_tokens_per_second: float | None = setting(
        None,
        required=False,
        gt=0,
        doc="A streamed answer that is slower than this for five seconds is ended as stalled.",
    )
    idempotency_ttl: int = setting(
        3600,
        between=(0, 86400),
        unit="s",
        doc="How long a retry with the same `Idempotency-Key` gets the first answer; 0 ignores the header.",
    )

    picture_size: int = setting(
        10 * 1024 * 1024,
        between=(0, 64 * 1024 * 1024),
        unit="B",
        doc="Largest picture that is fetched for a provider that takes no URLs; 0 fetches none.",
    )
    picture_timeout: int = setting(10_000, gt=0, unit="ms", doc="How long fetching a picture may take.")
    picture_private_addresses: bool = setting(
        False, doc="Fetch pictures from addresses that are not on the public internet, too."
    )

    @property
    def patience(self) -> Patience:
        first, gap, connect = self.first_byte_timeout, self.chunk_timeout, self.connect_timeout
        return Patience(
            None if first is None else first / 1000,
            None if gap is None else gap / 1000,
            self.total_timeout / 1000,
            None if connect is None else connect / 1000,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What an operator pays for a model. Kinds of tokens without a price of their own cost what their
    total costs."""

    model: str = setting(required=True, doc="The model, as it is asked for or as it names itself.")
    tier: str | None = setting(
        None, required=False, doc="Only for answers of this service tier, e.g. `flex`; else for all others."
    )
    input: float = setting(required=True, between=(0, 1_000_000), unit=_USD, doc="What goes in.")
    output: float = setting(required=True, between=(0, 1_000_000), unit=_USD, doc="What comes out.")
    cached_input: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Read from a cache."
    )
    cache_write: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Written to a cache."
    )
    cache_write_hour: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Written to a cache for an hour."
    )
    input_audio: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Audio that goes in."
    )
    output_audio: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Audio that comes out."
    )
    reasoning: float | None = setting(
        None, required=False, between=(0, 1_000_000), unit=_USD, doc="Thoughts, which are part of the output."
    )
