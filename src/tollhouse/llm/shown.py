"""What clients are told of a call in headers."""

from typing import Final

from tollhouse.llm.cost import plain_usd
from tollhouse.pdk.usage import Metered

#: the fields, in lower case; a provider's own of these names give way
NAMES: Final = (
    "x-kong-llm-model",
    "x-tollhouse-prompt-tokens",
    "x-tollhouse-completion-tokens",
    "x-tollhouse-latency-ms",
    "x-tollhouse-cost-usd",
    "x-tollhouse-usage",
    "x-tollhouse-provider",
    "x-tollhouse-model",
    "x-tollhouse-first-token-ms",
)
_USAGE: Final = (
    b"X-Tollhouse-Prompt-Tokens: %d\r\nX-Tollhouse-Completion-Tokens: %d\r\n"
    b"X-Tollhouse-Latency-Ms: %d\r\nX-Tollhouse-Usage: %b\r\n%b"
)


def usage_lines(metered: Metered) -> bytes:
    """What a client is told of a call that is over."""
    usage, cost = metered.usage, metered.cost_nano_usd
    return _USAGE % (
        usage.prompt_tokens,
        usage.completion_tokens,
        metered.latency_ms,
        b"estimated" if usage.estimated else b"reported",
        b"" if cost is None else b"X-Tollhouse-Cost-Usd: %b\r\n" % plain_usd(cost).encode(),
    )


def first_token_line(milliseconds: int) -> bytes:
    """How long the first piece of a streamed answer took, from the request's leaving."""
    return b"X-Tollhouse-First-Token-Ms: %d\r\n" % milliseconds
