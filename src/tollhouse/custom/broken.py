"""Stands where a plugin should be whose code cannot be run on this worker."""

from dataclasses import dataclass

from tollhouse.errors import Reject
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.plugin import Plugin


@dataclass(frozen=True, slots=True)
class Nothing:
    """No settings."""


class Broken(Plugin[Nothing]):
    """Answers 500: to pass a request by a plugin that might have refused it would not be safe."""

    name = "broken"
    priority = 2_000_000
    Config = Nothing

    def access(self, ex: Exchange) -> None:
        raise Reject(500)
