"""file-log: one JSON line for every exchange, appended to a file.

A file that has been moved away, as log rotation does, is made anew within a second; with `reopen` at once.
"""

from dataclasses import dataclass

from tollhouse.model.common import PROTOCOLS
from tollhouse.pdk import Plugin, setting
from tollhouse.pdk.records import Logged, RecordSettings, encoder


@dataclass(frozen=True, slots=True, kw_only=True)
class Config(RecordSettings):
    path: str = setting(
        required=True,
        match=r"^[^%s*&%%\`][^*&%%\`]*[^%s*&%%\`]$",
        err="not a valid filename",
        doc="The file. It is made if it is missing; its folder must be there.",
    )
    reopen: bool = setting(
        False,
        required=True,
        doc="Open the file for every batch of lines, so that it may be rotated at any time.",
    )


class FileLog(Plugin[Config]):
    name = "file-log"
    priority = 9
    Config = Config
    protocols = PROTOCOLS

    def prepare(self) -> None:
        self._sink = self.services.sinks.file(self.conf.path, reopen=self.conf.reopen)
        self._encoded = encoder(self.conf, self.services)

    def close(self) -> None:
        self._sink.close()

    def log(self, ex: Logged) -> None:
        self._sink.write(self._encoded(ex) + b"\n")

    log_session = log
