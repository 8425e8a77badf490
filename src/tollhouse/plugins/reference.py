"""The reference page of a plugin, written from its settings class."""

import inspect
import json
from collections.abc import Iterator
from typing import Final

from tollhouse.model.fields import Field, Missing
from tollhouse.model.schema import Record
from tollhouse.plugins import Registry

_HEAD: Final = "<!-- Written by docs/generate.py from the plugin's settings. Do not edit. -->"
_TABLE: Final = ("| field | type | default | meaning |", "|---|---|---|---|")


def plugin_page(name: str) -> str:
    """The page of one plugin, in Markdown: what it is for, where it stands, its fields."""
    registry = Registry(has_database=True)
    cls, record = registry.plugin_class(name), registry.config(name)
    if cls is None or record is None:
        raise LookupError(name)
    module = inspect.getmodule(cls)
    summary, _, more = inspect.cleandoc((module and module.__doc__) or "").partition("\n")
    purpose = summary.partition(": ")[2]
    about = f"{purpose[:1].upper()}{purpose[1:]}\n{more}".strip()
    priority = f"Priority {cls.priority}: among plugins of one phase the higher number runs first."
    rows = [*_TABLE, *_rows(record)]
    return "\n".join([f"# {name}", "", _HEAD, "", about, "", priority, "", *rows, ""])


def _rows(record: Record, prefix: str = "") -> Iterator[str]:
    for name, field in record.fields.items():
        path = f"{prefix}{name}"
        inner = field.shape.record
        doc = f"{field.doc} (in {field.unit})" if field.unit else field.doc
        yield f"| `{path}` | {_type(field)} | {_default(field)} | {doc} |"
        if inner is not None:
            yield from _rows(inner, f"{path}.")
        elif field.shape.element is not None and field.shape.element.record is not None:
            yield from _rows(field.shape.element.record, f"{path}[].")


def _type(field: Field) -> str:
    shape = field.shape
    if shape.choices:
        return " or ".join(f"`{choice}`" for choice in shape.choices)
    if shape.element is not None:
        return f"{field.kind} of {shape.element.kind}s"
    return field.kind


def _default(field: Field) -> str:
    default = field.default
    if isinstance(default, Missing):
        return "" if field.shape.record else "required"
    return "" if default is None else f"`{json.dumps(default, ensure_ascii=False)}`"
