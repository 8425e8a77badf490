"""Parameters of requests as OpenAPI describes them: where they stand, and how they are written.

https://spec.openapis.org/oas/v3.1.0#style-values
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from tollhouse.pdk.exchange import Exchange
from tollhouse.wire.uri import unquote

_SEPARATORS: Final[Mapping[str, str]] = {"pipeDelimited": "|", "spaceDelimited": " "}
_STYLES: Final[Mapping[str, str]] = {"query": "form", "path": "simple", "header": "simple"}


@dataclass(frozen=True, slots=True)
class Parameter:
    """One parameter; `schema` is JSON Schema, of which the type decides how its text is read."""

    place: str
    name: str
    required: bool
    style: str | None
    explode: bool | None
    schema: str | None
    _types: frozenset[str] = field(init=False, default=frozenset())
    _schema: Any = field(init=False, default=None)

    def __post_init__(self) -> None:
        schema = msgspec.json.decode(self.schema) if self.schema else {}
        schema = schema if isinstance(schema, dict) else {}
        kinds = schema.get("type", ())
        object.__setattr__(self, "_schema", schema)
        object.__setattr__(self, "_types", frozenset([kinds] if isinstance(kinds, str) else kinds))

    def read(self, ex: Exchange) -> Any:
        """The value in a request, `None` if it is not there."""
        style = self.style or _STYLES[self.place]
        explode = style == "form" if self.explode is None else self.explode
        if style == "deepObject":
            return self._deep_object(ex)
        texts = self._texts(ex)
        if texts is None:
            return None
        if "array" in self._types:
            items = self._schema.get("items")
            kinds = _kinds(items)
            return [_typed(part, kinds) for part in self._parts(texts, style, explode=explode)]
        if "object" in self._types:
            return self._object(self._parts(texts, style, explode=False), explode=explode)
        return _typed(self._bare(texts[-1], style), self._types)

    def _texts(self, ex: Exchange) -> list[str] | None:
        if self.place == "header":
            return ex.request.headers.get_all(self.name.lower()) or None
        if self.place == "path":
            captures = ex.matched.captures if ex.matched is not None else None
            found = captures[0].get(self.name) if captures is not None else None
            return None if found is None else [unquote(found)]
        value = ex.request.arguments().get(self.name)
        if value is None:
            return None
        return ["" if one is True else str(one) for one in (value if isinstance(value, list) else [value])]

    def _bare(self, text: str, style: str) -> str:
        if style == "label":
            return text.removeprefix(".")
        return text.removeprefix(f";{self.name}=") if style == "matrix" else text

    def _parts(self, texts: list[str], style: str, *, explode: bool) -> list[str]:
        if explode and style == "form" and len(texts) > 1:
            return texts
        bare = self._bare(texts[-1], style)
        if explode and style == "matrix":
            return bare.split(f";{self.name}=")
        separator = "." if explode and style == "label" else _SEPARATORS.get(style, ",")
        return [part.strip() for part in bare.split(separator)] if bare else []

    def _object(self, parts: list[str], *, explode: bool) -> dict[str, Any]:
        pairs = (
            [part.partition("=")[::2] for part in parts]
            if explode
            else zip(parts[::2], parts[1::2], strict=False)
        )
        members = self._schema.get("properties", {})
        return {name: _typed(value, _kinds(members.get(name))) for name, value in pairs}

    def _deep_object(self, ex: Exchange) -> dict[str, Any] | None:
        members = self._schema.get("properties", {})
        found: dict[str, Any] = {}
        for key, value in ex.request.arguments().items():
            if key.startswith(f"{self.name}[") and key.endswith("]") and isinstance(value, str):
                name = key[len(self.name) + 1 : -1]
                found[name] = _typed(value, _kinds(members.get(name)))
        return found or None


def _kinds(schema: Any) -> frozenset[str]:
    kinds = schema.get("type", ()) if isinstance(schema, dict) else ()
    return frozenset([kinds] if isinstance(kinds, str) else kinds)


def _typed(text: str, kinds: frozenset[str]) -> Any:
    """The text as the first of the types that it can be; else as it is, for the schema to refuse."""
    if "boolean" in kinds and text in ("true", "false"):
        return text == "true"
    if kinds & {"integer", "number"}:
        try:
            number = float(text)
        except ValueError:
            return text
        return int(number) if number.is_integer() else number
    return None if "null" in kinds and text == "" else text
