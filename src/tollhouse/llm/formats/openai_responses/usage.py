"""Token counts of responses. https://platform.openai.com/docs/api-reference/responses/object"""

from typing import Any

import msgspec

from tollhouse.pdk.usage import Usage

Count = int | float | None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None


class Counts(msgspec.Struct, gc=False):
    """A `usage` object: only what is read of it."""

    input_tokens: Count = None
    output_tokens: Count = None
    input_tokens_details: _InputDetails | None = None
    output_tokens_details: _OutputDetails | None = None

    def usage(self) -> Usage:
        """Details never contradict their totals: providers have reported more cached than prompt tokens."""
        usage = Usage(int(self.input_tokens or 0), int(self.output_tokens or 0))
        asked, produced = self.input_tokens_details, self.output_tokens_details
        if asked is not None:
            usage.cached_tokens = min(usage.prompt_tokens, int(asked.cached_tokens or 0))
            left = usage.prompt_tokens - usage.cached_tokens
            usage.cache_write_tokens = min(left, int(asked.cache_write_tokens or 0))
        if produced is not None:
            usage.reasoning_tokens = min(usage.completion_tokens, int(produced.reasoning_tokens or 0))
        return usage


def shown(usage: Usage) -> dict[str, Any]:
    """The `usage` object for a client; its SDK is typed to find every count."""
    return {
        "input_tokens": usage.prompt_tokens,
        "input_tokens_details": {
            "cached_tokens": usage.cached_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": usage.total_tokens,
    }
