"""redirect: sends clients elsewhere."""

from dataclasses import dataclass
from urllib.parse import urlsplit

from tollhouse.model.validators import url
from tollhouse.pdk import Exchange, Plugin, Reject, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    status_code: int = setting(301, required=True, between=(100, 599), doc="Status of the answer.")
    location: str = setting(required=True, validator=url, doc="Where to.")
    keep_incoming_path: bool | None = setting(
        False, doc="Put the request's path and query in place of those of `location`."
    )


class Redirect(Plugin[Config]):
    name = "redirect"
    priority = 779
    Config = Config

    def prepare(self) -> None:
        parts = urlsplit(self.conf.location)
        self._origin = f"{parts.scheme}://{parts.netloc}"

    def access(self, ex: Exchange) -> None:
        location = self.conf.location
        if self.conf.keep_incoming_path:
            location = self._origin + ex.request.target.raw
        raise Reject(self.conf.status_code, body="redirecting", headers={"Location": location})
