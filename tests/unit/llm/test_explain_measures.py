"""Bills that go by something else than tokens."""

from decimal import Decimal

from tollhouse.llm.explain import bill_of


def test_sound_costs_by_the_hour() -> None:
    call = {"tokens": {"audio_ms": 8470}, "price": {"usd_per_hour": "0.111"}, "cost_nano_usd": 261158}

    bill = bill_of(call)

    assert bill is not None
    assert bill.agrees
    assert (bill.lines[0].unit, bill.lines[0].per, bill.usd) == ("ms", "hour", Decimal("0.000261158"))


def test_speech_costs_by_the_character() -> None:
    price = {"usd_per_million_characters": "15"}
    call = {"tokens": {"prompt_tokens": 2, "characters": 7}, "price": price, "cost_nano_usd": 105000}

    bill = bill_of(call)

    assert bill is not None
    assert bill.agrees
    assert [line.tokens for line in bill.lines] == [7]
