"""How changes look: a tree by kind, coloured on a terminal, secrets left out."""

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any, Final

import click
import msgspec

from tollhouse.config.difference import Action, Change, FieldChange
from tollhouse.model.entities import PluginSchemas
from tollhouse.model.plugin import plugin_schema

_SIGNS: Final[dict[Action, tuple[str, str]]] = {
    "create": ("+", "green"),
    "update": ("~", "yellow"),
    "delete": ("-", "red"),
}
_DONE: Final[dict[Action, str]] = {"create": "to create", "update": "to update", "delete": "to delete"}
#: fields of credentials that nobody may read off a screen
_SECRETS: Final = frozenset({"key", "secret", "password", "rsa_public_key", "key_alt"})
_HIDDEN: Final = "(secret)"


def tree(changes: Sequence[Change], plugins: PluginSchemas) -> Iterator[str]:
    """The changes as lines, coloured by what happens."""
    for kind, members in groupby(
        sorted(changes, key=_kind_order(changes)), key=lambda change: change.kind.name
    ):
        yield click.style(kind, bold=True)
        for change in members:
            sign, colour = _SIGNS[change.action]
            yield click.style(f"  {sign} {change.name}", fg=colour)
            for field in change.fields:
                yield f"      {field.path}: {_values(change, field, plugins)}"
    yield summary(changes)


def left_alone(changes: Sequence[Change]) -> Iterator[str]:
    """What a sync does not delete, because the Admin API made it or what belongs to it."""
    if changes:
        yield click.style("left alone, made through the Admin API (--all-owners deletes them):", bold=True)
    for change in changes:
        yield f"  = {change.kind.name} {change.name}"


def _kind_order(changes: Sequence[Change]) -> Any:
    order = list(dict.fromkeys(change.kind.name for change in changes))
    return lambda change: order.index(change.kind.name)


def summary(changes: Sequence[Change]) -> str:
    """How many of each."""
    if not changes:
        return "no changes"
    counts = [(action, sum(change.action == action for change in changes)) for action in _SIGNS]
    total = len(changes)
    shown = ", ".join(f"{count} {_DONE[action]}" for action, count in counts if count)
    return f"{total} change{'s' if total != 1 else ''}: {shown}"


def _values(change: Change, field: FieldChange, plugins: PluginSchemas) -> str:
    if _is_secret(change, field.path, plugins):
        return f"{_HIDDEN} → {_HIDDEN}"
    return f"{_json(field.before)} → {_json(field.after)}"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _is_secret(change: Change, path: str, plugins: PluginSchemas) -> bool:
    kind = change.kind
    if "consumer" in kind.references and kind.name != "plugins":
        return path in _SECRETS
    row = change.after or change.before or {}
    record = (plugin_schema(row["name"], plugins) if kind.name == "plugins" else None) or kind.schema
    field = record.field(path)
    return path in _SECRETS or bool(field and field.rules.get("encrypted"))
