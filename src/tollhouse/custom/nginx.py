"""Of `ngx`, for pre-function and post-function, what needs no nginx: log, time, request, answer and texts.

Names and meaning are those of OpenResty's Lua API for nginx, <https://github.com/openresty/lua-nginx-module>.
Strings are Lua's: one character for each byte.
"""

import base64
import binascii
import hashlib
import logging
from collections.abc import Callable
from functools import partial
from typing import Any, Final
from urllib.parse import quote

from tollhouse.custom.kong.call import Call, Ended
from tollhouse.errors import Reject
from tollhouse.model.lua import text_of
from tollhouse.pdk.lua import ExchangeNames
from tollhouse.wire.uri import arguments, encoded_arguments, unquote

log = logging.getLogger("tollhouse.plugins")

#: makes of the tables of `ngx_table` what OpenResty has: `ngx.status`, `ngx.header` and `ngx.var` can be set
DRESS: Final = """
local nginx, variables = ngx.nginx, ngx.var
local write = kong.response
ngx.nginx = nil
ngx.header = setmetatable({}, {
  __index = function(_, name) return (write.get_header((name:gsub("_", "-")))) end,
  __newindex = function(_, name, value)
    name = name:gsub("_", "-")
    if value == nil then write.clear_header(name) else write.set_header(name, value) end
  end,
})
ngx.var = setmetatable({}, {
  __index = variables,
  __newindex = function(_, name, value)
    if name ~= "args" then error('variable "' .. name .. '" not changeable', 2) end
    kong.service.request.set_raw_query(value or "")
    variables.args = value
  end,
})
setmetatable(ngx, {
  __index = function(_, name) if name == "status" then return nginx.get_status() end end,
  __newindex = function(_, name, value)
    if name ~= "status" then error("ngx." .. name .. " cannot be set", 2) end
    nginx.set_status(value)
  end,
})
"""
#: numbers of levels in OpenResty's `ngx.log`
_LEVELS: Final = {
    "EMERG": logging.CRITICAL, "ALERT": logging.CRITICAL, "CRIT": logging.CRITICAL, "ERR": logging.ERROR,
    "WARN": logging.WARNING, "NOTICE": logging.INFO, "INFO": logging.INFO, "DEBUG": logging.DEBUG,
}  # fmt: skip
_NUMBERS: Final = {name: number for number, name in enumerate(_LEVELS, 1)}
_BY_NUMBER: Final = dict(enumerate(_LEVELS.values(), 1))
_STATUSES: Final = {
    "OK": 200, "CREATED": 201, "ACCEPTED": 202, "NO_CONTENT": 204, "PARTIAL_CONTENT": 206,
    "MOVED_PERMANENTLY": 301, "MOVED_TEMPORARILY": 302, "SEE_OTHER": 303, "NOT_MODIFIED": 304,
    "TEMPORARY_REDIRECT": 307, "PERMANENT_REDIRECT": 308, "BAD_REQUEST": 400, "UNAUTHORIZED": 401,
    "FORBIDDEN": 403, "NOT_FOUND": 404, "NOT_ALLOWED": 405, "NOT_ACCEPTABLE": 406, "REQUEST_TIMEOUT": 408,
    "CONFLICT": 409, "GONE": 410, "TOO_MANY_REQUESTS": 429, "INTERNAL_SERVER_ERROR": 500,
    "METHOD_NOT_IMPLEMENTED": 501, "BAD_GATEWAY": 502, "SERVICE_UNAVAILABLE": 503, "GATEWAY_TIMEOUT": 504,
}  # fmt: skip
_CONSTANTS: Final = {
    **_NUMBERS, "STDERR": 0, "OK": 0, "ERROR": -1, "AGAIN": -2, "DONE": -4, "DECLINED": -5,
    **{f"HTTP_{name}": status for name, status in _STATUSES.items()},
}  # fmt: skip


class Output:
    """What code has said to the client so far."""

    def __init__(self) -> None:
        #: set by the code; `None`: not
        self.status: int | None = None
        self.said: list[str] = []

    def answer(self, status: int) -> Reject:
        """The answer of that status, or with what was said."""
        if not self.said:
            return Reject(status, exact=True)
        return Reject(self.status or 200, body="".join(self.said).encode("latin-1", "replace"), exact=True)


def ngx_table(call: Call, output: Output) -> dict[str, Any]:
    """`ngx` as nested tables, to be dressed by `DRESS`."""
    names = ExchangeNames(call.ex, call.services.wall_clock)
    node = call.services.node
    request = {
        **names.ngx["req"],
        "read_body": lambda: None,
        "get_body_data": lambda: (call.ex.request.content or b"").decode("latin-1") or None,
        "get_post_args": lambda: dict(arguments((call.ex.request.content or b"").decode("latin-1"))),
    }
    return {
        **names.ngx,
        **_CONSTANTS,
        **_TEXTS,
        "req": request,
        "log": partial(_log, call),
        "say": lambda *words: output.said.append(_joined(words) + "\n"),
        "print": lambda *words: output.said.append(_joined(words)),
        "exit": partial(_exit, call, output),
        "get_phase": lambda: call.phase,
        "worker": {"pid": lambda: node.pid, "id": lambda: 0},
        "nginx": {
            "get_status": lambda: _status(call, output),
            "set_status": partial(_set_status, call, output),
        },
    }


def _log(call: Call, level: Any, *words: Any) -> None:
    log.log(_BY_NUMBER.get(level, logging.INFO), "[%s] %s", call.name, _joined(words))


def _joined(words: tuple[Any, ...]) -> str:
    return "".join(map(_said, words))


def _said(word: Any) -> str:
    if isinstance(word, list):
        return _joined(tuple(word))
    return "nil" if word is None else text_of(word)


def _status(call: Call, output: Output) -> int:
    return output.status or (call.answer.status if call.answer is not None else 0)


def _set_status(call: Call, output: Output, status: int) -> None:
    output.status = status
    if call.answer is not None:
        call.answer.status, call.answer.line = status, b""


def _exit(call: Call, output: Output, status: int) -> None:
    if call.phase not in ("rewrite", "access"):
        return
    if status >= _STATUSES["OK"] or output.said:
        call.exit = output.answer(status)
    raise Ended


def _unescaped_base64(text: str) -> str | None:
    try:
        return base64.b64decode(text.encode("latin-1"), validate=True).decode("latin-1")
    except binascii.Error:
        return None


_TEXTS: Final[dict[str, Callable[..., Any]]] = {
    "encode_base64": lambda text: base64.b64encode(text_of(text).encode("latin-1")).decode(),
    "decode_base64": _unescaped_base64,
    "escape_uri": lambda text: quote(text_of(text).encode("latin-1"), safe="!'()*"),
    "unescape_uri": lambda text: unquote(text_of(text)),
    "encode_args": encoded_arguments,
    "decode_args": lambda text: dict(arguments(text)),
    "md5": lambda text: hashlib.md5(text_of(text).encode("latin-1"), usedforsecurity=False).hexdigest(),
}
