"""The other parts of `kong`: ctx, log, node, router, nginx, ip, vault; and what has no meaning here."""

import json
import logging
import re
from collections.abc import Callable
from typing import Any, Final
from urllib.parse import parse_qsl

from tollhouse.custom.kong.call import Call, CallError, Function, shown
from tollhouse.model.constraints import is_reference
from tollhouse.pdk.log_fields import LogFields
from tollhouse.pdk.lua import Shared

_REFERENCE: Final = re.compile(
    r"\{vault://(?P<name>[^/?#}]+)/(?P<resource>[^/?#}]+)(?:/(?P<key>[^?#}]+))?"
    r"(?:\?(?P<config>[^#}]*))?(?:#(?P<version>[0-9]+))?\}"
)
_LEVELS: Final = {
    "": logging.INFO,
    ".alert": logging.CRITICAL,
    ".crit": logging.CRITICAL,
    ".err": logging.ERROR,
    ".warn": logging.WARNING,
    ".notice": logging.INFO,
    ".info": logging.INFO,
    ".debug": logging.DEBUG,
    ".inspect": logging.DEBUG,
    ".deprecation": logging.WARNING,
}


def _logs(level: int) -> Function:
    def write(call: Call, *arguments: Any) -> None:
        text = "".join(one if isinstance(one, str) else json.dumps(one, default=str) for one in arguments)
        logging.getLogger("tollhouse.plugins").log(level, "[%s] %s", call.name, text)

    return write


def _serialize(call: Call) -> str:
    return json.dumps(call.services.records.record(call.ex), default=str)


def _set_serialize_value(call: Call, key: str, value: Any, options: Any = None) -> None:
    mode = (options or {}).get("mode", "set")
    if mode != "set":
        raise CallError(f"mode '{mode}' is not supported here: only 'set' is")
    call.ex.slot(LogFields).put(key, value)


def _get_shared(call: Call, key: str) -> Any:
    return call.ex.slot(Shared).get(key)


def _set_shared(call: Call, key: str, value: Any) -> None:
    call.ex.slot(Shared)[key] = value


def _entity(of: str) -> Function:
    def read(call: Call) -> dict[str, Any] | None:
        found = getattr(call.ex, of)
        return call.services.records.entity(found) if found is not None else None

    return read


_VARIABLES: Final[dict[str, Callable[[Call], Any]]] = {
    "request_id": lambda call: call.ex.request_id,
    "request_method": lambda call: call.ex.request.method,
    "request_uri": lambda call: shown(call.ex.request.target.raw),
    "uri": lambda call: shown(call.ex.request.target.normal),
    "args": lambda call: shown(call.ex.request.target.query or ""),
    "scheme": lambda call: call.ex.client.scheme,
    "remote_addr": lambda call: call.ex.client_ip,
    "remote_port": lambda call: str(call.ex.client.peer_port),
    "realip_remote_addr": lambda call: call.ex.client.peer_ip,
    "server_port": lambda call: str(call.ex.client.port),
    "host": lambda call: shown(call.ex.request.headers.values.get("host", "").partition(":")[0].lower()),
    "connection": lambda call: str(call.ex.client.number),
    "connection_requests": lambda call: str(call.ex.client.requests),
    "pid": lambda call: str(call.services.node.pid),
    "hostname": lambda call: call.services.node.hostname,
    "status": lambda call: str(call.answer.status) if call.answer is not None else "000",
    "bytes_sent": lambda call: str(call.ex.bytes_out),
    "server_protocol": lambda call: f"HTTP/1.{call.ex.request.minor}",
}


def _variable(call: Call, name: str) -> Any:
    if name in _VARIABLES:
        return _VARIABLES[name](call)
    if name.startswith("http_"):
        value = call.ex.request.headers.values.get(name[5:].replace("_", "-").lower())
        return shown(value) if value is not None else None
    raise CallError(f"there is no nginx here, and its variable '{name}' has no counterpart")


def _secret(call: Call, reference: str) -> str:
    if not is_reference(reference):
        raise CallError("could not parse reference")
    try:
        return call.services.secret(reference)
    except LookupError as error:
        raise CallError(f"could not get value from vault: {error}") from None


def _parse_reference(call: Call, reference: str) -> dict[str, Any]:
    found = _REFERENCE.fullmatch(reference)
    if found is None:
        raise CallError(f"not a reference: {reference}")
    parts = {name: value for name, value in found.groupdict().items() if value is not None}
    config = dict(parse_qsl(parts.pop("config", "")))
    return {**parts, **({"config": config} if config else {})}


def _nothing_kept(call: Call) -> None:
    """Secrets are read anew each time, so there is nothing to flush."""


def _nowhere(name: str, why: str) -> Function:
    def refuse(call: Call, *arguments: Any) -> None:
        raise CallError(f"{name} has no meaning in Tollhouse: {why}")

    return refuse


_NO_MEANING: Final = {
    "kong.client.tls.disable_session_reuse": "TLS handshakes are over before plugins run",
    "kong.client.tls.request_client_certificate": "the listener asks for certificates, not a plugin",
    "kong.client.tls.set_client_verify": "there is no nginx whose variable this would set",
    "kong.cluster.get_id": "nodes share a database, and it has no id of its own",
    "kong.enterprise_edition.jwe.decode": "it is part of Kong's enterprise edition",
    "kong.enterprise_edition.jwe.decrypt": "it is part of Kong's enterprise edition",
    "kong.enterprise_edition.jwe.encrypt": "it is part of Kong's enterprise edition",
    "kong.nginx.get_statistics": "ask the status API, or the prometheus plugin",
    "kong.nginx.get_tls1_version_str": "there is no nginx",
    "kong.node.get_memory_stats": "there are no Lua VMs; ask the status API for memory",
    "kong.service.set_tls_verify": "set `tls_verify` on the service",
    "kong.service.set_tls_verify_depth": "set `tls_verify_depth` on the service",
    "kong.service.request.disable_tls": "use kong.service.request.set_scheme('http')",
    "kong.vault.update": "references in the configuration are resolved before a plugin gets it",
}


FUNCTIONS: Final[dict[str, Function]] = {
    **{f"kong.log{name}": _logs(level) for name, level in _LEVELS.items()},
    "kong.log.serialize": _serialize,
    "kong.log.set_serialize_value": _set_serialize_value,
    "kong.ctx.shared.get": _get_shared,
    "kong.ctx.shared.set": _set_shared,
    "kong.nginx.shared.get": _get_shared,
    "kong.nginx.shared.set": _set_shared,
    "kong.nginx.get_ctx": _get_shared,
    "kong.nginx.set_ctx": _set_shared,
    "kong.nginx.get_var": _variable,
    "kong.nginx.get_subsystem": lambda call: "http",
    "kong.nginx.req_start_time": lambda call: (
        call.services.wall_clock() - call.services.clock() + call.ex.started
    ),
    "kong.node.get_id": lambda call: call.services.node.node_id,
    "kong.node.get_hostname": lambda call: call.services.node.hostname,
    "kong.plugin.get_id": lambda call: call.plugin_id,
    "kong.router.get_route": _entity("route"),
    "kong.router.get_service": _entity("service"),
    "kong.ip.is_trusted": lambda call, address: call.services.trusts(address),
    "kong.vault.get": _secret,
    "kong.vault.is_reference": lambda call, reference: is_reference(reference),
    "kong.vault.parse_reference": _parse_reference,
    "kong.vault.flush": _nothing_kept,
    **{name: _nowhere(name, why) for name, why in _NO_MEANING.items()},
}
