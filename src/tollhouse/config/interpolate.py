"""`${{ env "DECK_X" }}` in declarative files, as decK writes it.

decK replaces text before it reads YAML. Here a placeholder stands where the expression stood until the
scalar around it has been read, so that no value can change the structure of the file. A plain scalar
still means what it would mean if the value stood there: `1` is a number, `"1"` a string.

https://developer.konghq.com/deck/gateway/environment-variables/
"""

import re
from collections.abc import Callable, Mapping
from typing import Final

#: the only variables that may be read: a file cannot look at the rest of the environment
PREFIX: Final = "DECK_"
_EXPRESSION: Final = re.compile(r"\$\{\{-?(.*?)-?\}\}")
_CALL: Final = re.compile(r"""\s*env\s+(?:\\?"([^"\\]*)\\?"|`([^`]*)`)\s*((?:\|[^|]*)*)""")
#: characters without a meaning of their own, of which one that the text does not hold marks placeholders
_PRIVATE: Final = range(0xE000, 0xF8FF)


class Interpolation:
    """A text with its expressions, and what they stand for."""

    def __init__(self, text: str, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self._expressions: list[str] = []
        self._mark = next(chr(code) for code in _PRIVATE if chr(code) not in text)
        self._marked = re.compile(f"{self._mark}([0-9]+){self._mark}")
        #: the text with placeholders, line by line as it was
        self.text = _EXPRESSION.sub(self._placeholder, text)

    def __bool__(self) -> bool:
        return bool(self._expressions)

    def filled(self, scalar: str) -> str:
        """A scalar of the text with values in it. Raises `ValueError` with what is wrong."""
        return self._marked.sub(lambda mark: self._value(self._expressions[int(mark[1])]), scalar)

    def _placeholder(self, found: re.Match[str]) -> str:
        self._expressions.append(found[1])
        return f"{self._mark}{len(self._expressions) - 1}{self._mark}"

    def _value(self, expression: str) -> str:
        call = _CALL.fullmatch(expression)
        if call is None:
            raise ValueError(f'cannot read ${{{{{expression}}}}}: expected ${{{{ env "{PREFIX}NAME" }}}}')
        name = call[1] or call[2] or ""
        if not name.startswith(PREFIX):
            raise ValueError(f"environment variables in files must begin with '{PREFIX}', found '{name}'")
        value = self._environment.get(name)
        if value is None:
            raise ValueError(f"environment variable '{name}' is not set")
        for pipe in call[3].split("|")[1:]:
            value = _piped(value, pipe.split(), name)
        return value


def _piped(value: str, pipe: list[str], name: str) -> str:
    match pipe:
        case ["indent", width] if width.isdigit():
            return value  # the lines of a block need no indentation where nothing is parsed again
        case [function] if function in _PIPES:
            try:
                return _PIPES[function](value.strip())
            except ValueError:
                # The value may be a secret, so it is not told.
                raise ValueError(f"environment variable '{name}' cannot be converted by {function}") from None
    known = ", ".join((*_PIPES, "indent N"))
    raise ValueError(f"unknown function '{' '.join(pipe)}' after '{name}': expected one of {known}")


def _boolean(value: str) -> str:
    # Go's strconv.ParseBool
    if value in ("1", "t", "T", "TRUE", "true", "True"):
        return "true"
    if value in ("0", "f", "F", "FALSE", "false", "False"):
        return "false"
    raise ValueError(value)


_PIPES: Final[Mapping[str, Callable[[str], str]]] = {
    "toBool": _boolean,
    "toInt": lambda value: str(int(value)),
    "toFloat": lambda value: str(float(value)),
}
