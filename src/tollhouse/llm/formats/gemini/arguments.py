"""Arguments of a call that come in pieces, each with the place where it belongs."""

import re
from itertools import pairwise
from typing import Any, Final

from tollhouse.llm.formats.gemini.response import PartialArg

#: the steps of a JSON path (RFC 9535) as Google writes it: `$.foo.bar[0]['a b']`
_STEP: Final = re.compile(r"""\.([^.\[\]]+)|\[(\d{1,9})\]|\['([^']*)'\]|\["([^"]*)"\]""")
_PATH: Final = re.compile(rf"\$(?:{_STEP.pattern})+")
_LONGEST_LIST: Final = 100_000


def put(arguments: dict[str, Any], piece: PartialArg) -> None:
    """Text is added to what is there, everything else put in its place."""
    if _PATH.fullmatch(piece.json_path) is None:
        return
    steps: list[str | int] = [
        int(step[2])
        if step[2] is not None
        else next(name for name in step.group(1, 3, 4) if name is not None)
        for step in _STEP.finditer(piece.json_path)
    ]
    if any(isinstance(step, int) and step > _LONGEST_LIST for step in steps):
        return
    holder: Any = arguments
    for step, following in pairwise(steps):
        inner = _at(holder, step)
        if not isinstance(inner, list if isinstance(following, int) else dict):
            inner = [] if isinstance(following, int) else {}
            _set(holder, step, inner)
        holder = inner
    last = steps[-1]
    before = _at(holder, last)
    _set(holder, last, _value(piece, before))


def _value(piece: PartialArg, before: Any) -> Any:
    if piece.string_value is not None:
        return before + piece.string_value if isinstance(before, str) else piece.string_value
    if piece.number_value is not None:
        return int(piece.number_value) if piece.number_value.is_integer() else piece.number_value
    return piece.bool_value


def _at(holder: Any, step: str | int) -> Any:
    if isinstance(holder, dict):
        return holder.get(step)
    return holder[step] if isinstance(step, int) and step < len(holder) else None


def _set(holder: Any, step: str | int, value: Any) -> None:
    if isinstance(holder, dict):
        holder[step] = value
    elif isinstance(step, int):
        holder += [None] * (step + 1 - len(holder))
        holder[step] = value
