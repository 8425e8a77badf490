"""response-transformer: changes the headers of an answer, and the members of a JSON object in its body.

A body that is no JSON object passes unchanged, one in a content encoding as well.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from tollhouse.model.validators import header_name
from tollhouse.pdk import Exchange, Plugin, item, setting
from tollhouse.pdk.operations import Operations, pair_of

JsonType = Literal["boolean", "number", "string"]
_PAIR: Final = item(match="^[^:]+:.*$")
_JSON: Final = "`name:value` in the JSON body."
_TYPES: Final = "Types of the values of `json`, one by one."
_HEADERS: Final = "`name:value` headers."


def _named_headers(entry: str) -> str | None:
    return next((f"'{n}' is not a valid header" for n in entry.split(":", 1) if header_name(n)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Names:
    json: tuple[str, ...] = setting((), required=True, doc="Names in the JSON body.")
    headers: tuple[str, ...] = setting(
        (), required=True, doc="Names of headers; `name:value` takes away that value alone."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Renames:
    json: tuple[str, ...] = setting((), required=True, items=_PAIR, doc="`old:new` names in the JSON body.")
    headers: tuple[str, ...] = setting(
        (), required=True, items=item(match="^[^:]+:.*$", validator=_named_headers), doc="`old:new` headers."
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class Pairs:
    json: tuple[str, ...] = setting((), required=True, items=_PAIR, doc=_JSON)
    json_types: tuple[JsonType, ...] = setting((), required=True, doc=_TYPES)
    headers: tuple[str, ...] = setting((), required=True, items=_PAIR, doc=_HEADERS)


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    remove: Names = setting(Names, required=True, doc="What to take away.")
    rename: Renames = setting(Renames, required=True, doc="What to give another name, if it is there.")
    replace: Pairs = setting(Pairs, required=True, doc="What to give another value, if it is there.")
    add: Pairs = setting(Pairs, required=True, doc="What to add, if it is not there.")
    append: Pairs = setting(Pairs, required=True, doc="What to add in any case.")


@dataclass(slots=True)
class _Buffered:
    """Pieces of a body that is to be changed."""

    pieces: list[bytes] = field(default_factory=list)


class ResponseTransformer(Plugin[Config]):
    name = "response-transformer"
    priority = 800
    Config = Config
    changes_body = False  # but of answers whose Content-Length `header_filter` takes away

    def prepare(self) -> None:
        conf = self.conf
        valued = (conf.replace, conf.add, conf.append)
        self._headers = Operations.of(
            conf.remove.headers,
            conf.rename.headers,
            *(operation.headers for operation in valued),
            compiled=lambda value, _: value,
        ).in_lower_case()
        self._removed_values = [pair_of(entry)[1] for entry in conf.remove.headers]
        made = [
            Operations.of(conf.remove.json, conf.rename.json, *lists, compiled=_typed(operation.json_types))
            for operation, lists in (
                (conf.replace, (conf.replace.json, (), ())),
                (conf.add, ((), conf.add.json, ())),
                (conf.append, ((), (), conf.append.json)),
            )
        ]
        self._json = Operations(made[0].remove, made[0].rename, made[0].replace, made[1].add, made[2].append)
        self.idle = frozenset() if self._json else frozenset({"body_filter"})

    def header_filter(self, ex: Exchange) -> None:
        response = ex.response
        if response is None:
            return
        if self._json and _is_json(response.headers.values.get("content-type", "")):
            ex.slot(_Buffered)
            response.headers.remove("content-length")
        if self._headers:
            self._transform_headers(ex)

    def _transform_headers(self, ex: Exchange) -> None:
        if ex.response is None:
            return
        headers, operations = ex.response.headers, self._headers
        for name, value in zip(operations.remove, self._removed_values, strict=True):
            kept = [found for found in headers.get_all(name) if value and found != value]
            headers.remove(name)
            for found in kept:
                headers.add(name, found)
        for old, new in operations.rename:
            if old in headers:
                values = headers.get_all(old)
                headers.remove(old)
                headers.remove(new.lower())
                for value in values:
                    headers.add(new, value)
        for name, value in operations.replace:
            if name.lower() in headers:
                headers.set(name, value)
        for name, value in operations.add:
            if name.lower() not in headers:
                headers.add(name, value)
        for name, value in operations.append:
            headers.add(name, value)

    def body_filter(self, ex: Exchange, chunk: bytes, last: bool) -> bytes:
        buffered = ex.peek(_Buffered)
        if buffered is None:
            return chunk
        buffered.pieces.append(chunk)
        return self._transformed(b"".join(buffered.pieces)) if last else b""

    def _transformed(self, content: bytes) -> bytes:
        try:
            members = msgspec.json.decode(content)
        except msgspec.DecodeError:
            return content
        if not isinstance(members, dict):
            return content
        self._json.apply(members, lambda value: value)
        return msgspec.json.encode(members)


def _is_json(content_type: str) -> bool:
    media = content_type.partition(";")[0].strip().lower()
    return media.startswith("application/") and media.endswith("json")


def _typed(types: Sequence[JsonType]) -> Any:
    """Makes values of the type at their place; `None` of what is no number."""

    def cast(value: str, place: int) -> str | bool | int | float | None:
        kind = types[place] if place < len(types) else "string"
        if kind == "boolean":
            return value == "true"
        if kind == "string":
            return value
        try:
            number = float(value)
        except ValueError:
            return None
        return int(number) if number.is_integer() else number

    return cast
