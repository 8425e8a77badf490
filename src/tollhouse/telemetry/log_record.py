"""Kong's log object: everything about one exchange, as logging plugins send it."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import msgspec

from tollhouse.pdk.exchange import Exchange, Try
from tollhouse.pdk.log_fields import LogFields
from tollhouse.pdk.session import StreamSession
from tollhouse.pdk.timings import Timings
from tollhouse.pdk.usage import Metered, OwnCalls

_SECRET_HEADERS: Final = (
    *("authorization", "proxy-authorization"),
    *("x-litellm-api-key", "x-portkey-api-key", "x-portkey-virtual-key", "helicone-auth"),
)
_CLIENT_CLOSED: Final = 499
_PARTS: Final = (
    "prompt_tokens", "completion_tokens", "cached_tokens", "cache_write_tokens", "cache_write_hour_tokens",
    "prompt_audio_tokens", "completion_audio_tokens", "reasoning_tokens",
    "prompt_image_tokens", "completion_image_tokens", "audio_ms", "characters",
)  # fmt: skip


class LogRecords:
    """Makes log objects. `wall_at` tells the time of day, in seconds, for an instant of the node's clock."""

    def __init__(self, wall_at: Callable[[float], float], workspace_id: str) -> None:
        self._wall_at = wall_at
        self.workspace_id = workspace_id

    def record(self, ex: Exchange) -> dict[str, Any]:
        """The log object of a finished exchange."""
        matched = ex.matched
        response = ex.response
        record: dict[str, Any] = {
            "request": self._request(ex),
            "upstream_uri": (ex.upstream_target or matched.upstream_target) if matched is not None else "",
            "upstream_status": _upstream_status(ex),
            "response": {
                "status": response.status if response is not None else _CLIENT_CLOSED,
                "headers": _response_headers(ex),
                "size": ex.bytes_out,
            },
            "latencies": _latencies(ex),
            "tries": self.tries(ex.tries, _answering_try(ex)),
            "client_ip": ex.client_ip,
            "started_at": int(self._wall_at(ex.started) * 1000),
            "source": "upstream" if response is not None and response.from_upstream else "kong",
            "workspace": self.workspace_id,
            "workspace_name": "default",
        }
        record |= self._concerned(ex)
        _put_calls(record, ex)
        timings = ex.peek(Timings)
        if timings is not None and timings.shown:
            record["timing"] = timing_block(ex, timings)
        added = ex.peek(LogFields)
        if added is not None:
            added.fill(record)
        return record

    def _concerned(self, ex: Exchange) -> dict[str, Any]:
        """Whose request it was, and for what."""
        shown: dict[str, Any] = {}
        if ex.route is not None:
            shown["route"] = self.entity(ex.route)
        if ex.service is not None:
            shown["service"] = self.entity(ex.service)
        if ex.consumer is not None:
            shown["consumer"] = _without_nulls(ex.consumer)
        if ex.credential is not None:
            shown["authenticated_entity"] = {"id": ex.credential.id}
        if ex.correlation_id is not None:
            shown["correlation_id"] = ex.correlation_id
        return shown

    def entity(self, value: Any) -> dict[str, Any]:
        """A route or service in Kong's shape, without what is not set."""
        shown = {**_without_nulls(value), "ws_id": self.workspace_id}
        if "expression" not in shown:
            shown.pop("priority", None)  # the other router flavours do not know it
        return shown

    def _request(self, ex: Exchange) -> dict[str, Any]:
        request, client = ex.request, ex.client
        headers = request.headers.grouped()
        for name in _SECRET_HEADERS:
            if name in headers:
                headers[name] = "REDACTED"
        host = request.headers.values.get("host", "").partition(":")[0]
        shown = {
            "id": ex.request_id,
            "uri": request.target.raw,
            "url": f"{client.scheme}://{host}:{client.port}{request.target.raw}",
            "querystring": request.arguments(),
            "method": request.method,
            "headers": headers,
            "size": ex.bytes_in,
        }
        if client.tls is not None:
            version, cipher = client.tls
            # One that fails verification does not get through the handshake.
            verified = "SUCCESS" if client.certificates else "NONE"
            shown["tls"] = {"version": version, "cipher": cipher, "client_verify": verified}
        return shown

    def tries(self, failed: Sequence[Try] | None, last: Try | None) -> list[dict[str, Any]]:
        """Attempts at targets: those that failed, and the one that did not."""
        tries = []
        for attempt in (*(failed or ()), *([last] if last is not None else ())):
            started = self._wall_at(attempt.started)
            taken = max(0.0, attempt.ended - attempt.started)
            shown: dict[str, Any] = {
                "ip": attempt.ip,
                "port": attempt.port,
                "balancer_start": int(started * 1000),
                "balancer_start_ns": int(started * 1_000_000) * 1000,
                "balancer_latency": int(taken * 1000),
                "balancer_latency_ns": int(taken * 1_000_000_000),
            }
            if attempt.state is not None:
                shown["state"], shown["code"] = attempt.state, attempt.code
            tries.append(shown)
        return tries

    def session(self, session: StreamSession) -> dict[str, Any]:
        """The log object of a connection without HTTP that has ended, as Kong's stream subsystem has it."""
        record: dict[str, Any] = {
            "session": {
                "received": session.received,
                "sent": session.sent,
                "status": session.status,
                "server_port": session.port,
            },
            "upstream": {"received": session.upstream_received, "sent": session.upstream_sent},
            "latencies": {"kong": session.kong_ms, "session": session.session_ms},
            "tries": self.tries(session.tries, session.relayed_to),
            "client_ip": session.client_ip,
            "started_at": int(self._wall_at(session.started) * 1000),
            "workspace": self.workspace_id,
            "workspace_name": "default",
        }
        if session.tls is not None:
            tls = session.tls
            record["session"]["tls"] = {
                "version": tls.version, "cipher": tls.cipher, "client_verify": "NONE",
            }  # fmt: skip
        for name, entity in (("route", session.route), ("service", session.service)):
            if entity is not None:
                record[name] = self.entity(entity)
        return record


