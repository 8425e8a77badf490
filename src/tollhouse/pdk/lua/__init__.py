"""Lua as Kong's configurations hold it: values between `$(` and `)`, fields of log records, functions.

The forms that configurations usually have are read by a small parser and become plain Python functions
when the configuration is compiled (`expressions`). Anything beyond them runs in a real Lua without files,
processes or modules (`sandbox`, extra `lua`). Nothing here is ever given to Python to evaluate.
"""

from tollhouse.pdk.lua.errors import LuaError, LuaRefused
from tollhouse.pdk.lua.names import ExchangeNames
from tollhouse.pdk.lua.tables import Shared
from tollhouse.pdk.lua.templates import Template, compiled_late, template_problem

__all__ = [
    "ExchangeNames",
    "LuaError",
    "LuaRefused",
    "Shared",
    "Template",
    "compiled_late",
    "template_problem",
]
