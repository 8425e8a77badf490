"""Token counts. https://ai.google.dev/api/generate-content#UsageMetadata

Google counts what its tools put into the prompt beside the prompt, and thoughts beside the answer.
"""

from typing import Any

import msgspec

from tollhouse.pdk.usage import Usage

_AUDIO = "AUDIO"


class _Share(msgspec.Struct, rename="camel", gc=False):
    modality: str | int = ""
    token_count: int = 0


class Counts(msgspec.Struct, rename="camel"):
    """A `usageMetadata`: only what is read of it."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None
    cached_content_token_count: int | None = None
    prompt_tokens_details: list[_Share] | None = None
    cache_tokens_details: list[_Share] | None = None
    candidates_tokens_details: list[_Share] | None = None
    service_tier: str | None = None

    def usage(self) -> Usage | None:
        """`None` if nothing is counted yet: most events of Vertex tell only the kind of traffic."""
        if self.prompt_token_count is None and self.candidates_token_count is None:
            return None
        thoughts = self.thoughts_token_count or 0
        usage = Usage(
            (self.prompt_token_count or 0) + (self.tool_use_prompt_token_count or 0),
            (self.candidates_token_count or 0) + thoughts,
            reasoning_tokens=thoughts,
        )
        if self.cached_content_token_count:
            usage.cached_tokens = min(usage.prompt_tokens, self.cached_content_token_count)
        if self.prompt_tokens_details:
            # Sound that was read from a cache costs what the cache costs.
            sound = _audio(self.prompt_tokens_details) - _audio(self.cache_tokens_details)
            usage.prompt_audio_tokens = max(0, min(sound, usage.prompt_tokens - usage.cached_tokens))
        if self.candidates_tokens_details:
            said = usage.completion_tokens - thoughts
            usage.completion_audio_tokens = min(_audio(self.candidates_tokens_details), said)
        return usage


def _audio(shares: list[_Share] | None) -> int:
    return sum(share.token_count for share in shares or () if share.modality == _AUDIO)


def shown(usage: Usage) -> dict[str, Any]:
    """The `usageMetadata` for a client; counts of nothing are left out, but for the two that are always
    looked for."""
    body: dict[str, Any] = {
        "promptTokenCount": usage.prompt_tokens,
        "candidatesTokenCount": usage.completion_tokens - usage.reasoning_tokens,
        "totalTokenCount": usage.total_tokens,
    }
    if usage.reasoning_tokens:
        body["thoughtsTokenCount"] = usage.reasoning_tokens
    if usage.cached_tokens:
        body["cachedContentTokenCount"] = usage.cached_tokens
    if usage.prompt_audio_tokens:
        body["promptTokensDetails"] = _shares(usage.prompt_tokens, usage.prompt_audio_tokens)
    if usage.completion_audio_tokens:
        said = usage.completion_tokens - usage.reasoning_tokens
        body["candidatesTokensDetails"] = _shares(said, usage.completion_audio_tokens)
    return body


def _shares(total: int, audio: int) -> list[dict[str, Any]]:
    return [
        {"modality": "TEXT", "tokenCount": total - audio},
        {"modality": _AUDIO, "tokenCount": audio},
    ]
