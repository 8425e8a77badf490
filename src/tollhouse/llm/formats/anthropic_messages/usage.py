"""Token counts as Anthropic tells them: what came from or went into the cache is beside the input.
https://platform.claude.com/docs/en/build-with-claude/prompt-caching#tracking-cache-performance"""

from typing import Any, Final

import msgspec

from tollhouse.pdk.usage import Usage


class _Written(msgspec.Struct, gc=False):
    ephemeral_5m_input_tokens: int | None = None
    ephemeral_1h_input_tokens: int | None = None


class _Output(msgspec.Struct, gc=False):
    thinking_tokens: int | None = None


class Counts(msgspec.Struct, gc=False):
    """A `usage` object: only what is read of it."""

    input_tokens: int | None = None
    cache_creation_input_tokens: int | None = None
    cache_read_input_tokens: int | None = None
    cache_creation: _Written | None = None
    output_tokens: int | None = None
    output_tokens_details: _Output | None = None

    def overwrite(self, later: "Counts") -> None:
        """The counts of a stream are running totals: what is told again replaces what was told before."""
        for name in _FIELDS:
            value = getattr(later, name)
            if value is not None:
                setattr(self, name, value)

    def usage(self) -> Usage:
        read = self.cache_read_input_tokens or 0
        split = self.cache_creation or _Written()
        hour = split.ephemeral_1h_input_tokens or 0
        written = self.cache_creation_input_tokens
        if written is None:
            written = hour + (split.ephemeral_5m_input_tokens or 0)
        output = self.output_tokens or 0
        details = self.output_tokens_details
        return Usage(
            prompt_tokens=(self.input_tokens or 0) + read + written,
            completion_tokens=output,
            cached_tokens=read,
            reasoning_tokens=min(output, (details and details.thinking_tokens) or 0),
            cache_write_tokens=written,
            cache_write_hour_tokens=min(written, hour),
        )


def told(counts: Counts | None) -> Usage | None:
    return None if counts is None else counts.usage()


_FIELDS: Final = tuple(field.name for field in msgspec.structs.fields(Counts))


def shown(usage: Usage | None) -> dict[str, Any]:
    """The `usage` object for a client, which must have one: zeros where nothing is known."""
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    written, hour = usage.cache_write_tokens, usage.cache_write_hour_tokens
    body: dict[str, Any] = {
        "input_tokens": max(0, usage.prompt_tokens - usage.cached_tokens - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_tokens,
        "output_tokens": usage.completion_tokens,
    }
    if written:
        body["cache_creation"] = {
            "ephemeral_5m_input_tokens": max(0, written - hour),
            "ephemeral_1h_input_tokens": hour,
        }
    if usage.reasoning_tokens:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning_tokens}
    return body
