"""The composition root: the one place that names every part of a worker and joins them."""

import asyncio
import gc
import logging
import os
import socket
import ssl
import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Final, TypeVar

from tollhouse.cloud.access import CloudAccess
from tollhouse.config.database import database_server
from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.flow.advertise import Advertised
from tollhouse.flow.compilation import Compilation, PluginObjects
from tollhouse.flow.compile import backend_at, compiling
from tollhouse.flow.gateway import Gateway
from tollhouse.flow.health import UpstreamHealth
from tollhouse.flow.profiles import UsualTls
from tollhouse.flow.reach import Reach, Workshop
from tollhouse.flow.snapshot import CompiledSnapshot
from tollhouse.flow.timing_report import timing_report
from tollhouse.model.changes import Changes
from tollhouse.model.common import STREAM_PROTOCOLS
from tollhouse.model.entities import Vault
from tollhouse.model.snapshot import Snapshot
from tollhouse.node_settings import error_pages_of, lifetimes_of, limits_of, pools_of, trust_of, vaults_of
from tollhouse.pdk.services import NodeInfo, Services, Tracing
from tollhouse.pdk.tasks import Tasks, in_slices
from tollhouse.plugins import Registry
from tollhouse.routing import RuleBook
from tollhouse.server.certificates import Certificates
from tollhouse.server.issuing import Issuing
from tollhouse.server.listen import Listener, Traffic
from tollhouse.server.tls import HTTP1, HTTP2, ServerTls
from tollhouse.stores.claims import SharedClaims
from tollhouse.stores.counters import SharedCounters
from tollhouse.stores.database_counts import Database
from tollhouse.stores.directory import Directory, DirectoryPatch, building_directory, patching_directory
from tollhouse.stores.links import Links
from tollhouse.stores.memory import NodeMemory
from tollhouse.stores.nats import Nats
from tollhouse.stores.queues import Queues
from tollhouse.stores.redis_servers import RedisServers
from tollhouse.stores.responses import SharedResponses
from tollhouse.stores.sinks import Sinks
from tollhouse.stream.snapshot import compiling_streams
from tollhouse.stream.streams import Streams
from tollhouse.telemetry.access_log import AccessLog
from tollhouse.telemetry.log_record import LogRecords
from tollhouse.telemetry.metrics import Metrics
from tollhouse.upstream.client import PooledClient
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.target_names import TargetNames

log = logging.getLogger("tollhouse.node")

T = TypeVar("T")

#: how often deadlines are looked at, in seconds
LOOK_SECONDS: Final = 0.1

