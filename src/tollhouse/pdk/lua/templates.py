"""Texts with Lua expressions between `$(` and `)`."""

from collections.abc import Callable, Iterator

from tollhouse.pdk.lua.errors import LuaError, LuaMissing, LuaRefused, Unsupported
from tollhouse.pdk.lua.expressions import Expression, Names, compile_expression
from tollhouse.pdk.lua.library import to_text
from tollhouse.pdk.lua.sandbox import Sandbox


def compiled(source: str, sandbox: Sandbox) -> Expression:
    """An expression as a function: a built-in form if it is one, else run by a whole Lua."""
    if not sandbox.is_allowed:
        return sandbox.chunk(source)
    try:
        return compile_expression(source)
    except Unsupported:
        return sandbox.chunk(f"return {source}", "TMP")


def compiled_late(source: str, sandbox: Sandbox) -> Expression:
    """Like `compiled`, but what is no Lua fails each time it is run. Raises `LuaMissing`."""
    try:
        return compiled(source, sandbox)
    except LuaMissing:
        raise
    except LuaRefused as refused:
        return _failing(str(refused))


def _failing(problem: str) -> Expression:
    def fail(_: Names) -> object:
        raise LuaError(problem)

    return fail


Compile = Callable[[str, Sandbox], Expression]


class Template:
    """A text, compiled once. `fixed` is the whole of it if there is nothing to fill in."""

    __slots__ = ("_pieces", "fixed")

    def __init__(self, text: str, sandbox: Sandbox, compile_code: Compile = compiled) -> None:
        """Raises `LuaRefused`."""
        self._pieces: list[str | Expression] = [
            compile_code(piece, sandbox) if is_code else piece for piece, is_code in _split(text)
        ]
        self.fixed = (
            "".join(map(str, self._pieces)) if all(isinstance(p, str) for p in self._pieces) else None
        )

    def render(self, names: Names) -> str:
        """Raises `LuaError`. What is nil becomes nothing."""
        if self.fixed is not None:
            return self.fixed
        return "".join(p if isinstance(p, str) else to_text(p(names)) for p in self._pieces)


def template_problem(text: str, compile_code: Compile = compiled) -> str | None:
    """Why a text cannot be a template; `None` if it can."""
    try:
        Template(text, Sandbox(), compile_code)
    except LuaRefused as refused:
        return str(refused)
    return None


def _split(text: str) -> Iterator[tuple[str, bool]]:
    """The pieces of a text, and whether each is code. Parentheses within code have to be balanced."""
    rest = text
    while (start := rest.find("$(")) >= 0:
        depth, end = 0, -1
        for place in range(start + 1, len(rest)):
            depth += (rest[place] == "(") - (rest[place] == ")")
            if depth == 0:
                end = place
                break
        if end < 0:
            break
        if start:
            yield rest[:start], False
        yield rest[start + 2 : end], True
        rest = rest[end + 1 :]
    if rest:
        yield rest, False
