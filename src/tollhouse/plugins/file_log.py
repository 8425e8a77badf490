"""file-log: one JSON line for every exchange, appended to a file."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from tollhouse.model.checks import Custom
from tollhouse.pdk import Exchange, Plugin, item, setting
from tollhouse.pdk.custom_fields import apply_custom_fields, compile_custom_fields, custom_fields_problem
from tollhouse.pdk.lua import ExchangeNames


def _custom_fields(config: Mapping[str, Any]) -> str | None:
    return custom_fields_problem(config.get("custom_fields_by_lua"))


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    path: str = setting(
        required=True,
        match=r"^[^%s*&%%\`][^*&%%\`]*[^%s*&%%\`]$",
        err="not a valid filename",
        doc="The file. It is made if it is missing; its folder must be there.",
    )
    reopen: bool = setting(
        False, required=True, doc="Open the file for every line, so that it may be rotated."
    )
    custom_fields_by_lua: dict[str, str] | None = setting(
        None,
        keys=item(len_min=1),
        values=item(len_min=1),
        doc="Fields to set in the record, each by Lua that returns the value.",
    )

    CHECKS = (Custom(_custom_fields),)


class FileLog(Plugin[Config]):
    name = "file-log"
    priority = 9
    Config = Config

    def prepare(self) -> None:
        self._sink = self.services.sinks.file(self.conf.path, reopen=self.conf.reopen)
        self._custom_fields = compile_custom_fields(self.conf.custom_fields_by_lua or {})

    def close(self) -> None:
        self._sink.close()

    def log(self, ex: Exchange) -> None:
        record = self.services.records.record(ex)
        if self._custom_fields:
            apply_custom_fields(record, self._custom_fields, ExchangeNames(ex, self.services.wall_clock))
        self._sink.write(msgspec.json.encode(record) + b"\n")
