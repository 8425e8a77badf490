"""What an AI exchange used: left by the plugin that called a model, read by metrics and log records.

These are made for every call, and as `msgspec` structs at a third of a dataclass's cost.
"""

from typing import Any

import msgspec


class Usage(msgspec.Struct):
    """Tokens as the provider bills them.

    `prompt_tokens` includes those read from and written to a cache and those of audio,
    `completion_tokens` reasoning and audio. `estimated` if the provider did not tell.
    """

    prompt_tokens: int = 0
    completion_tokens: int = 0
    cached_tokens: int = 0
    reasoning_tokens: int = 0
    estimated: bool = False
    cache_write_tokens: int = 0
    prompt_audio_tokens: int = 0
    completion_audio_tokens: int = 0
    #: of those written to a cache the ones that it keeps for an hour; they cost more
    cache_write_hour_tokens: int = 0
    #: prompt and completion tokens that are billed, where a provider bills fewer than it counts (Cohere
    #: leaves out those of its own templates)
    billed: tuple[int, int] | None = None

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


class Metered(msgspec.Struct):
    """One call of a model. Times in milliseconds; cost in billionths of a US dollar, `None` if the price
    is not known."""

    provider: str = ""
    model: str = ""
    response_model: str = ""
    plugin_id: str = ""
    usage: Usage = msgspec.field(default_factory=Usage)
    cost_nano_usd: int | None = None
    latency_ms: int = 0
    first_token_ms: int | None = None
    #: whether metrics and log records may have it (`logging.log_statistics`)
    statistics: bool = False
    #: request and response bodies for the log record, only if the configuration asks for them
    payload: dict[str, Any] | None = None