#: of the only workspace, `default`: the id that it has in every DB-less Kong
WORKSPACE_ID: Final = "0dc6f45b-8f8d-40d2-a504-473544ee190b"


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this node is, for all its processes."""

    node_id: str
    hostname: str
    workspace_id: str
    local_model: tuple[str, int] | None

    @classmethod
    def new(cls, local_model: tuple[str, int] | None, node_id: str | None = None) -> "Identity":
        return cls(node_id or str(uuid.uuid4()), socket.gethostname(), WORKSPACE_ID, local_model)


class Node:
    """One worker: its listeners, its gateway and the snapshot it serves."""

    def __init__(
        self, settings: Settings, identity: Identity, worker: int, memory: NodeMemory, *, alone: bool
    ) -> None:
        self._settings = settings
        self._tasks = Tasks()
        self._registry = Registry.of(settings)
        self.metrics = Metrics()
        self.traffic = Traffic()
        #: what is known of the health of upstreams' targets
        self.health = UpstreamHealth()
        self._pools = pools_of(settings)
        resolver = Resolver(time.perf_counter, self._tasks, lifetimes_of(settings), settings.dns_resolver)
        #: who may call
        self.directory = Directory()
        self._vaults = vaults_of(settings)
        self._vault_entities: tuple[Vault, ...] = ()
        dropped = self.metrics.counter(
            "tollhouse_log_dropped_total", "Log lines that could not be kept or handed over", ("sink",)
        )
        self._sinks = Sinks(dropped)
        self.issuing = Issuing()
        self._queues = Queues(dropped, self._tasks)
        database = database_server(settings) if settings.database != "off" else None
        self._database = Database(database, self.metrics, self._tasks, time.time)
        node = _about(identity, settings, worker)
        self._services = self._make_services(node, identity.workspace_id, memory, resolver, alone=alone)
        self._workshop = self._make_workshop(resolver)
        self._compilation: Compilation | None = None
        self._gateway: Gateway | None = None
        self._listeners: list[Listener] = []
        self._streams = Streams(
            self._tasks,
            settings.client_header_timeout,
            AccessLog.to(settings.proxy_stream_access_log, self._sinks, time.time),
        )
        #: TLS of the listeners that have it, and what it shows
        self._tls: list[ServerTls] = []
        self._stream_tls: list[ServerTls] = []
        self._certificates = Certificates()

    def _make_workshop(self, resolver: Resolver) -> Workshop:
        """What a snapshot is compiled with."""
        return Workshop(
            self._pools,
            resolver,
            self._settings.router_flavor,
            TargetNames(resolver),
            self.health,
            RuleBook(self._settings.router_flavor),
            everywhere=timing_report(self._settings.timing, self._services),
            usual_tls=UsualTls.of(self._settings),
        )

    def _make_services(
        self, node: NodeInfo, workspace_id: str, memory: NodeMemory, resolver: Resolver, *, alone: bool
    ) -> Services:
        """What plugins may use of this worker."""
        settings = self._settings
        wall_offset = time.time() - time.perf_counter()
        return Services(
            node=node,
            counters=SharedCounters(memory.counters, time.time, alone=alone),
            redis=RedisServers(
                (settings.redis_host, settings.redis_port),
                self.metrics,
                self._tasks,
                time.time,
                settings.lua_ssl_trusted_certificate,
            ),
            database=self._database,
            events=Nats(self._tasks),
            responses=SharedResponses(memory.responses, time.time),
            claims=SharedClaims(memory.claims, SharedResponses(memory.claims, time.time)),
            meter=self.metrics,
            directory=self.directory,
            sinks=self._sinks,
            queues=self._queues,
            issuing=self.issuing,
            links=Links(resolver.resolve, settings.syslog_socket, settings.lua_ssl_trusted_certificate),
            records=LogRecords(lambda instant: instant + wall_offset, workspace_id),
            cloud=CloudAccess(os.environ, time.time),
            http=PooledClient(self._pools, resolver),
            trusts=trust_of(settings).trusts,
            secret=lambda reference: self._vaults.knowing(self._vault_entities).secret(reference),
            wall_clock=time.time,
            clock=time.perf_counter,
            tracing=Tracing(frozenset(settings.tracing_instrumentations), settings.tracing_sampling_rate),
        )

    # Configuration

    async def read_plugins(self) -> None:
        """Loads custom plugins that are new or have changed. One that cannot be loaded any longer stays
        as it was; one that never could answers 500."""
        await asyncio.to_thread(self._registry.custom.read_what_can_be)

    def _still_current(self) -> Compilation | None:
        """What was compiled before, without plugin objects whose code has changed since."""
        before = self._compilation
        if before is None:
            return None
        made = {
            id_: made for id_, made in before.objects.made.items() if self._registry.is_current(made.plugin)
        }
        return replace(before, objects=PluginObjects(made))

    @property
    def snapshot(self) -> Snapshot | None:
        """What is being served."""
        return self._compilation.snapshot if self._compilation is not None else None

    @property
    def served(self) -> CompiledSnapshot | None:
        """That, ready to serve."""
        return self._compilation.compiled if self._compilation is not None else None

    async def apply(self, snapshot: Snapshot, changes: Changes | None = None) -> None:
        """Compiles a snapshot in slices and serves it from then on. With the changes that lead to it from
        the one being served, what they do not touch is kept."""
        # What is made here makes no reference cycles; looking for them would be the longest stretch of all.
        gc.disable()
        try:
            await self._apply(snapshot, changes)
        finally:
            gc.enable()

    async def _apply(self, snapshot: Snapshot, changes: Changes | None) -> None:
        directory: Directory | DirectoryPatch
        if changes is None:
            directory = await in_slices(building_directory(snapshot))
        else:
            directory = await in_slices(patching_directory(self.directory, snapshot, changes))
        self._vault_entities = tuple(snapshot.vaults)
        resolved = self._vaults.knowing(snapshot.vaults).resolved
        compilation = await in_slices(
            compiling(
                snapshot,
                self._workshop,
                resolved,
                partial(self._registry.make, services=self._services, at_start=self._compilation is None),
                self._still_current(),
                changes,
            )
        )
        compiled, plugins = compilation.compiled, compilation.objects
        former = self._compilation
        is_known = former is not None and former.serves(snapshot, plugins)
        if self._settings.stream_listen and not is_known:
            workshop = replace(self._workshop, usual_tls=UsualTls.of_streams(self._settings))
            reach, for_streams = Reach(snapshot, workshop, resolved), plugins.of(STREAM_PROTOCOLS)
            self._streams.serve(
                await in_slices(compiling_streams(snapshot, self._workshop.flavor, reach, for_streams))
            )
        self.directory.take_over(directory)
        if self._gateway is None:
            self._gateway = self._make_gateway(compiled)
        self._gateway.snapshot = compiled
        self._certificates = Certificates.of(snapshot, resolved, self.issuing.certificates)
        self._show_certificates()
        before, self._compilation = self._compilation, compilation
        if before is not None and not plugins.is_same(before.objects):
            before.objects.close_missing(plugins)
        self.health.keep({upstream.id for upstream in snapshot.upstreams})
        # What a snapshot is made of stays: the collector need not look at it again and again.
        gc.freeze()
        if before is not None:
            await in_slices(before.compiled.dismantling(compiled))

    def _show_certificates(self) -> None:
        for tls in self._tls:
            tls.show(self._certificates)
        for tls in self._stream_tls:  # plugins that ask for clients' certificates are for HTTP
            tls.show(replace(self._certificates, authorities=()))

    def _make_gateway(self, compiled: CompiledSnapshot) -> Gateway:
        settings = self._settings
        return Gateway(
            compiled,
            self._tasks,
            advertised=Advertised.of(settings.headers, settings.headers_upstream, settings.add_header),
            trust=trust_of(settings),
            pages=error_pages_of(settings),
            debug=settings.allow_debug_header,
            charset=settings.charset,
            backend_at=backend_at(self._workshop),
            access_log=AccessLog.to(settings.proxy_access_log, self._sinks, time.time),
        )

    # Serving

    async def listen(self, sockets: Sequence[tuple[Listen, socket.socket]]) -> None:
        """Accepts connections. A snapshot must have been applied before."""
        if self._gateway is None:
            raise RuntimeError("there is no snapshot to serve")
        limits = limits_of(self._settings)
        for listen, sock in sockets:
            port = self._settings.port_maps.get(listen.port, listen.port)
            if listen.stream:
                await self._listen_for_streams(listen, sock, port)
                continue
            tls = self._listener_tls(http2=listen.http2) if listen.tls else None
            told_by = self._tasks if listen.proxy_protocol else None
            listener = Listener(
                sock,
                self._gateway,
                limits,
                self.traffic,
                port=port,
                tls=tls,
                http2=listen.http2,
                told_by=told_by,
            )
            await listener.start()
            self._listeners.append(listener)
        self._tasks.spawn(self._look(), "clock")
        gc.collect()
        gc.freeze()
        # Exchanges make no reference cycles, so the collector has little to find and need not look often.
        gc.set_threshold(50_000, 50, 100)

    def _listener_tls(self, *, http2: bool) -> ssl.SSLContext:
        tls = self._server_tls(HTTP2 if http2 else HTTP1)
        self._tls.append(tls)
        self._show_certificates()
        return tls.context

    def _server_tls(self, protocols: tuple[str, ...]) -> ServerTls:
        settings = self._settings
        certificate, key = settings.ssl_cert, settings.ssl_cert_key
        return ServerTls(certificate, key, settings.tls_terms, protocols, self.issuing.want)

    async def _listen_for_streams(self, listen: Listen, sock: socket.socket, port: int) -> None:
        if listen.udp:
            await self._streams.listen_for_datagrams(sock, port)
            return
        tls = self._server_tls(()) if listen.tls else None
        if tls is not None:
            self._stream_tls.append(tls)
            self._show_certificates()
        self._streams.listen(sock, port, tls.context if tls is not None else None)

    def show_issued(self, name: str, certificate: str, key: str) -> None:
        """Shows a certificate that an authority has given out, from the next handshake on."""
        self.issuing.add(name, certificate, key)
        self._show_certificates()

    async def _look(self) -> None:
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            now = time.perf_counter()
            self._pools.look(now)
            for listener in self._listeners:
                listener.look(now)
            self._streams.look(now)

    def connections(self) -> tuple[int, int]:
        """Open connections, and those of them with an exchange under way."""
        everyone = [connection for listener in self._listeners for connection in listener.connections]
        return len(everyone), sum(connection.flow is not None for connection in everyone)

    def requests(self) -> int:
        """Requests received so far."""
        live = (connection.requests for listener in self._listeners for connection in listener.connections)
        return self.traffic.requests + sum(live)

    async def drain(self, seconds: float) -> bool:
        """Stops accepting and waits for exchanges under way; whether all of them ended in time."""
        if self._gateway is not None:
            self._gateway.draining = True
        self._streams.drain()
        for listener in self._listeners:
            await listener.drain()
        until = time.perf_counter() + seconds
        while any(listener.connections for listener in self._listeners) or not self._streams.is_idle:
            if time.perf_counter() > until:
                return False
            await asyncio.sleep(0.02)
        return True

    async def close(self) -> None:
        """Ends what is left and writes out what is held."""
        for listener in self._listeners:
            for connection in list(listener.connections):
                connection.abort()
        await self._streams.close()
        if self._compilation is not None:
            self._compilation.objects.close_missing(PluginObjects({}))
        await self._queues.drain()
        await self._database.close()
        self._pools.close()
        self._sinks.close()
        await self._tasks.cancel()


def _about(identity: Identity, settings: Settings, worker: int) -> NodeInfo:
    return NodeInfo(
        identity.node_id,
        identity.hostname,
        worker,
        os.getpid(),
        identity.local_model,
        settings.untrusted_lua != "off",
    )
