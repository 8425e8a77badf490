"""Bills add up to what the gateway reckoned, to the billionth."""

from hypothesis import given
from hypothesis import strategies as st

from tollhouse.llm.cost import PriceBook
from tollhouse.llm.explain import bill_of
from tollhouse.llm.limits import Price
from tollhouse.llm.providers import PROVIDERS
from tollhouse.pdk.usage import Metered, Usage
from tollhouse.telemetry.log_record import call_block

COUNT = st.integers(0, 300_000)
AT = 1_790_000_000.0


@given(COUNT, COUNT, COUNT, COUNT, COUNT, COUNT, st.sampled_from(["claude-sonnet-4-5", "mine"]))
def test_the_parts_of_a_bill_are_its_sum(
    prompt: int, completion: int, cached: int, written: int, hour: int, reasoning: int, model: str
) -> None:
    usage = Usage(
        prompt, completion, cached, reasoning, cache_write_tokens=written, cache_write_hour_tokens=hour
    )
    usage.fit()
    own = Price(model="mine", input=3.33, output=12.1, cached_input=0.007, cache_write_hour=9)
    row = PriceBook(PROVIDERS["anthropic"], prices=(own,)).row(model, usage.prompt_tokens, AT)
    assert row is not None
    metered = Metered(usage=usage, cost_nano_usd=row.rates.nano_usd(usage), price=row.shown)

    bill = bill_of(call_block(metered))

    assert bill is not None
    assert bill.agrees
    assert sum(line.tokens for line in bill.lines) == usage.total_tokens
    assert all(line.tokens > 0 for line in bill.lines)
