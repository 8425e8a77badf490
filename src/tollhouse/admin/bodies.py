"""What an operator sends about an entity: a JSON object, or a form whose names say where values go.

In a form `a.b=1` is a member of a record, `a[]=x` and `a[1]=x` are elements of a list, and every value is
text, so it is turned into what the schema wants; an empty one is null. JSON is taken as it is.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from tollhouse.admin.failures import page, told
from tollhouse.admin.http import MOST_ARGUMENTS, Call, as_text
from tollhouse.model.fields import Shape
from tollhouse.model.schema import Record
from tollhouse.pdk.body import FORM, MULTIPART

_STEP: Final = re.compile(r"\.([^.\[\]]+)|\[([^\[\]]*)\]")
#: deeper names are no settings of anything
_DEEPEST: Final = 16


@dataclass(frozen=True, slots=True)
class Given:
    """Values by field; those of a form are text still."""

    values: Mapping[str, Any]
    is_form: bool = False

    def read(self, record: Record) -> Mapping[str, Any]:
        """The values with the types that a schema wants."""
        return _typed_record(self.values, record) if self.is_form else self.values


def given(call: Call) -> Given:
    """The body of a request. Raises `Failure`."""
    media_type = call.request.media_type
    if not call.content:
        if media_type == "application/json":
            raise told(400, "Cannot parse JSON body")
        return Given({})
    if media_type == "application/json":
        return Given(_json_object(call.content))
    if media_type == FORM and call.content.count(b"&") >= MOST_ARGUMENTS:
        raise told(400, "Too many arguments")
    if media_type in (FORM, MULTIPART):
        return Given(_nested(call.form()), is_form=True)
    raise page(415)


def _json_object(content: bytes) -> Mapping[str, Any]:
    try:
        decoded = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise told(400, "Cannot parse JSON body") from None
    if not isinstance(decoded, dict):
        raise told(400, "Cannot parse JSON body")
    return decoded


def _nested(form: Mapping[str, Any]) -> dict[str, Any]:
    root: dict[str, Any] = {}
    for name, value in form.items():
        texts = [as_text(text) for text in value] if isinstance(value, list) else as_text(str(value))
        _put(root, as_text(name), texts)
    return {name: _collected(value) for name, value in root.items()}


def _put(root: dict[str, Any], name: str, value: Any) -> None:
    head = re.match(r"[^.\[\]]+", name)
    steps = [found[1] or found[2] for found in _STEP.finditer(name, head.end() if head else 0)]
    if head is None or len(steps) > _DEEPEST:
        root[name] = value
        return
    node, last = root, head[0]
    for step in steps:
        child = node.get(last)
        if not isinstance(child, dict):
            child = node[last] = {}
        node, last = child, step
    node[last] = value


def _collected(value: Any) -> Any:
    """Maps whose keys are positions, or the one empty key of `a[]`, as lists; empty text as null."""
    if not isinstance(value, dict):
        return value
    if set(value) == {""}:
        return value[""] if isinstance(value[""], list) else [value[""]]
    inner = {key: _collected(each) for key, each in value.items()}
    if all(key.isdecimal() for key in inner):
        return [inner[key] for key in sorted(inner, key=int)]
    return inner


def _typed_record(values: Mapping[str, Any], record: Record) -> dict[str, Any]:
    kinds = {shorthand.name: getattr(shorthand, "kind", "string") for shorthand in record.shorthands}
    typed = {}
    for name, value in values.items():
        field = record.fields.get(name)
        shape = field.shape if field is not None else Shape(kinds.get(name, "string"))
        typed[name] = _typed(value, shape)
    return typed


def _typed(value: Any, shape: Shape) -> Any:
    if value == "":
        return None
    if shape.element is not None and shape.key is None:
        elements = value if isinstance(value, list) else [value]
        return [_typed(each, shape.element) for each in elements]
    if isinstance(value, dict):
        if shape.record is not None:
            return _typed_record(value, shape.record)
        inner = shape.element if shape.key is not None and shape.element is not None else Shape("string")
        return {key: _typed(each, inner) for key, each in value.items()}
    return _scalar(value, shape.kind) if isinstance(value, str) else value


def _scalar(text: str, kind: str) -> Any:
    """The value that a text stands for; the text itself if it is none, for the schema to refuse."""
    if kind == "boolean":
        return {"true": True, "false": False}.get(text, text)
    if kind in ("integer", "number"):
        for read in (int, float):
            try:
                return read(text)
            except ValueError:
                continue
    return text
