"""What an AI exchange used: left by the plugin that called a model, read by metrics and log records.

These are made for every call, and as `msgspec` structs at a third of a dataclass's cost.
"""

from collections.abc import Mapping
from typing import Any, Final

import msgspec


class Usage(msgspec.Struct):
    """Tokens as the provider bills them.

    `prompt_tokens` includes those read from and written to a cache, of audio and of pictures,
    `completion_tokens` reasoning, audio and pictures. `estimated` if the provider did not tell.
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
    #: told by models that make pictures, whose price is another one
    prompt_image_tokens: int = 0
    completion_image_tokens: int = 0

    #: what is billed in place of tokens: milliseconds of sound that were heard, characters that were spoken
    audio_ms: int = 0
    characters: int = 0

    def fit(self) -> None:
        """Makes the parts fit their totals: some providers count cached tokens beside the prompt."""
        if self.cached_tokens > self.prompt_tokens:
            self.cached_tokens = self.prompt_tokens
        if self.cache_write_tokens and self.cached_tokens + self.cache_write_tokens > self.prompt_tokens:
            self.cache_write_tokens = self.prompt_tokens - self.cached_tokens
        if self.cache_write_hour_tokens > self.cache_write_tokens:
            self.cache_write_hour_tokens = self.cache_write_tokens
        if self.reasoning_tokens > self.completion_tokens:
            self.reasoning_tokens = self.completion_tokens

    @property
    def total_tokens(self) -> int:
        return self.prompt_tokens + self.completion_tokens


#: of a call of which nothing is known yet; to be replaced, never changed
NOTHING_USED: Final = Usage()


class Metered(msgspec.Struct):
    """One call of a model. Times in milliseconds; cost in billionths of a US dollar, `None` if the price
    is not known."""

    provider: str = ""
    model: str = ""
    plugin_id: str = ""
    streamed: bool = False
    usage: Usage = msgspec.field(default_factory=Usage)
    response_model: str = ""
    #: by which role the caller was let in; empty where roles do not matter
    role: str = ""
    cost_nano_usd: int | None = None
    #: the row of prices that it was reckoned by, for log records
    price: Mapping[str, Any] | None = None
    latency_ms: int = 0
    first_token_ms: int | None = None
    #: whether metrics and log records may have it (`logging.log_statistics`)
    statistics: bool = False
    #: what went wrong, in one word; empty if nothing did
    error: str = ""
    #: events of a stream that could not be read, and were left out
    malformed_events: int = 0
    #: kinds of pieces of the answer that the client's form has no place for
    unshown: tuple[str, ...] = ()
    #: attempts before this one that had to be paid for, though another target answered
    earlier: list["Metered"] = msgspec.field(default_factory=list)
    #: where all attempts went, in Kong's words, if there may be more than one
    tried: list[dict[str, Any]] | None = None
    #: request and response bodies for the log record, only if the configuration asks for them
    payload: dict[str, Any] | None = None
    #: those of them that the client does not want there
    withheld: tuple[str, ...] = ()
    #: what the client told of the call in headers: traces, tags, whose it is
    told: Mapping[str, Any] | None = None


class OwnCalls:
    """Calls of models that the gateway made of its own accord while it served an exchange. Each is a line
    of its own beside what the client asked for; in the order in which they ended, with the plugin's name."""

    def __init__(self) -> None:
        self.made: list[tuple[str, Metered]] = []
