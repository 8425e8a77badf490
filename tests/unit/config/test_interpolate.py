"""`${{ env "DECK_X" }}` in files."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.config.document import parse
from tollhouse.config.interpolate import Interpolation
from tollhouse.config.refusal import Refused

ENVIRONMENT = {
    "DECK_HOST": "up.test",
    "DECK_PORT": "8080",
    "DECK_ON": "T",
    "DECK_PEM": "-----BEGIN X-----\nabc\n-----END X-----",
    "DECK_ODD": 'a: b # c " d\n- e',
    "DECK_EMPTY": "",
    "HOME": "/root",
}


def read(text: str, environment: dict[str, str] | None = None) -> dict[str, Any]:
    interpolation = Interpolation(text, ENVIRONMENT if environment is None else environment)
    return parse(interpolation.text, "kong.yml", interpolation)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('a: ${{ env "DECK_HOST" }}', "up.test"),
        ('a: http://${{ env "DECK_HOST" }}:${{env "DECK_PORT"}}/x', "http://up.test:8080/x"),
        ('a: ${{ env "DECK_PORT" }}', 8080),
        ('a: "${{ env "DECK_PORT" }}"', "8080"),
        ('a: ${{ env "DECK_PORT" | toInt }}', 8080),
        ("a: ${{ env `DECK_PORT` | toFloat }}", 8080.0),
        ('a: ${{ env "DECK_ON" | toBool }}', True),
        ('a: |\n  ${{ env "DECK_PEM" | indent 2 }}\n', ENVIRONMENT["DECK_PEM"] + "\n"),
        ('a: ${{ env "DECK_ODD" }}', ENVIRONMENT["DECK_ODD"]),
        ('a: ${{ env "DECK_EMPTY" }}', None),
        ('{"a": "${{ env \\"DECK_HOST\\" }}"}', "up.test"),
        ('{"a": ${{ env "DECK_PORT" | toInt }}}', 8080),
        ("a: $ {{ env }} ${HOME}", "$ {{ env }} ${HOME}"),
    ],
)
def test_an_expression_is_what_its_variable_holds(text: str, value: Any) -> None:
    assert read(text) == {"a": value}


@pytest.mark.parametrize(
    ("expression", "problem"),
    [
        ('env "DECK_NONE"', "environment variable 'DECK_NONE' is not set"),
        ('env "HOME"', "environment variables in files must begin with 'DECK_', found 'HOME'"),
        ('env "DECK_HOST" | toInt', "environment variable 'DECK_HOST' cannot be converted by toInt"),
        ('env "DECK_PORT" | toBool', "environment variable 'DECK_PORT' cannot be converted by toBool"),
        (
            'env "DECK_HOST" | upper',
            "unknown function 'upper' after 'DECK_HOST': expected one of toBool, toInt, toFloat, indent N",
        ),
        ("print 1", 'cannot read ${{ print 1 }}: expected ${{ env "DECK_NAME" }}'),
    ],
)
def test_what_stands_for_nothing_is_told_with_file_line_and_field(expression: str, problem: str) -> None:
    with pytest.raises(Refused) as caught:
        read(f"services:\n- name: s\n- {{name: t, tags: [a, x${{{{ {expression} }}}}]}}\n")
    assert str(caught.value) == f"kong.yml:3: services[1].tags[1]: {problem}"


def test_everything_that_is_not_set_is_told_at_once() -> None:
    with pytest.raises(Refused) as caught:
        read('a: ${{ env "DECK_A" }}\nb:\n  ${{ env "DECK_B" }}: 1\n')
    assert [(error.path, error.line) for error in caught.value.errors] == [("a", 1), ("b", 3)]


@given(st.text(st.characters(codec="utf-8", exclude_categories=["Cc"])))
def test_no_value_changes_the_structure_of_a_file(value: str) -> None:
    found = read('a: x${{ env "DECK_X" }}\nb: 1\n', {"DECK_X": value})
    assert found == {"a": "x" + value, "b": 1}


@given(st.text(st.characters(codec="utf-8")))
def test_text_without_expressions_stays(text: str) -> None:
    interpolation = Interpolation(text, {})
    assert interpolation or interpolation.text == text
