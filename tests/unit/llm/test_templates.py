import pytest
from tests.unit.llm.exchanges import exchange

from tollhouse.llm.form import Refusal
from tollhouse.llm.templates import filled, is_template


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("plain", "plain"),
        ("$(headers.x-model)", "gpt-4o"),
        ("$(headers.X-Model)", "gpt-4o"),
        ("a/$(query_params.team)/b", "a/red/b"),
        ("$(query_params.twice)", "one"),
        ("$(uri_captures.model)", "o1"),
        # As in Kong, the first expression counts and all others stay as they are.
        ("$(headers.x-model)-$(query_params.team)", "gpt-4o-$(query_params.team)"),
        ("$(", "$("),
    ],
)
def test_the_first_expression_is_filled_in(text: str, expected: str) -> None:
    ex = exchange("/c?team=red&twice=one&twice=two", {"X-Model": "gpt-4o"}, {"model": "o1"})

    assert filled(text, ex) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("$(headers.absent)", "headers key absent was not provided"),
        ("$(query_params.absent)", "query_params key absent was not provided"),
        ("$(query_params.flag)", "query_params key flag was not provided"),
        ("$(uri_captures.absent)", "uri_captures key absent was not provided"),
        ("$(body.model)", "source 'body' is not supported"),
        ("$(headers)", "cannot parse expression for field '$(headers)'"),
        ("$(headers.)", "cannot parse expression for field '$(headers.)'"),
        ("$(headers.a.b)", "cannot parse expression for field '$(headers.a.b)'"),
        ("$()", "cannot parse expression for field '$()'"),
    ],
)
def test_what_a_request_does_not_have_is_refused(text: str, message: str) -> None:
    with pytest.raises(Refusal) as refused:
        filled(text, exchange("/c?flag"))

    assert (refused.value.status, refused.value.message) == (400, message)


@pytest.mark.parametrize(
    ("text", "told"), [(None, False), ("m", False), ("$(headers.x)", True), ("$()", True)]
)
def test_what_is_a_template(text: str | None, told: bool) -> None:
    assert is_template(text) is told
