"""Lets files import `kong_pdk` where the package is not installed: they need its names for type hints."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Final, TypeVar

from tollhouse.custom.kong.call import PDKException

PACKAGE: Final = "kong_pdk"


class Hint:
    """Stands for any class of the package in type hints."""


def _start_dedicated_server(*_: Any, **__: Any) -> None:
    raise RuntimeError("Tollhouse runs this plugin itself: name it in KONG_PLUGINS")


class _Names(ModuleType):
    """A module of the package: every name in it is there."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        known = {
            "PDKException": PDKException,
            "start_dedicated_server": _start_dedicated_server,
            "number": TypeVar("number", int, float),
        }
        return known.get(name, Hint)


class _Finder(MetaPathFinder, Loader):
    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] != PACKAGE:
            return None
        return ModuleSpec(fullname, self, is_package=True)

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return _Names(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """There is nothing to run."""


def is_installed() -> bool:
    """Whether the real package is there."""
    return PACKAGE in sys.modules or find_spec(PACKAGE) is not None


def pdk_exception() -> type[Exception]:
    """What a failed call raises: the package's own exception where files can catch it."""
    if not is_installed():
        return PDKException
    from importlib import import_module

    found: type[Exception] = import_module(f"{PACKAGE}.exception").PDKException
    return found


@contextmanager
def importable() -> Iterator[None]:
    """While this lasts, `import kong_pdk.pdk.kong as kong` works."""
    if is_installed():
        yield
        return
    finder = _Finder()
    sys.meta_path.append(finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in [name for name in sys.modules if name.partition(".")[0] == PACKAGE]:
            del sys.modules[name]