def _answering_try(ex: Exchange) -> Try | None:
    """The attempt that the client's answer came from."""
    if ex.peer is None or ex.response is None or not ex.response.from_upstream:
        return None
    return Try(ex.peer.host, ex.peer.port, ex.sent_at)


def _put_calls(record: dict[str, Any], ex: Exchange) -> None:
    """Calls of models: the client's, and those that the gateway made."""
    metered = ex.peek(Metered)
    if metered is not None and metered.statistics:
        record["ai"] = {"proxy": ai_block(metered), "call": call_block(metered)}
        if metered.earlier:
            record["ai"]["earlier_calls"] = [earlier_block(earlier) for earlier in metered.earlier]
    own = ex.peek(OwnCalls)
    if own is not None:
        _put_own_calls(record, own)


def _put_own_calls(record: dict[str, Any], own: OwnCalls) -> None:
    """Calls that plugins made: Kong's object under the plugin's name, and all they cost in a list."""
    told = [(purpose, metered) for purpose, metered in own.made if metered.statistics]
    if not told:
        return
    block = record.setdefault("ai", {})
    for purpose, metered in told:
        block[purpose] = {**ai_block(metered), "cache": {}}
    block["own_calls"] = [{"purpose": purpose, **earlier_block(metered)} for purpose, metered in told]


def _without_nulls(value: Any) -> dict[str, Any]:
    shown: Mapping[str, Any] = msgspec.to_builtins(value)
    return {name: field for name, field in shown.items() if field is not None}


def _upstream_status(ex: Exchange) -> str | int:
    """The statuses of all attempts, as nginx lists them; one that failed has the one it would end in.

    Where Kong holds the whole answer back, a number: it asks for the answer itself then, not nginx.
    """
    if ex.wants_whole_response and ex.upstream_status:
        return ex.upstream_status
    statuses = [attempt.code for attempt in ex.tries or ()]
    answered = ex.response is not None and ex.response.from_upstream
    if ex.upstream_status and (answered or not statuses):
        statuses.append(ex.upstream_status)
    return ", ".join(str(status) for status in statuses if status)


