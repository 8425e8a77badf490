"""Where a running configuration is kept, and how it is read and replaced there."""

from typing import Any, Protocol

from tollhouse.cli.admin_client import AdminClient
from tollhouse.cli.nodes import the_node
from tollhouse.cli.output import fail
from tollhouse.config.difference import Change, applied
from tollhouse.config.export import rows_to_text
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry
from tollhouse.supervisor.configuration import checked


class Place(Protocol):
    """A node or a database."""

    @property
    def name(self) -> str: ...

    def read(self) -> Snapshot:
        """What is kept there. Raises `OSError`, `ConfigErrors`."""
        ...

    def apply(self, running: Snapshot, changes: list[Change]) -> None:
        """Makes the changes, all or none. Raises `OSError`, `ConfigErrors`."""
        ...


class NodePlace:
    """A DB-less node, through its Admin API: its configuration is replaced whole."""

    def __init__(self, client: AdminClient, settings: Settings, registry: Registry) -> None:
        self._client = client
        self._settings = settings
        self._registry = registry

    @property
    def name(self) -> str:
        return f"the node at {self._client.url}"

    def read(self) -> Snapshot:
        status, answer = self._client.call("GET", "/config")
        if status != 200:
            raise ConfigErrors([ConfigError("", _message(status, answer))])
        return checked(answer["config"], self._settings, self._registry, self.name)

    def apply(self, running: Snapshot, changes: list[Change]) -> None:
        text = rows_to_text(applied(running, changes, self._settings.router_flavor))
        status, answer = self._client.call("POST", "/config", {"config": text})
        if status != 201:
            raise ConfigErrors([ConfigError("", _message(status, answer))])


def _message(status: int, answer: Any) -> str:
    said = answer.get("message") if isinstance(answer, dict) else None
    return f"the Admin API answered {status}: {said or answer}"


def place_of(settings: Settings, registry: Registry, url: str | None) -> Place:
    """The node at that address, else the one that runs here."""
    if url is None:
        node = the_node(None)
        if not node.admin:
            fail("the running node has no Admin API (KONG_ADMIN_LISTEN=off)")
        url = node.admin[0]
    return NodePlace(AdminClient.at(url), settings, registry)
