"""Token counts in OpenAI's form and the dialects of it."""

import msgspec

from tollhouse.pdk.usage import Usage

Count = int | float | None


class PromptDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None
    audio_tokens: Count = None

    def put_into(self, usage: Usage) -> None:
        left = usage.prompt_tokens
        usage.cached_tokens = min(left, int(self.cached_tokens or 0))
        left -= usage.cached_tokens
        usage.cache_write_tokens = min(left, int(self.cache_write_tokens or 0))
        left -= usage.cache_write_tokens
        usage.prompt_audio_tokens = min(left, int(self.audio_tokens or 0))


class CompletionDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None
    audio_tokens: Count = None

    def put_into(self, usage: Usage, total: Count) -> None:
        reasoning = int(self.reasoning_tokens or 0)
        if reasoning and total == usage.total_tokens + reasoning:
            # xAI counts what it bills for reasoning beside the completion, not in it.
            usage.completion_tokens += reasoning
        usage.reasoning_tokens = min(usage.completion_tokens, reasoning)
        left = usage.completion_tokens - usage.reasoning_tokens
        usage.completion_audio_tokens = min(left, int(self.audio_tokens or 0))


class Counts(msgspec.Struct, gc=False):
    """A `usage` object: only what is read of it."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: PromptDetails | None = None
    completion_tokens_details: CompletionDetails | None = None
    #: DeepSeek's own name for cached tokens
    prompt_cache_hit_tokens: Count = None

    def usage(self) -> Usage:
        """The counts in one meaning, and never contradicting one another: providers have reported
        more cached than prompt tokens."""
        usage = Usage(int(self.prompt_tokens or 0), int(self.completion_tokens or 0))
        asked, produced = self.prompt_tokens_details, self.completion_tokens_details
        if asked is not None and (asked.cached_tokens or asked.cache_write_tokens or asked.audio_tokens):
            asked.put_into(usage)
        if produced is not None and (produced.reasoning_tokens or produced.audio_tokens):
            produced.put_into(usage, self.total_tokens)
        if self.prompt_cache_hit_tokens:
            usage.cached_tokens = min(usage.prompt_tokens, int(self.prompt_cache_hit_tokens))
        return usage


class Groq(msgspec.Struct, gc=False):
    """Groq's own member, which carries the usage of streams."""

    usage: Counts | None = None


def shown(usage: Usage) -> dict[str, object]:
    """The `usage` object for a client; details only where there are any."""
    body: dict[str, object] = {
        "prompt_tokens": usage.prompt_tokens,
        "completion_tokens": usage.completion_tokens,
        "total_tokens": usage.total_tokens,
    }
    prompt = {
        "cached_tokens": usage.cached_tokens,
        "cache_write_tokens": usage.cache_write_tokens,
        "audio_tokens": usage.prompt_audio_tokens,
    }
    completion = {
        "reasoning_tokens": usage.reasoning_tokens,
        "audio_tokens": usage.completion_audio_tokens,
    }
    if any(prompt.values()):
        body["prompt_tokens_details"] = {name: count for name, count in prompt.items() if count}
    if any(completion.values()):
        body["completion_tokens_details"] = {name: count for name, count in completion.items() if count}
    return body
