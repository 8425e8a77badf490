"""request-size-limiting: refuses request bodies above a limit.

A body that declares its length is judged before any of it is read. One that does not (chunked) is counted
as it arrives: a small one is read first, a larger one passes on and ends the exchange where it is too much.
"""

from collections.abc import Awaitable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final, Literal

from tollhouse.pdk import Exchange, Plugin, Reject, setting

BYTES_IN: Final[Mapping[str, int]] = MappingProxyType(
    {"bytes": 1, "kilobytes": 1 << 10, "megabytes": 1 << 20}
)
#: chunked bodies up to this many bytes are read before the upstream is asked, and sent with their length
_READ_FIRST: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    allowed_payload_size: int = setting(128, unit="size_unit", doc="Largest body let through.")
    size_unit: Literal["megabytes", "kilobytes", "bytes"] = setting(
        "megabytes", required=True, doc="What `allowed_payload_size` counts; a megabyte is 2**20 bytes."
    )
    require_content_length: bool = setting(
        False, required=True, doc="Answer 411 to requests that neither tell a length nor are chunked."
    )


class RequestSizeLimiting(Plugin[Config]):
    name = "request-size-limiting"
    priority = 951
    Config = Config

    def prepare(self) -> None:
        self._limit = self.conf.allowed_payload_size * BYTES_IN[self.conf.size_unit]

    def access(self, ex: Exchange) -> Awaitable[None] | None:
        request = ex.request
        if self.conf.require_content_length:
            values = request.headers.values
            if "content-length" not in values and "transfer-encoding" not in values:
                raise Reject(411, "A valid Content-Length header is required")
        declared = request.content_length
        if declared is not None:
            if declared > self._limit:
                raise self._too_large(ex)
            return None
        body = ex.client.body
        if body is None:
            return None
        body.cap(self._limit, self._too_large(ex))
        return body.collect(min(self._limit, _READ_FIRST))

    def _too_large(self, ex: Exchange) -> Reject:
        waits = ex.request.headers.values.get("expect", "").lower() == "100-continue"
        if waits and ex.client.body is not None:
            ex.client.body.invite()  # as from Kong, the 417 comes after a 100
        return Reject(417 if waits else 413, "Request size limit exceeded")
