"""upstream-timeout: other timeouts than the service's."""

from dataclasses import dataclass

from msgspec.structs import replace

from tollhouse.pdk import Exchange, Plugin, setting


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    connect_timeout: int | None = setting(
        None,
        between=(0, 2147483646),
        unit="ms",
        doc="To connect, in milliseconds; else as the service has it.",
    )
    send_timeout: int | None = setting(
        None, between=(0, 2147483646), unit="ms", doc="Between two writes; else as the service has it."
    )
    read_timeout: int | None = setting(
        None, between=(0, 2147483646), unit="ms", doc="Between two reads; else as the service has it."
    )


class UpstreamTimeout(Plugin[Config]):
    name = "upstream-timeout"
    priority = 400
    Config = Config

    def access(self, ex: Exchange) -> None:
        conf, patience = self.conf, ex.patience_of_service()
        if conf.connect_timeout is not None:
            patience = replace(patience, connect=conf.connect_timeout / 1000)
        if conf.send_timeout is not None:
            patience = replace(patience, write=conf.send_timeout / 1000)
        if conf.read_timeout is not None:
            patience = replace(patience, first=conf.read_timeout / 1000, gap=conf.read_timeout / 1000)
        ex.patience = patience
