"""http-log: the records of exchanges, sent to an HTTP server.

One record is sent by itself where `queue.max_batch_size` is 1, else a JSON array of those that have
come together. A collector that wants lines in place of an array gets them with a batch size of 1.
"""

import logging
from base64 import b64encode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal
from urllib.parse import unquote, urlsplit

from tollhouse.model.checks import Custom
from tollhouse.model.common import PROTOCOLS
from tollhouse.model.validators import header_name, url
from tollhouse.pdk import Plugin, item, setting
from tollhouse.pdk.delivery import QueueSettings, Undelivered, with_older_names
from tollhouse.pdk.records import Logged, RecordSettings, encoder

log = logging.getLogger("tollhouse.plugins")

_LARGEST_SUCCESS: Final = 299


def _one_authorization(config: Mapping[str, Any]) -> str | None:
    headers, endpoint = config.get("headers") or {}, config.get("http_endpoint")
    named = any(name.lower() == "authorization" for name in headers)
    if named and isinstance(endpoint, str) and "@" in urlsplit(endpoint).netloc:
        return "specifying both an 'Authorization' header and user info in 'http_endpoint' is not allowed"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RecordSettings):
    http_endpoint: str = setting(
        required=True,
        referenceable=True,
        encrypted=True,
        validator=url,
        doc="Where records are sent. User and password in it are sent as `Authorization: Basic`. As in Kong, "
        "a query in it is not sent: put tokens into the path or into `headers`.",
    )
    method: Literal["POST", "PUT", "PATCH"] = setting("POST", doc="The method of those requests.")
    content_type: Literal["application/json", "application/json; charset=utf-8"] = setting(
        "application/json", doc="Their `Content-Type`."
    )
    timeout: float = setting(10_000, unit="ms", doc="How long one request may take, in milliseconds.")
    keepalive: float = setting(
        60_000,
        unit="ms",
        doc="How long an idle connection is kept, in milliseconds; never longer than "
        "`upstream_keepalive_idle_timeout` allows.",
    )
    ssl_verify: bool = setting(
        False, newer=True, doc="Refuse a server whose certificate is not trusted for its name."
    )
    retry_count: int | None = setting(
        None, doc="Most retries of a batch, beside `queue.max_retry_time`. Kong's older field."
    )
    queue_size: int | None = setting(None, doc="Older name of `queue.max_batch_size`.")
    flush_timeout: float | None = setting(
        None, unit="s", doc="Older name of `queue.max_coalescing_delay`, in seconds."
    )
    headers: dict[str, str] | None = setting(
        None,
        keys=item(
            match_none=(
                ("^[Hh][Oo][Ss][Tt]$", "cannot contain 'Host' header"),
                (
                    "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Ll][Ee][nn][Gg][Tt][Hh]$",
                    "cannot contain 'Content-Length' header",
                ),
                (
                    "^[Cc][Oo][Nn][Tt][Ee][Nn][Tt]%-[Tt][Yy][Pp][Ee]$",
                    "cannot contain 'Content-Type' header",
                ),
            ),
            validator=header_name,
        ),
        values=item(referenceable=True),
        doc="Headers of those requests.",
    )
    queue: QueueSettings = setting(QueueSettings, required=True, doc="How records wait for being sent.")

    CHECKS = (Custom(_one_authorization),)


class HttpLog(Plugin[Config]):
    name = "http-log"
    priority = 12
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        conf = self.conf
        parts = urlsplit(conf.http_endpoint)
        place = parts.netloc.rpartition("@")[2]
        self._url = parts._replace(netloc=place, query="", fragment="").geturl()
        if parts.query:
            log.warning("http-log: the query of http_endpoint at %s is not sent, as in Kong", place)
        headers: dict[str, str] = {"Content-Type": conf.content_type}
        if parts.username is not None:
            secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Authorization"] = f"Basic {b64encode(secret.encode()).decode()}"
        self._headers = tuple((headers | (conf.headers or {})).items())
        queue = with_older_names(conf.queue, queue_size=conf.queue_size, flush_timeout=conf.flush_timeout)
        self._is_array = queue.max_batch_size > 1
        self._encoded = encoder(conf, self.services)
        self._queue = self.services.queues.open(
            f"http-log {place}", queue, self._send, size_of=len, most_retries=conf.retry_count
        )

    def close(self) -> None:
        self._queue.close()

    def log(self, ex: Logged) -> None:
        self._queue.add(self._encoded(ex))

    log_session = log

    async def _send(self, records: Sequence[bytes]) -> None:
        conf = self.conf
        body = b"[%b]" % b",".join(records) if self._is_array else records[0]
        answer = await self.services.http.request(
            conf.method,
            self._url,
            headers=self._headers,
            body=body,
            timeout_seconds=conf.timeout / 1000,
            verify=conf.ssl_verify,
            keepalive_seconds=conf.keepalive / 1000,
        )
        if answer.status > _LARGEST_SUCCESS:
            raise Undelivered(f"the collector answered {answer.status}")
