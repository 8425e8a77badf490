"""`kong.request` and `kong.client`: the request, and who sent it."""

import json
import ssl
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.custom.kong.call import Call, CallError, Function, grouped, sent, shown
from tollhouse.model.schema import Ref
from tollhouse.pdk.body import FORM, MULTIPART, body_arguments
from tollhouse.pdk.caller import Caller
from tollhouse.wire.uri import arguments

_MAX: Final = 100


@dataclass(frozen=True, slots=True)
class _Given:
    """A credential that the plugin knows and the configuration does not."""

    id: str
    identifier: str
    consumer: Ref | None = None


def _host(call: Call) -> str:
    host = call.ex.request.headers.values.get("host", "").lower()
    return shown(host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() and ":" in host else host)


def _forwarded(call: Call, name: str) -> str | None:
    """A forwarded header, if the peer is one that is believed."""
    trusted = call.services.trusts(call.ex.client.peer_ip)
    value = call.ex.request.headers.values.get(name) if trusted else None
    return shown(value.partition(",")[0].strip()) if value else None


def _forwarded_port(call: Call) -> int:
    port = _forwarded(call, "x-forwarded-port")
    return int(port) if port and port.isdigit() else call.ex.client.port


def _prefix(call: Call) -> str | None:
    given = _forwarded(call, "x-forwarded-prefix")
    matched = call.ex.matched
    return given or (shown(matched.prefix) if matched is not None and matched.prefix else None)


def _with_query(call: Call) -> str:
    target = call.ex.request.target
    return shown(target.path if target.query is None else f"{target.path}?{target.query}")


def _query(call: Call, max_args: int | None = None) -> dict[str, Any]:
    limit = _limit(max_args)
    found: dict[str, Any] = {}
    for number, (name, value) in enumerate(arguments(call.ex.request.target.query)):
        if number >= limit:
            break
        key, one = shown(name), value if value is True else shown(str(value))
        earlier = found.get(key)
        found[key] = (
            one if key not in found else [*(earlier if isinstance(earlier, list) else [earlier]), one]
        )
    return found


def _limit(number: Any) -> int:
    if number is None:
        return _MAX
    if not isinstance(number, int) or not 1 <= number <= 1000:
        raise CallError("the largest number of elements must be between 1 and 1000")
    return number


def _query_argument(call: Call, name: str) -> Any:
    value = _query(call, 1000).get(name)
    return value[0] if isinstance(value, list) else value


def _header(call: Call, name: str) -> str | None:
    value = call.ex.request.headers.values.get(sent(name).lower())
    return shown(value) if value is not None else None


def _headers(call: Call, max_headers: int | None = None) -> dict[str, str | list[str]]:
    fields = grouped(call.ex.request.headers.grouped())
    return dict(list(fields.items())[: _limit(max_headers)])


def _raw_body(call: Call) -> bytes:
    if call.phase == "rewrite":
        raise CallError("the request body is not there yet in the rewrite phase")
    content = call.ex.request.content
    if content is None and call.ex.client.body is not None:
        raise CallError("the request body was not read: a plugin that wants it has an access method")
    return content or b""


def _body(call: Call, mimetype: str | None = None, max_args: int | None = None) -> Any:
    _limit(max_args)
    content, kind = _raw_body(call), mimetype or call.ex.request.media_type
    if kind == "application/json":
        try:
            return json.loads(content)
        except ValueError:
            raise CallError("invalid json body") from None
    if kind not in (FORM, MULTIPART):
        raise CallError(f"unsupported content type '{kind}'")
    found = body_arguments(call.ex.request)
    return {shown(name): _shown(value) for name, value in found.items()}


def _shown(value: Any) -> Any:
    if isinstance(value, list):
        return [_shown(one) for one in value]
    return shown(value) if isinstance(value, str) else value


def _captures(call: Call) -> dict[str, Any]:
    captures = call.ex.matched.captures if call.ex.matched is not None else None
    if captures is None:
        return {"named": {}, "unnamed": []}
    named, unnamed = captures
    return {
        "named": {name: shown(value) for name, value in named.items()},
        "unnamed": [shown(value) if value is not None else None for value in unnamed],
    }


