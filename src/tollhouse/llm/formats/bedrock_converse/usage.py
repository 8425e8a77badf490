"""Bedrock's counts. Its `inputTokens` leave out what was read from and written to a cache, its
`totalTokens` do not. https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_TokenUsage.html
"""

from typing import Any

import msgspec

from tollhouse.pdk.usage import Usage


class _CacheDetail(msgspec.Struct):
    ttl: str = ""
    inputTokens: int = 0


class Counts(msgspec.Struct):
    inputTokens: int = 0
    outputTokens: int = 0
    cacheReadInputTokens: int = 0
    cacheWriteInputTokens: int = 0
    cacheDetails: list[_CacheDetail] = []

    def usage(self) -> Usage:
        read, written = self.cacheReadInputTokens, self.cacheWriteInputTokens
        return Usage(
            self.inputTokens + read + written,
            self.outputTokens,
            cached_tokens=read,
            cache_write_tokens=written,
            cache_write_hour_tokens=sum(it.inputTokens for it in self.cacheDetails if it.ttl == "1h"),
        )


def shown(usage: Usage | None) -> dict[str, Any]:
    """For a client. Its SDK's types have these members always: without counts they are noughts."""
    usage = usage or Usage()
    read, written, hour = usage.cached_tokens, usage.cache_write_tokens, usage.cache_write_hour_tokens
    counts: dict[str, Any] = {
        "inputTokens": max(0, usage.prompt_tokens - read - written),
        "outputTokens": usage.completion_tokens,
        "totalTokens": usage.total_tokens,
    }
    if read or written:
        counts |= {"cacheReadInputTokens": read, "cacheWriteInputTokens": written}
    if hour:
        details = {"5m": written - hour, "1h": hour}
        counts["cacheDetails"] = [{"ttl": ttl, "inputTokens": n} for ttl, n in details.items() if n > 0]
    return counts
