"""Token counts of Cohere, which counts more than it bills: its own templates are in `tokens`, not in
`billed_units`. https://docs.cohere.com/docs/tokens-and-tokenizers
"""

from typing import Any

import msgspec

from tollhouse.pdk.usage import Usage

Count = int | float | None


class _Tokens(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    reasoning_tokens: Count = None


class _Billed(msgspec.Struct, gc=False):
    input_tokens: Count = None
    output_tokens: Count = None
    search_units: Count = None


class Counts(msgspec.Struct, gc=False):
    """`usage` of a chat, `meta` of everything else."""

    billed_units: _Billed | None = None
    tokens: _Tokens | None = None
    cached_tokens: Count = None

    def usage(self) -> Usage | None:
        """`None` if no tokens are told. What is billed counts where nothing else is told."""
        tokens, billed = self.tokens, self.billed_units
        paid = (0, 0) if billed is None else (int(billed.input_tokens or 0), int(billed.output_tokens or 0))
        if tokens is None:
            return None if paid == (0, 0) else Usage(*paid, billed=paid)
        usage = Usage(int(tokens.input_tokens or 0), int(tokens.output_tokens or 0))
        usage.cached_tokens = min(usage.prompt_tokens, int(self.cached_tokens or 0))
        usage.reasoning_tokens = min(usage.completion_tokens, int(tokens.reasoning_tokens or 0))
        if billed is not None:
            usage.billed = paid
        return usage


def shown(usage: Usage) -> dict[str, Any]:
    """The `usage` object for a client. Other providers bill what they count."""
    billed = usage.billed or (usage.prompt_tokens, usage.completion_tokens)
    tokens = {"input_tokens": usage.prompt_tokens, "output_tokens": usage.completion_tokens}
    if usage.reasoning_tokens:
        tokens["reasoning_tokens"] = usage.reasoning_tokens
    body: dict[str, Any] = {
        "billed_units": {"input_tokens": billed[0], "output_tokens": billed[1]},
        "tokens": tokens,
    }
    return body | {"cached_tokens": usage.cached_tokens} if usage.cached_tokens else body
