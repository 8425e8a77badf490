"""header-size-limiting: refuses requests whose headers are too many or too large."""

from dataclasses import dataclass

from tollhouse.model.checks import AtLeastOneOf
from tollhouse.pdk import Exchange, Plugin, Reject, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    max_total_bytes: int | None = setting(
        None, gt=0, unit="B", doc="Largest head of a request: request line and headers as they came."
    )
    max_header_bytes: int | None = setting(None, gt=0, unit="B", doc="Largest single header, name and value.")
    max_headers: int | None = setting(None, gt=0, doc="Most headers.")
    status_code: int = setting(431, required=True, between=(400, 499), doc="Status of a refusal.")
    message: str = setting("Request header fields too large", required=True, doc="Message of a refusal.")

    CHECKS = (AtLeastOneOf("config.max_total_bytes", "config.max_header_bytes", "config.max_headers"),)


class HeaderSizeLimiting(Plugin[Config]):
    name = "header-size-limiting"
    priority = 952
    Config = Config

    def access(self, ex: Exchange) -> None:
        conf, request = self.conf, ex.request
        if conf.max_total_bytes is not None and request.head_bytes > conf.max_total_bytes:
            raise self._refusal()
        if conf.max_headers is None and conf.max_header_bytes is None:
            return
        sizes = [len(name) + len(value) for name, value in request.headers.items()]
        if conf.max_headers is not None and len(sizes) > conf.max_headers:
            raise self._refusal()
        if conf.max_header_bytes is not None and max(sizes, default=0) > conf.max_header_bytes:
            raise self._refusal()

    def _refusal(self) -> Reject:
        return Reject(self.conf.status_code, self.conf.message)
