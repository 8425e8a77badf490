"""One phase of one exchange, as a plugin in a thread sees it: every `kong.*` call comes here."""

import inspect
from collections.abc import Callable, Mapping
from typing import Any, Final

from tollhouse.errors import Reject
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.messages import Response
from tollhouse.pdk.services import Services
from tollhouse.wire.fields import FieldSet, wire_field

_ENDING: Final = frozenset({"kong.response.exit", "kong.response.error"})


class PDKException(Exception):
    """A call that failed, where errors are raised and not returned."""


class CallError(Exception):
    """Why a call cannot be done; the text is the plugin's to see."""


class Ended(BaseException):
    """The plugin goes on talking after `kong.response.exit`. No `except Exception` shall catch it."""


class Call:
    """What the functions behind `kong.*` work on."""

    def __init__(self, ex: Exchange, phase: str, plugin_id: str, name: str, services: Services) -> None:
        self.ex = ex
        self.phase = phase
        self.plugin_id = plugin_id
        self.name = name
        self.services = services
        #: the answer that `kong.response.exit` has made
        self.exit: Reject | None = None
        #: fields for an answer that is not there yet, by lower-case name
        self.early: dict[str, list[tuple[str, str]]] = {}

    def is_answered(self) -> bool:
        """Whether `kong.response.exit` has made an answer."""
        return self.exit is not None

    def only_in(self, *phases: str) -> None:
        """Refuses a call that would have no effect now. Raises `CallError`."""
        if self.phase not in phases:
            raise CallError(f"function cannot be called in {self.phase} phase (only in: {', '.join(phases)})")

    @property
    def answer(self) -> Response | None:
        """The answer, once there is one."""
        return self.ex.response if self.phase in ("response", "header_filter", "body_filter", "log") else None

    def finish(self) -> None:
        """Does what the phase has asked for. Raises `Reject` if it has ended the exchange."""
        fields = [field for fields in self.early.values() for field in fields]
        for name, value in fields:
            self.ex.add_early_headers(FieldSet.of((wire_field(name, value),)))
        if self.exit is not None:
            raise self.exit


Function = Callable[..., Any]


class Path:
    """A name below `kong`, which may be called; what it returns depends on the file's style."""

    def __init__(
        self, path: str, call: Call, table: Mapping[str, Function], fail: type[Exception] | None
    ) -> None:
        self._path = path
        self._call = call
        self._table = table
        #: what is raised for an error; `None` returns pairs of value and error, as Lua does
        self._fail = fail

    def __getattr__(self, name: str) -> "Path":
        if name.startswith("__"):
            raise AttributeError(name)
        return Path(f"{self._path}.{name}", self._call, self._table, self._fail)

    def __call__(self, *arguments: Any) -> Any:
        if self._call.exit is not None:
            raise Ended
        try:
            value = self._done(arguments)
        except CallError as error:
            if self._fail is None:
                return None, str(error)
            raise self._fail(f"exception from {self._path}: {error}") from error
        if self._path in _ENDING:
            return None
        return (value, None) if self._fail is None else value

    def _done(self, arguments: tuple[Any, ...]) -> Any:
        function = self._table.get(self._path)
        if function is None:
            raise CallError(f"{self._path} does not exist in Tollhouse")
        try:
            inspect.signature(function).bind(self._call, *arguments)
        except TypeError as error:
            raise CallError(f"{self._path}: {error}") from error
        return function(self._call, *arguments)


def shown(value: str) -> str:
    """Text off the wire, one character for each byte, as a plugin reads it."""
    return value if value.isascii() else value.encode("latin-1").decode("utf-8", "surrogateescape")


def sent(value: Any) -> str:
    """What a plugin wrote, as it goes onto the wire. Raises `CallError` for what would break a line."""
    text = value.decode("latin-1") if isinstance(value, bytes) else _text(value)
    if "\r" in text or "\n" in text or "\0" in text:
        raise CallError("a name or value holds a line break or NUL")
    return text


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise CallError(f"invalid value: got {type(value).__name__}, expected string, number or boolean")
    return str(value).encode("utf-8", "surrogateescape").decode("latin-1")


def each_field(headers: Any) -> list[tuple[str, str]]:
    """Name and value of each field of a table, in which a value may be a list. Raises `CallError`."""
    if not isinstance(headers, Mapping):
        raise CallError(f"headers must be a table, not {type(headers).__name__}")
    return [
        (sent(name), sent(one))
        for name, value in headers.items()
        for one in (value if isinstance(value, list | tuple) else (value,))
    ]


def grouped(fields: Mapping[str, str | list[str]]) -> dict[str, str | list[str]]:
    """Fields by name, as a plugin reads them."""
    return {
        shown(name): [shown(one) for one in value] if isinstance(value, list) else shown(value)
        for name, value in fields.items()
    }