def _response_headers(ex: Exchange) -> dict[str, str | list[str]]:
    """What the client got: the answer's fields, with those that the gateway added."""
    if ex.response is None:
        return {}
    headers = ex.response.headers.grouped()
    for fields in ex.early_headers:
        headers.update(fields.values)
    headers.setdefault("connection", "keep-alive" if ex.request.keep_alive else "close")
    for line in ex.gateway_fields.split("\r\n"):
        name, colon, value = line.partition(": ")
        if colon and name != "Date":  # nginx adds it later than Kong looks
            headers[name.lower()] = value
    return headers


def _latencies(ex: Exchange) -> dict[str, int]:
    total = int((ex.ended_at - ex.started) * 1000)
    if not ex.sent_at or not ex.answered_at:
        return {"request": total, "kong": total, "proxy": -1, "receive": 0}
    proxy = int((ex.answered_at - ex.sent_at) * 1000)
    receive = int((ex.ended_at - ex.answered_at) * 1000)
    return {"request": total, "kong": max(0, total - proxy - receive), "proxy": proxy, "receive": receive}


def timing_block(ex: Exchange, timings: Timings) -> dict[str, Any]:
    """Where the gateway's own time went, in milliseconds: finding the route, each plugin by phase."""
    waited = ex.ended_at - ex.sent_at if ex.sent_at and ex.answered_at else 0.0
    phases: dict[str, dict[str, float]] = {}
    for (phase, plugin), (_, _, took) in timings.entries.items():
        if plugin != "timing":
            phases.setdefault(phase, {})[plugin] = round(took * 1000, 3)
    gateway = round((ex.ended_at - ex.started - waited) * 1000, 3)
    block: dict[str, Any] = {"gateway": gateway, "plugins": phases}
    routed = timings.routed_at()
    if routed is not None:
        block["router"] = round((routed - ex.started) * 1000, 3)
    return block


def ai_block(metered: Metered) -> dict[str, Any]:
    """Kong's `ai.proxy` object."""
    usage = metered.usage
    completion = usage.completion_tokens
    # As in Kong 0 where nobody knows the price; `call_block` tells the two apart.
    cost = (metered.cost_nano_usd or 0) / 1e9
    block: dict[str, Any] = {
        "meta": {
            "plugin_id": metered.plugin_id,
            "provider_name": metered.provider,
            "request_model": metered.model,
            "response_model": metered.response_model or metered.model,
            "llm_latency": metered.latency_ms,
        },
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": completion,
            "total_tokens": usage.total_tokens,
            "time_per_token": metered.latency_ms / completion if completion else 0,
            "cost": int(cost) if cost == int(cost) else cost,
        },
    }
    if metered.tried is not None:
        block["tried_targets"] = metered.tried
    if metered.payload is not None:
        withheld = metered.withheld
        block["payload"] = {part: text for part, text in metered.payload.items() if part not in withheld}
    return block


def earlier_block(metered: Metered) -> dict[str, Any]:
    """A call beside the one that the client's answer came from."""
    return {"provider": metered.provider, "model": metered.model, **call_block(metered)}


def call_block(metered: Metered) -> dict[str, Any]:
    """What Kong's object has no place for, and `tollhouse cost explain` reads: where the numbers are from,
    their parts, and the row of prices."""
    usage = metered.usage
    tokens = {name: getattr(usage, name) for name in _PARTS if getattr(usage, name)}
    block: dict[str, Any] = {
        "request_mode": "stream" if metered.streamed else "oneshot",
        "usage_source": "estimated" if usage.estimated else "provider",
        "tokens": tokens,
        "malformed_events": metered.malformed_events,
        "cost_nano_usd": metered.cost_nano_usd,
        "unpriced": metered.cost_nano_usd is None,
        "price": metered.price,
    }
    if metered.unshown:
        block["unshown"] = list(metered.unshown)
    if usage.billed is not None:
        block["billed"] = usage.billed
    if metered.first_token_ms is not None:
        block["first_token_ms"] = metered.first_token_ms
    if metered.told is not None:
        block["client"] = metered.told
    if metered.role:
        block["role"] = metered.role
    if metered.error:
        block["error"] = metered.error
    return block
