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
)


def usage_lines(metered: Metered) -> bytes:
    """What a client is told of a call that is over."""
    usage = metered.usage
    lines = (
        f"X-Tollhouse-Prompt-Tokens: {usage.prompt_tokens}\r\n"
        f"X-Tollhouse-Completion-Tokens: {usage.completion_tokens}\r\n"
        f"X-Tollhouse-Latency-Ms: {metered.latency_ms}\r\n"
    )
    if metered.cost_nano_usd is not None:
        lines += f"X-Tollhouse-Cost-Usd: {plain_usd(metered.cost_nano_usd)}\r\n"
    return lines.encode()
