"""The path that an upstream is asked for: the service's path joined with the request's.

What depends on configuration alone is decided once; per request one small function is left. The
result is escaped and lacks the query.
"""

from collections.abc import Callable
from typing import TypeAlias

from tollhouse.routing.match import Flavour, wire
from tollhouse.wire.uri import escape

#: takes the matched prefix and the normal path
PathBuilder: TypeAlias = Callable[[str, str], str]


def path_builder(service_path: str | None, strip_path: bool, handling: str, flavour: Flavour) -> PathBuilder:
    """Only the traditional router knows `v1`, which joins the two texts as they are."""
    base = wire(service_path or "/")
    if handling == "v1" and flavour == "traditional":
        return _v1_stripping(base) if strip_path else _v1_keeping(base)
    if strip_path:
        return _stripping(base)
    return _keeping(base)


def _rest(prefix: str, path: str) -> str:
    """What follows the prefix. It must not climb or stay in place on its own: `/a` before `/a../x`."""
    rest = path[len(prefix) or 1 :]
    if not rest.startswith("."):
        return rest
    if rest in (".", ".."):
        return ""
    return rest.removeprefix("./") if rest.startswith("./") else rest.removeprefix("../")


def _stripping(base: str) -> PathBuilder:
    stem = base.removesuffix("/")
    ends_open = base.endswith("/")

    def build(prefix: str, path: str) -> str:
        rest = _rest(prefix, path)
        if not rest:
            # A slash at the end of the request stays one at the end of the upstream path.
            stays_open = path.endswith("/") and (ends_open or path != "/")
            return escape(f"{stem}/" if base == "/" or stays_open else stem)
        return escape(stem + rest if rest.startswith("/") else f"{stem}/{rest}")

    return build


def _keeping(base: str) -> PathBuilder:
    if base == "/":
        return lambda _, path: escape(path)
    if base.endswith("/"):
        return lambda _, path: escape(base + path[1:])
    return lambda _, path: escape(base if path == "/" else base + path)


def _v1_stripping(base: str) -> PathBuilder:
    stem = base.removesuffix("/")

    def build(prefix: str, path: str) -> str:
        rest = _rest(prefix, path)
        return escape((stem if rest.startswith("/") else base) + rest)

    return build


def _v1_keeping(base: str) -> PathBuilder:
    return lambda _, path: escape(base + path[1:])