def _started(call: Call) -> int:
    services = call.services
    return int((services.wall_clock() - services.clock() + call.ex.started) * 1000)


# kong.client


def _protocol(call: Call, allow_terminated: bool | None = None) -> str | None:
    if call.ex.route is None:
        return None
    scheme = _forwarded(call, "x-forwarded-proto") if allow_terminated else None
    return scheme or call.ex.client.scheme


def _consumer(call: Call) -> dict[str, Any] | None:
    consumer = call.ex.consumer
    return call.services.records.entity(consumer) if consumer is not None else None


def _credential(call: Call) -> dict[str, Any] | None:
    credential = call.ex.credential
    return call.services.records.entity(credential) if credential is not None else None


def _load_consumer(call: Call, consumer_id: str, by_username: bool | None = None) -> dict[str, Any] | None:
    directory = call.services.directory
    found = directory.consumer(consumer_id) if by_username else directory.consumer_by("id", consumer_id)
    return call.services.records.entity(found) if found is not None else None


def _authenticate(call: Call, consumer: Any, credential: Any) -> None:
    call.only_in("access")
    if consumer is None and credential is None:
        raise CallError("either credential or consumer must be provided")
    found = None
    if consumer is not None:
        found = call.services.directory.consumer_by("id", str(consumer.get("id", "")))
        if found is None:
            raise CallError("there is no consumer with that id")
    known = call.ex.credential
    if credential is not None and (known is None or known.id != credential.get("id")):
        known = _Given(str(credential.get("id", "")), str(credential.get("key") or credential.get("id", "")))
    call.ex.authenticate(Caller(found, known if credential is not None else None))


def _chain(call: Call) -> str | None:
    certificates = call.ex.client.certificates
    return "".join(map(ssl.DER_cert_to_PEM_cert, certificates)) or None


FUNCTIONS: Final[dict[str, Function]] = {
    "kong.request.get_scheme": lambda call: call.ex.client.scheme,
    "kong.request.get_host": _host,
    "kong.request.get_port": lambda call: call.ex.client.port,
    "kong.request.get_forwarded_scheme": lambda call: (
        _forwarded(call, "x-forwarded-proto") or call.ex.client.scheme
    ),
    "kong.request.get_forwarded_host": lambda call: _forwarded(call, "x-forwarded-host") or _host(call),
    "kong.request.get_forwarded_port": _forwarded_port,
    "kong.request.get_forwarded_path": lambda call: (
        _forwarded(call, "x-forwarded-path") or shown(call.ex.request.target.path)
    ),
    "kong.request.get_forwarded_prefix": _prefix,
    "kong.request.get_http_version": lambda call: 1.1 if call.ex.request.minor else 1.0,
    "kong.request.get_method": lambda call: call.ex.request.method,
    "kong.request.get_path": lambda call: shown(call.ex.request.target.normal),
    "kong.request.get_raw_path": lambda call: shown(call.ex.request.target.path),
    "kong.request.get_path_with_query": _with_query,
    "kong.request.get_raw_query": lambda call: shown(call.ex.request.target.query or ""),
    "kong.request.get_query_arg": _query_argument,
    "kong.request.get_query": _query,
    "kong.request.get_header": _header,
    "kong.request.get_headers": _headers,
    "kong.request.get_raw_body": _raw_body,
    "kong.request.get_body": _body,
    "kong.request.get_start_time": _started,
    "kong.request.get_uri_captures": _captures,
    "kong.client.get_ip": lambda call: call.ex.client.peer_ip,
    "kong.client.get_forwarded_ip": lambda call: call.ex.client_ip,
    "kong.client.get_port": lambda call: call.ex.client.peer_port,
    "kong.client.get_forwarded_port": lambda call: call.ex.client.peer_port,
    "kong.client.get_protocol": _protocol,
    "kong.client.get_consumer": _consumer,
    "kong.client.get_credential": _credential,
    "kong.client.load_consumer": _load_consumer,
    "kong.client.authenticate": _authenticate,
    "kong.client.tls.get_full_client_certificate_chain": _chain,
}
