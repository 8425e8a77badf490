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


def usage_lines(metered: Metered) -> str:
    """What a client is told of a call that is over."""
    usage, cost = metered.usage, metered.cost_nano_usd
    cost_line = "" if cost is None else f"X-Tollhouse-Cost-Usd: {plain_usd(cost)}\r\n"
    return (
        f"X-Tollhouse-Prompt-Tokens: {usage.prompt_tokens}\r\n"
        f"X-Tollhouse-Completion-Tokens: {usage.completion_tokens}\r\n"
        f"X-Tollhouse-Latency-Ms: {metered.latency_ms}\r\n"
        f"X-Tollhouse-Usage: {'estimated' if usage.estimated else 'reported'}\r\n{cost_line}"
    )


def first_token_line(milliseconds: int) -> bytes:
    """How long the first piece of a streamed answer took, from the request's leaving."""
    return b"X-Tollhouse-First-Token-Ms: %d\r\n" % milliseconds
