"""Kong's one-line messages about an error map."""

from collections.abc import Iterator, Mapping
from typing import Any

from tollhouse.model import lua


def schema_violation(fields: Mapping[str, Any]) -> str:
    """The message of Kong's error code 2: errors of the entity first, then by field in order."""
    problems = [*fields.get("@entity", ()), *_by_field(fields)]
    if len(problems) == 1:
        return f"schema violation ({problems[0]})"
    return f"{len(problems)} schema violations ({'; '.join(problems)})"


def _by_field(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted(fields):
        problem = fields[name]
        if name == "@entity":
            continue
        if isinstance(problem, str):
            yield f"{name}: {problem}"
            continue
        for key, value in _entries(problem):
            yield f"{name}.{key}: {value if isinstance(value, str) else lua.table(value, compact=False)}"


def _entries(problem: Any) -> list[tuple[Any, Any]]:
    if isinstance(problem, Mapping):
        return sorted(problem.items())
    return [(number, value) for number, value in enumerate(problem, 1) if value is not None]


def outdated_name(plugin: str, old: str, new: str) -> str:
    """What Kong's log says of a setting that is given under a deprecated name."""
    return f"{plugin}: {old} is deprecated, please use {new} instead (deprecated after 4.0)"
