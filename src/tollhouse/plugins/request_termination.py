"""request-termination: answers in place of the upstream."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from tollhouse.model.checks import Custom
from tollhouse.model.validators import header_name
from tollhouse.pdk import Exchange, Plugin, Reject, setting

_MESSAGES: Final[Mapping[int, str]] = {
    401: "Unauthorized",
    404: "Not found",
    405: "Method not allowed",
    500: "An unexpected error occurred",
    502: "Bad Gateway",
    503: "Service unavailable",
}


def _exclusive(config: Mapping[str, Any]) -> str | None:
    message, body, content_type = config.get("message"), config.get("body"), config.get("content_type")
    if message and (content_type or body):
        return "message cannot be used with content_type or body"
    if content_type and not body:
        return "content_type requires a body"
    if config.get("echo") and (content_type or body):
        return "echo cannot be used with content_type and body"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    status_code: int = setting(503, required=True, between=(100, 599), doc="Status of the answer.")
    message: str | None = setting(None, doc="Message of a JSON answer.")
    content_type: str | None = setting(None, doc="Content type of `body`.")
    body: str | None = setting(None, doc="The answer's body, as it is.")
    echo: bool = setting(False, required=True, doc="Answer with the request as the gateway saw it.")
    trigger: str | None = setting(
        None, validator=header_name, doc="Answer only requests with this header or query argument."
    )

    CHECKS = (Custom(_exclusive),)


class RequestTermination(Plugin[Config]):
    name = "request-termination"
    priority = 2
    Config = Config

    def prepare(self) -> None:
        # What is echoed includes the body, of which this much is read.
        self.request_body_limit = 1024 * 1024 if self.conf.echo else None

    def access(self, ex: Exchange) -> None:
        conf = self.conf
        if conf.trigger is not None and not self._triggered(ex, conf.trigger):
            return
        status = conf.status_code
        message = conf.message or _MESSAGES.get(status)
        if conf.echo:
            raise Reject(status, body=self._echo(ex, message))
        if conf.body is not None:
            headers = {"Content-Type": conf.content_type or "application/json; charset=utf-8"}
            raise Reject(status, body=conf.body, headers=headers)
        raise Reject(status, body={"message": message} if message else None, exact=True)

    def _triggered(self, ex: Exchange, trigger: str) -> bool:
        return trigger.lower() in ex.request.headers or trigger in ex.request.arguments()

    def _echo(self, ex: Exchange, message: str | None) -> dict[str, Any]:
        node = self.services.node
        request = ex.request
        captures = ex.matched.captures if ex.matched and ex.matched.captures else ({}, ())
        host = request.headers.values.get("host", "")
        return {
            "message": message,
            "kong": {"node_id": node.node_id, "worker_pid": node.pid, "hostname": node.hostname},
            "request": {
                "scheme": ex.client.scheme,
                "host": host.partition(":")[0].lower(),
                "port": ex.client.port,
                "path": request.target.path,
                "method": request.method,
                "headers": request.headers.grouped(),
                "query": request.arguments(),
                "raw_body": (request.content or b"").decode("utf-8", "replace"),
                "uri_captures": {"named": captures[0], "unnamed": list(captures[1])},
            },
            "matched_route": self.services.records.entity(ex.route),
            "matched_service": self.services.records.entity(ex.service) if ex.service else None,
        }
