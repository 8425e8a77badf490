"""What goes wrong with Lua."""

EXTRA = "it needs a whole Lua: install tollhouse[lua]"


class LuaRefused(Exception):
    """A text that is no Lua, or none that can be run here. Its message says why."""


class LuaMissing(LuaRefused):
    """A text that needs a whole Lua where none is installed."""


class Unsupported(Exception):
    """A text that the built-in forms do not cover."""


class LuaError(Exception):
    """Lua that failed while it ran, by `error` or by what it did."""
