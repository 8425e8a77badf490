"""Costs are exact integers; a price that nobody knows is `None`."""

from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.llm.cost import PriceBook, Rates, plain_usd
from tollhouse.llm.providers import PROVIDERS
from tollhouse.pdk.usage import Usage

OPENAI = PROVIDERS["openai"]
#: a day on which the catalogue's prices are known
NOW = 1_750_000_000.0
counts = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("nano", "shown"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (210_000, "0.00021"),
        (10**9, "1"),
        (1_500_000_000, "1.5"),
        (12 * 10**9, "12"),
        (10**18, "1000000000"),
    ],
)
def test_amounts_are_shown_without_exponent(nano: int, shown: str) -> None:
    assert plain_usd(nano) == shown


@given(st.integers(0, 10**18))
def test_a_shown_amount_is_the_amount(nano: int) -> None:
    assert Decimal(plain_usd(nano)) * 10**9 == nano


@given(counts, counts, st.decimals(0, 1000, places=4), st.decimals(0, 1000, places=4))
def test_an_operator_s_prices_give_the_exact_cost(
    prompt: int, completion: int, input_usd: Decimal, output_usd: Decimal
) -> None:
    book = PriceBook(OPENAI, float(input_usd), float(output_usd))

    cost = book.nano_usd("whatever", Usage(prompt, completion), NOW)

    exact = (prompt * Fraction(input_usd) + completion * Fraction(output_usd)) * 1000
    assert cost is not None
    assert abs(cost - exact) <= Fraction(1, 2)


@given(st.data(), st.lists(st.integers(0, 10**6), min_size=7, max_size=7))
def test_every_token_is_paid_once(data: st.DataObject, rates: list[int]) -> None:
    """Each token at the price of its kind, added up one by one."""
    prompt, completion = data.draw(counts), data.draw(counts)
    cached = data.draw(st.integers(0, prompt))
    written = data.draw(st.integers(0, prompt - cached))
    heard = data.draw(st.integers(0, prompt - cached - written))
    reasoning = data.draw(st.integers(0, completion))
    spoken = data.draw(st.integers(0, completion - reasoning))
    price = Rates(*rates)
    usage = Usage(
        prompt,
        completion,
        cached_tokens=cached,
        cache_write_tokens=written,
        prompt_audio_tokens=heard,
        reasoning_tokens=reasoning,
        completion_audio_tokens=spoken,
    )

    total = (
        (prompt - cached - written - heard) * price.prompt
        + cached * price.cached
        + written * price.cache_write
        + heard * price.prompt_audio
        + (completion - reasoning - spoken) * price.completion
        + reasoning * price.reasoning
        + spoken * price.completion_audio
    )
    assert price.nano_usd(usage) == (total + 500_000) // 1_000_000


@pytest.mark.parametrize(
    ("provider", "model", "usage", "nano"),
    [
        ("openai", "gpt-4o-mini", Usage(1000, 100), 210_000),
        ("openai", "gpt-4o-mini", Usage(1000, 100, cached_tokens=500), 172_500),
        ("openai", "gpt-4o-2024-08-06", Usage(1000, 100), 3_500_000),
        ("anthropic", "claude-sonnet-4-5", Usage(1000, 100), 4_500_000),
        # above a number of prompt tokens another price holds for the whole call
        ("gemini", "gemini-2.5-pro", Usage(200_000, 100), 251_000_000),
        ("gemini", "gemini-2.5-pro", Usage(200_001, 100), 501_502_500),
        ("openai", "nobody-s-model", Usage(1000, 100), None),
        ("openai", "", Usage(1000, 100), None),
        ("ollama", "llama3", Usage(1000, 100), 0),
        ("local", "anything", Usage(1000, 100), 0),
        ("llama2", "llama-2-7b", Usage(1000, 100), None),
    ],
)
def test_prices_of_the_catalogue(provider: str, model: str, usage: Usage, nano: int | None) -> None:
    assert PriceBook(PROVIDERS[provider]).nano_usd(model, usage, NOW) == nano


def test_an_operator_s_prices_hold_for_free_providers_too() -> None:
    assert (
        PriceBook(PROVIDERS["ollama"], 1.0, 2.0).nano_usd("m", Usage(1_000_000, 1_000_000), NOW) == 3 * 10**9
    )


@pytest.mark.parametrize(("input_usd", "output_usd"), [(1.0, None), (None, 1.0)])
def test_one_price_without_the_other_is_none(input_usd: float | None, output_usd: float | None) -> None:
    assert PriceBook(OPENAI, input_usd, output_usd).nano_usd("unknown-model", Usage(1, 1), NOW) is None


def test_models_that_clients_make_up_do_not_fill_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollhouse.llm.cost._MODELS_KNOWN", 3)
    book = PriceBook(OPENAI)

    for number in range(10):
        book.nano_usd(f"made-up-{number}", Usage(1, 1), NOW)

    assert len(book._known) <= 3
    assert book.nano_usd("gpt-4o-mini", Usage(1000, 100), NOW) == 210_000
