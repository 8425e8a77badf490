"""What every call of a model is billed by, wherever its answer passes."""

from typing import Final

from tollhouse.llm import tokens
from tollhouse.llm.chat import Failed, Trouble
from tollhouse.llm.cost import PriceBook
from tollhouse.llm.recognise import Operation
from tollhouse.pdk import Exchange
from tollhouse.pdk.usage import Metered, Usage

#: what costs by its tokens even where these had to be estimated
BY_TOKENS: Final[frozenset[Operation]] = frozenset(
    {"chat", "completions", "embeddings", "generate", "invoke"}
)
_CLIENT_GONE: Final = "client_gone"
#: what becomes of an answer that was begun
_BROKEN: Final[frozenset[Trouble]] = frozenset({"upstream_error", "timeout"})


def is_refused(failed: Failed | None) -> bool:
    """Whether a stream says that the provider did nothing of what was asked: an error that has no status
    because the stream had begun."""
    return failed is not None and failed.trouble not in _BROKEN


def error_of(ex: Exchange, failed: Failed | None, *, ended: bool) -> str:
    """What went wrong, in one word; empty if nothing did. `ended`: the provider's answer has."""
    response = ex.response
    if response is None:
        return _CLIENT_GONE
    if failed is not None:
        return failed.trouble
    if response.status >= 400:
        return f"status_{response.status}"
    return "" if ended else _CLIENT_GONE


def count_delivered(usage: Usage, written: int) -> None:
    """Of an answer that is not complete, what was delivered counts: `written` bytes of text."""
    delivered = tokens.completion_tokens(written)
    if delivered > usage.completion_tokens:
        usage.completion_tokens, usage.estimated = delivered, True


def put_cost(metered: Metered, prices: PriceBook, now: float, service_tier: str | None) -> None:
    """By the model that answered, or by the one asked for where the other has no price."""
    row = prices.row_between(
        metered.response_model, metered.model, metered.usage.prompt_tokens, now, service_tier
    )
    if row is not None:
        metered.cost_nano_usd, metered.price = row.rates.nano_usd(metered.usage), row.shown
