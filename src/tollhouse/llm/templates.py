"""Expressions in settings that are filled in from the request: `$(headers.x-model)`.

As in Kong, the first expression of a text counts and all others stay as they are.
"""

import re
from typing import Final

from tollhouse.llm.form import Refusal
from tollhouse.pdk.exchange import Exchange

_EXPRESSION: Final = re.compile(r"\$\((.*?)\)")


def is_template(text: str | None) -> bool:
    return text is not None and _EXPRESSION.search(text) is not None


def filled(text: str, ex: Exchange) -> str:
    """The text with its first expression's value. Raises `Refusal` if the request has none."""
    expression = _EXPRESSION.search(text)
    if expression is None:
        return text
    source, dot, key = expression[1].partition(".")
    if not dot or not key or "." in key:
        raise Refusal(f"cannot parse expression for field '{text}'")
    return text[: expression.start()] + _value(ex, source, key) + text[expression.end() :]


def _value(ex: Exchange, source: str, key: str) -> str:
    found: object = None
    match source:
        case "headers":
            found = ex.request.headers.get(key.lower())
        case "query_params":
            found = ex.request.arguments().get(key)
            if isinstance(found, list):
                found = found[0]
        case "uri_captures":
            captures = ex.matched.captures if ex.matched is not None else None
            found = captures[0].get(key) if captures is not None else None
        case _:
            raise Refusal(f"source '{source}' is not supported")
    if not isinstance(found, str):
        raise Refusal(f"{source} key {key} was not provided")
    return found
