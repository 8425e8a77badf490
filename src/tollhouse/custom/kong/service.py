"""`kong.service` and `kong.service.request`: where the request goes, and what it says there."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tollhouse.custom.kong.call import Call, CallError, Function, each_field, sent
from tollhouse.custom.kong.response import sent_body
from tollhouse.pdk.body import FORM
from tollhouse.wire.uri import encoded_arguments, escape

_BEFORE: Final = ("rewrite", "access")
_METHODS: Final = frozenset(
    {"GET", "HEAD", "PUT", "POST", "DELETE", "OPTIONS", "MKCOL", "COPY", "MOVE", "PROPFIND", "PROPPATCH",
     "LOCK", "UNLOCK", "PATCH", "TRACE"}
)  # fmt: skip


def _set_upstream(call: Call, host: str) -> bool:
    call.only_in("access")
    call.ex.service_at = (sent(host), None)
    return True


def _set_target(call: Call, host: str, port: int) -> None:
    call.only_in("access")
    if not isinstance(port, int) or not 0 <= port <= 65535:
        raise CallError("port must be an integer between 0 and 65535")
    call.ex.service_at = (sent(host), port)


def _set_scheme(call: Call, scheme: str) -> None:
    call.only_in("access")
    service = call.ex.service
    if scheme not in ("http", "https"):
        raise CallError(f"scheme must be http or https here, not '{scheme}'")
    if service is None:
        raise CallError("the route has no service")
    host, port = call.ex.service_at or (service.host, service.port)
    call.ex.upstream_address = (scheme, host, port or service.port)


def _set_path(call: Call, path: str) -> None:
    call.only_in("access")
    if not path.startswith("/"):
        raise CallError("path must start with /")
    call.ex.send_upstream(path=escape(sent(path)))


def _set_raw_query(call: Call, query: str) -> None:
    call.only_in("access")
    call.ex.send_upstream(query=escape(sent(query)))


def _set_query(call: Call, args: Any) -> None:
    call.only_in("access")
    call.ex.send_upstream(query=_encoded(args))


def _encoded(args: Any) -> str:
    if not isinstance(args, Mapping):
        raise CallError(f"args must be a table, not {type(args).__name__}")
    return encoded_arguments({sent(name): _argument(value) for name, value in args.items()})


def _argument(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_argument(one) for one in value]
    return value if isinstance(value, bool) or value is None else sent(value)


def _set_method(call: Call, method: str) -> None:
    call.only_in(*_BEFORE)
    if method not in _METHODS:
        raise CallError(f"invalid method: {method}")
    call.ex.upstream_method = method


def _add_header(call: Call, name: str, value: Any) -> None:
    call.only_in(*_BEFORE)
    for field, one in each_field({name: value}):
        if field.lower() == "host":
            call.ex.upstream_host = one
        else:
            call.ex.request.headers.add(field, one)


def _clear_header(call: Call, name: str) -> None:
    call.only_in(*_BEFORE)
    call.ex.request.headers.remove(sent(name).lower())


def _set_header(call: Call, name: str, value: Any) -> None:
    call.only_in(*_BEFORE)
    fields = each_field({name: value})
    if sent(name).lower() != "host":
        _clear_header(call, name)
    for field, one in fields:
        _add_header(call, field, one.encode("latin-1"))


def _set_headers(call: Call, headers: Any) -> None:
    each_field(headers)
    for name, value in headers.items():
        _set_header(call, name, value)


def _set_raw_body(call: Call, body: Any) -> None:
    call.only_in("access")
    if call.ex.request.content is None and call.ex.client.body is not None:
        raise CallError("the request body was not read before")
    call.ex.request.replace_content(body if isinstance(body, bytes) else sent_body(body))


def _set_body(call: Call, args: Any, mimetype: str | None = None) -> bool:
    call.only_in("access")
    kind = mimetype or call.ex.request.media_type
    if kind == FORM:
        content = _encoded(args).encode("latin-1")
    elif kind == "application/json":
        content = json.dumps(args, separators=(",", ":"), ensure_ascii=False).encode()
    else:
        raise CallError(f"unsupported content type {kind}: only {FORM} and application/json are written here")
    _set_raw_body(call, content)
    call.ex.request.headers.set("Content-Type", kind)
    return True


def _enable_buffering(call: Call) -> None:
    call.only_in(*_BEFORE)
    call.ex.wants_whole_response = True


FUNCTIONS: Final[dict[str, Function]] = {
    "kong.service.set_upstream": _set_upstream,
    "kong.service.set_target": _set_target,
    "kong.service.request.set_scheme": _set_scheme,
    "kong.service.request.set_path": _set_path,
    "kong.service.request.set_raw_query": _set_raw_query,
    "kong.service.request.set_query": _set_query,
    "kong.service.request.set_method": _set_method,
    "kong.service.request.set_header": _set_header,
    "kong.service.request.add_header": _add_header,
    "kong.service.request.clear_header": _clear_header,
    "kong.service.request.set_headers": _set_headers,
    "kong.service.request.set_raw_body": _set_raw_body,
    "kong.service.request.set_body": _set_body,
    "kong.service.request.enable_buffering": _enable_buffering,
}
