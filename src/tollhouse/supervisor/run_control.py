"""Runs the control process: its listeners, its links to workers, its signals."""

import asyncio
import logging
import signal
import socket
import ssl
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from tollhouse.admin.access import Gate
from tollhouse.admin.api import admin_endpoints, status_api_endpoints
from tollhouse.admin.audit import AuditTrail
from tollhouse.admin.http import AdminHandler
from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.flow.advertise import Advertised
from tollhouse.node import LOOK_SECONDS
from tollhouse.node_settings import lifetimes_of, vaults_of
from tollhouse.pdk.tasks import Tasks
from tollhouse.server.limits import Limits
from tollhouse.server.listen import Listener, Traffic
from tollhouse.server.tls import HTTP2, server_context
from tollhouse.stores.sinks import Sinks
from tollhouse.supervisor.control import Control
from tollhouse.supervisor.follow import Follower
from tollhouse.supervisor.health import HealthBoard
from tollhouse.supervisor.probe import ProbeTls
from tollhouse.telemetry.access_log import AccessLog
from tollhouse.telemetry.metrics import Metrics
from tollhouse.upstream.dns import Resolver
from tollhouse.upstream.pool import USUAL_TLS, TlsProfile
from tollhouse.upstream.target_names import TargetNames

log = logging.getLogger("tollhouse.control")

Sockets = Sequence[tuple[Listen, socket.socket]]


async def run_control(
    control: Control,
    settings: Settings,
    admin: Sockets,
    status: Sockets,
    ending: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    """Serves the control plane until `ending` is set; ready when it knows every worker. SIGHUP reloads."""
    loop = asyncio.get_running_loop()
    tasks = Tasks()
    follower = Follower(control, control.database) if control.database is not None else None
    reload = control.reload if follower is None else follower.reload
    loop.add_signal_handler(signal.SIGHUP, lambda: tasks.spawn(reload(), "reload"))
    workers = await control.listen_to_workers()
    sinks = Sinks(Metrics().counter("tollhouse_log_dropped_total", "", ("sink",)))
    control.health = _health(control, settings, tasks)
    tasks.spawn(control.health.probe_forever(), "health probes")
    tasks.spawn(control.certificates.run(), "certificates")
    listeners = [
        *await _listen(admin, _admin(control, settings, tasks, sinks), _admin_tls(settings)),
        *await _listen(status, _status(control, settings, tasks, sinks), _tls(settings)),
    ]
    tasks.spawn(_look(listeners), "clock")
    tasks.spawn(_when_connected(control, on_ready), "ready")
    _follow(follower, tasks)
    await ending.wait()
    for listener in listeners:
        await listener.drain()
    workers.close()
    await tasks.cancel()
    if control.database is not None:
        await control.database.close()
    sinks.close()


def _health(control: Control, settings: Settings, tasks: Tasks) -> HealthBoard:
    resolver = Resolver(time.monotonic, tasks, lifetimes_of(settings), settings.dns_resolver)
    own = TlsProfile(settings.client_ssl_cert, settings.client_ssl_cert_key)
    shown = own if settings.client_ssl else USUAL_TLS
    return HealthBoard(
        lambda: control.snapshot,
        control.decide,
        TargetNames(resolver),
        tasks,
        ProbeTls(settings.lua_ssl_trusted_certificate, vaults_of(settings), shown),
        with_streams=bool(settings.stream_listen),
    )


def _admin(control: Control, settings: Settings, tasks: Tasks, sinks: Sinks) -> AdminHandler:
    trail = Path(settings.admin_audit_log) if settings.admin_audit_log is not None else None
    audit = AuditTrail(trail, control.registry, settings.router_flavor)
    return AdminHandler(
        admin_endpoints(control, audit, time.time),
        tasks,
        AccessLog.to(settings.admin_access_log, sinks, time.time),
        settings.admin_gui_url,
        Gate.of(settings),
        body_limit=settings.admin_max_body_size,
        advertised=Advertised.of(settings.headers, ()).names,
    )


def _status(control: Control, settings: Settings, tasks: Tasks, sinks: Sinks) -> AdminHandler:
    log = AccessLog.to(settings.status_access_log, sinks, time.time)
    advertised = Advertised.of(settings.headers, ()).names
    return AdminHandler(status_api_endpoints(control, time.time), tasks, log, advertised=advertised)


def _follow(follower: Follower | None, tasks: Tasks) -> None:
    if follower is not None:
        tasks.spawn(follower.run(), "follow the database")
        tasks.spawn(follower.keep(), "keep the last good configuration")


async def _when_connected(control: Control, on_ready: Callable[[], None]) -> None:
    await control.until_connected()
    on_ready()


def _tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    return partial(server_context, settings.ssl_cert, settings.ssl_cert_key, None, settings.tls_terms)


def _admin_tls(settings: Settings) -> Callable[[], ssl.SSLContext]:
    certificate, key = settings.ssl_cert, settings.ssl_cert_key
    if settings.admin_ssl_cert is not None:
        certificate, key = settings.admin_ssl_cert, settings.admin_ssl_cert_key
    authorities = settings.admin_ssl_client_certificate
    return partial(server_context, certificate, key, authorities, settings.tls_terms)


async def _listen(
    sockets: Sockets, handler: AdminHandler, tls: Callable[[], ssl.SSLContext]
) -> list[Listener]:
    listeners = []
    for listen, sock in sockets:
        context = tls() if listen.tls else None
        if context is not None and listen.http2:
            context.set_alpn_protocols(list(HTTP2))
        listener = Listener(
            sock, handler, Limits(), Traffic(), port=listen.port, tls=context, http2=listen.http2
        )
        await listener.start()
        listeners.append(listener)
    return listeners


async def _look(listeners: Sequence[Listener]) -> None:
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        for listener in listeners:
            listener.look(listener.now())
