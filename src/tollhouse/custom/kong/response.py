"""`kong.response` and `kong.service.response`: the answer to the client, and the service's own."""

import json
from collections.abc import Mapping
from typing import Any, Final

from tollhouse.custom.kong.call import Call, CallError, Function, each_field, grouped, sent, shown
from tollhouse.errors import Reject
from tollhouse.wire.headers import Headers

_WRITING: Final = ("rewrite", "access", "response", "header_filter")


def _status(call: Call) -> int:
    return call.answer.status if call.answer is not None else 200


def _early(call: Call) -> Headers:
    return Headers.new(field for fields in call.early.values() for field in fields)


def _fields(call: Call) -> Headers:
    return call.answer.headers if call.answer is not None else _early(call)


def _header(call: Call, name: str) -> str | None:
    value = _fields(call).values.get(sent(name).lower())
    return shown(value) if value is not None else None


def _headers(call: Call, max_headers: int | None = None) -> dict[str, str | list[str]]:
    return dict(list(grouped(_fields(call).grouped()).items())[: max_headers or 100])


def _source(call: Call) -> str:
    call.only_in("response", "header_filter", "body_filter", "log")
    if call.answer is not None and call.answer.from_upstream:
        return "service"
    return "error" if call.ex.unexpected else "exit"


def _set_status(call: Call, status: int) -> None:
    call.only_in(*_WRITING)
    _judge_status(status)
    answer = call.answer
    if answer is not None:
        answer.status, answer.line = status, b""


def _judge_status(status: Any) -> None:
    if not isinstance(status, int) or not 100 <= status <= 599:
        raise CallError("code must be a number between 100 and 599")


def _add(call: Call, name: str, value: Any) -> None:
    call.only_in(*_WRITING)
    for field, one in each_field({name: value}):
        if call.answer is not None:
            call.answer.headers.add(field, one)
        else:
            call.early.setdefault(field.lower(), []).append((field, one))


def _clear(call: Call, name: str) -> None:
    call.only_in(*_WRITING)
    key = sent(name).lower()
    if call.answer is not None:
        call.answer.headers.remove(key)
    else:
        call.early.pop(key, None)


def _set(call: Call, name: str, value: Any) -> None:
    fields = each_field({name: value})  # what is refused must not have cleared anything
    _clear(call, name)
    for field, one in fields:
        _add(call, field, one.encode("latin-1"))


def _set_all(call: Call, headers: Any) -> None:
    each_field(headers)
    for name, value in headers.items():
        _set(call, name, value)


def _exit(call: Call, status: int, body: Any = None, headers: Any = None) -> None:
    call.only_in(*_WRITING)
    _judge_status(status)
    fields = each_field(headers or {})
    if isinstance(body, Mapping | list | tuple):
        content: Any = json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()
        if not any(name.lower() == "content-type" for name, _ in fields):
            fields.append(("Content-Type", "application/json; charset=utf-8"))
    elif body is None or isinstance(body, bytes):
        content = body
    else:
        content = sent_body(body)
    fields = [field for field in fields if field[0].lower() not in ("content-length", "transfer-encoding")]
    call.exit = Reject(status, body=content, fields=fields, exact=True)


def sent_body(body: Any) -> bytes:
    """A text for a body. Raises `CallError` for what is none."""
    if not isinstance(body, str):
        raise CallError(f"body must be a string, bytes or table, not {type(body).__name__}")
    return body.encode("utf-8", "surrogateescape")


def _error(call: Call, status: int, message: str | None = None, headers: Any = None) -> None:
    call.only_in(*_WRITING)
    _judge_status(status)
    if status < 400:
        raise CallError("code must be a number between 400 and 599")
    kept = [
        (name, value)
        for name, value in each_field(headers or {})
        if name.lower() not in ("content-length", "content-type")
    ]
    call.exit = Reject(status, message, fields=kept)


# kong.service.response


def _of_service(call: Call) -> Headers:
    call.only_in("response", "header_filter", "body_filter", "log")
    response = call.ex.response
    if response is None or not response.from_upstream:
        return Headers.new()
    return response.headers


def _service_header(call: Call, name: str) -> str | None:
    value = _of_service(call).values.get(sent(name).lower())
    return shown(value) if value is not None else None


def _service_headers(call: Call, max_headers: int | None = None) -> dict[str, str | list[str]]:
    return dict(list(grouped(_of_service(call).grouped()).items())[: max_headers or 100])


def _service_status(call: Call) -> int | None:
    call.only_in("response", "header_filter", "body_filter", "log")
    return call.ex.upstream_status or None


def _service_raw_body(call: Call) -> bytes:
    call.only_in("response")
    response = call.ex.response
    return (response.content or b"") if response is not None else b""


def _service_body(call: Call, mimetype: str | None = None, max_args: int | None = None) -> Any:
    content = _service_raw_body(call)
    kind = mimetype or (_service_header(call, "content-type") or "").partition(";")[0].strip()
    if kind != "application/json":
        raise CallError(f"content type '{kind}' cannot be decoded: use get_raw_body")
    try:
        return json.loads(content)
    except ValueError:
        raise CallError("invalid json body") from None


FUNCTIONS: Final[dict[str, Function]] = {
    "kong.response.get_status": _status,
    "kong.response.get_header": _header,
    "kong.response.get_headers": _headers,
    "kong.response.get_source": _source,
    "kong.response.set_status": _set_status,
    "kong.response.set_header": _set,
    "kong.response.add_header": _add,
    "kong.response.clear_header": _clear,
    "kong.response.set_headers": _set_all,
    "kong.response.exit": _exit,
    "kong.response.error": _error,
    "kong.service.response.get_status": _service_status,
    "kong.service.response.get_header": _service_header,
    "kong.service.response.get_headers": _service_headers,
    "kong.service.response.get_raw_body": _service_raw_body,
    "kong.service.response.get_body": _service_body,
}
