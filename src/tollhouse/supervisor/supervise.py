"""The supervisor: owns sockets and shared memory, keeps the other processes running, ends them in order."""

import asyncio
import logging
import os
import selectors
import shutil
import signal
import socket
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import uvloop

from tollhouse.config.listen import Listen
from tollhouse.config.settings import Settings
from tollhouse.errors import ConfigError, ConfigErrors
from tollhouse.model.snapshot import Snapshot, encode
from tollhouse.models.process import ModelProcess
from tollhouse.node import Identity
from tollhouse.server.self_signed import own_pair
from tollhouse.server.sockets import Bound, bind
from tollhouse.stores.memory import NodeMemory
from tollhouse.supervisor.configuration import MODEL_MISSING, Source, needs_local_model
from tollhouse.supervisor.control import Control
from tollhouse.supervisor.instances import record_of
from tollhouse.supervisor.processes import Child
from tollhouse.supervisor.run_control import run_control
from tollhouse.supervisor.shared import SnapshotFile
from tollhouse.supervisor.worker import serve

log = logging.getLogger("tollhouse.supervisor")

#: after the drain time, how long until what still runs is killed, in seconds
_GRACE_SECONDS: Final = 2.0
_POLL_SECONDS: Final = 0.5


def _with_certificate(settings: Settings) -> Settings:
    """The settings with a certificate of the node's own, where an `ssl` listener has been given none. Raises
    `ConfigErrors` if a listener needs what is not installed."""
    proxies = (*settings.proxy_listen, *settings.stream_listen)
    listens = (*proxies, *settings.admin_listen, *settings.status_listen)
    if any(listen.http2 for listen in listens) and find_spec("h2") is None:
        message = "listeners with `http2` need h2: pip install 'tollhouse[http2]'"
        raise ConfigErrors([ConfigError("KONG_PROXY_LISTEN", message)])
    if settings.ssl_cert is not None or not any(listen.tls for listen in listens):
        return settings
    certificate, key = own_pair(settings.prefix)
    return replace(settings, ssl_cert=certificate, ssl_cert_key=key)


class Supervisor:
    """One node."""

    def __init__(self, settings: Settings, source: Source, snapshot: Snapshot) -> None:
        proxy = [
            bind(listen, "KONG_PROXY_LISTEN", settings.worker_processes) for listen in settings.proxy_listen
        ]
        streams = [
            bind(listen, "KONG_STREAM_LISTEN", settings.worker_processes) for listen in settings.stream_listen
        ]
        admin = [bind(listen, "KONG_ADMIN_LISTEN") for listen in settings.admin_listen]
        status = [bind(listen, "KONG_STATUS_LISTEN") for listen in settings.status_listen]
        #: the settings with the ports that port 0 became
        self.settings = _with_certificate(
            replace(
                settings,
                proxy_listen=tuple(listen for listen, _ in proxy),
                stream_listen=tuple(listen for listen, _ in streams),
                admin_listen=tuple(listen for listen, _ in admin),
                status_listen=tuple(listen for listen, _ in status),
            )
        )
        self._model = ModelProcess.installed()
        if needs_local_model(snapshot) and self._model is None:
            raise ConfigErrors([ConfigError("", MODEL_MISSING)])
        self._identity = Identity.new(self._model.address if self._model else None, settings.node_id)
        self._needs_model = needs_local_model(snapshot)
        self._shared = SnapshotFile()
        self._shared.write(encode(snapshot))
        self._folder = Path(tempfile.mkdtemp(prefix="tollhouse-"))
        self._proxy = [*proxy, *streams]
        self._children = self._make_children(source, admin, status)
        self._ready_pipe = os.pipe()
        self._ending = False

    def _make_children(self, source: Source, admin: list[Bound], status: list[Bound]) -> list[Child]:
        settings, path = self.settings, self._folder / "control.sock"
        workers = settings.worker_processes
        memory = NodeMemory.new(settings.counter_slots, settings.mem_cache_size)
        supervisor = os.getpid()
        record = record_of(settings.prefix, supervisor)

        async def control(ending: asyncio.Event, on_ready: Callable[[], None]) -> None:
            operators = (_firsts(admin), _firsts(status))
            model = self._start_model if os.getpid() == supervisor else _ask_for_model
            node = Control(settings, self._identity, self._shared, source, path, model, memory, record)
            await run_control(node, settings, *operators, ending, on_ready)

        every = {sock for _, socks in self._proxy for sock in socks}
        children = [Child("control", control, every)]
        for number in range(workers):
            sockets = [(listen, socks[number % len(socks)]) for listen, socks in self._proxy]
            main = partial(_worker, settings, self._identity, number, self._shared, memory, path, sockets)
            children.append(Child(f"worker {number}", main, every - {sock for _, sock in sockets}))
        return children

    # Running

    def run(self, on_ready: Callable[[], None]) -> int:
        """Runs the node until it is told to end; returns the exit code. The supervisor holds every
        worker's socket, so that connections waiting for a worker that dies are served by its successor."""
        wakeup = _Wakeup()
        if self._needs_model:
            self._start_model()
        for number, child in enumerate(self._children):
            child.start(self._ready_pipe[1], number)
        try:
            return self._supervise(wakeup, on_ready)
        finally:
            wakeup.close()
            if self._model is not None:
                self._model.stop()
            shutil.rmtree(self._folder, ignore_errors=True)

    def run_single(self, on_ready: Callable[[], None]) -> int:
        """Runs everything in this process, for debugging: no restarts, one loop, one stack."""
        if self._needs_model:
            self._start_model()
        try:
            uvloop.run(self._together(on_ready))
        finally:
            if self._model is not None:
                self._model.stop()
            shutil.rmtree(self._folder, ignore_errors=True)
        return 0

    async def _together(self, on_ready: Callable[[], None]) -> None:
        loop, ending = asyncio.get_running_loop(), asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, ending.set)
        waiting = [loop.create_future() for _ in self._children]
        mains = [
            asyncio.ensure_future(child.main(ending, partial(ready.set_result, None)))
            for child, ready in zip(self._children, waiting, strict=True)
        ]
        started = asyncio.ensure_future(asyncio.gather(*waiting))
        await asyncio.wait([started, *mains], return_when=asyncio.FIRST_COMPLETED)
        if started.done():
            while not await asyncio.to_thread(self._model_is_ready):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.1)
            on_ready()
        await asyncio.gather(*mains)

    def _supervise(self, wakeup: "_Wakeup", on_ready: Callable[[], None]) -> int:
        announced = False
        os.set_blocking(self._ready_pipe[0], False)
        wakeup.watch(self._ready_pipe[0])
        while True:
            for number in wakeup.wait(_POLL_SECONDS):
                if number in (signal.SIGTERM, signal.SIGINT, signal.SIGQUIT):
                    return self._end(wakeup)
                if number == signal.SIGHUP:
                    self._signal("control", signal.SIGHUP)
                elif number == signal.SIGUSR2:
                    self._start_model()
            self._note_ready()
            for child in self._reap():
                if not announced and child.failures:
                    log.error("%s cannot start; giving up", child.name)
                    self._kill()
                    return 1
            self._restart()
            if self._model is not None:
                self._model.restart_if_ended()
            if not announced and all(child.ready for child in self._children) and self._model_is_ready():
                announced = True
                on_ready()

    def _note_ready(self) -> None:
        try:
            numbers = os.read(self._ready_pipe[0], 1024)
        except BlockingIOError:
            return
        for number in numbers:
            self._children[number].ready = True

    def _reap(self) -> list[Child]:
        """The children that have ended by themselves."""
        ended = []
        for child in self._children:
            if child.pid is not None:
                pid, status = os.waitpid(child.pid, os.WNOHANG)
                if pid:
                    child.ended(status)
                    ended.append(child)
        return ended

    def _restart(self) -> None:
        now = time.monotonic()
        for number, child in enumerate(self._children):
            if child.pid is None and now >= child.not_before:
                child.start(self._ready_pipe[1], number)

    def _signal(self, name: str, number: int) -> None:
        for child in self._children:
            if child.name.startswith(name) and child.pid is not None:
                os.kill(child.pid, number)

    # The embedded model

    def _start_model(self) -> None:
        if self._model is not None:
            self._needs_model = True
            self._model.start()

    def _model_is_ready(self) -> bool:
        return not self._needs_model or self._model is None or self._model.is_ready()

    # Ending

    def _end(self, wakeup: "_Wakeup") -> int:
        """Workers drain; when they are gone, control goes. A second signal ends all at once. Who connects
        meanwhile is refused at once, and does not wait for an end that resets it."""
        log.info("draining")
        for _, sockets in self._proxy:
            for sock in sockets:
                sock.close()
        self._signal("worker", signal.SIGTERM)
        until = time.monotonic() + self.settings.drain_seconds + _GRACE_SECONDS
        clean = self._wait_for("worker", wakeup, until)
        self._signal("control", signal.SIGTERM)
        clean &= self._wait_for("control", wakeup, time.monotonic() + _GRACE_SECONDS)
        self._kill()
        return 0 if clean else 1

    def _wait_for(self, name: str, wakeup: "_Wakeup", until: float) -> bool:
        while True:
            alive = [
                child for child in self._children if child.name.startswith(name) and self._is_running(child)
            ]
            if not alive:
                return True
            signals = wakeup.wait(0.05)
            if time.monotonic() > until or signal.SIGTERM in signals or signal.SIGINT in signals:
                return False

    def _is_running(self, child: Child) -> bool:
        if child.pid is None:
            return False
        pid, _ = os.waitpid(child.pid, os.WNOHANG)
        if pid:
            child.pid = None
        return child.pid is not None

    def _kill(self) -> None:
        for child in self._children:
            if self._is_running(child) and child.pid is not None:
                os.kill(child.pid, signal.SIGKILL)
                os.waitpid(child.pid, 0)
                child.pid = None


def _ask_for_model() -> None:
    os.kill(os.getppid(), signal.SIGUSR2)


async def _worker(
    settings: Settings,
    identity: Identity,
    number: int,
    shared: SnapshotFile,
    memory: NodeMemory,
    path: Path,
    sockets: Sequence[tuple[Listen, socket.socket]],
    ending: asyncio.Event,
    on_ready: Callable[[], None],
) -> None:
    await serve(settings, identity, number, shared, memory, path, sockets, ending, on_ready)


def _firsts(bound: Sequence[Bound]) -> list[tuple[Listen, socket.socket]]:
    return [(listen, sockets[0]) for listen, sockets in bound]


class _Wakeup:
    """Signals as something to wait for."""

    _NUMBERS: Final = (
        signal.SIGTERM,
        signal.SIGINT,
        signal.SIGQUIT,
        signal.SIGHUP,
        signal.SIGCHLD,
        signal.SIGUSR2,
    )

    def __init__(self) -> None:
        self._reader, self._writer = socket.socketpair()
        for sock in (self._reader, self._writer):
            sock.setblocking(False)
        self._selector = selectors.DefaultSelector()
        self.watch(self._reader.fileno())
        signal.set_wakeup_fd(self._writer.fileno(), warn_on_full_buffer=False)
        self._before: Mapping[int, Any] = {n: signal.signal(n, lambda *_: None) for n in self._NUMBERS}

    def watch(self, descriptor: int) -> None:
        """Also wakes up when there is something to read here."""
        self._selector.register(descriptor, selectors.EVENT_READ)

    def wait(self, seconds: float) -> bytes:
        """The numbers of signals that have come, after at most that time."""
        self._selector.select(seconds)
        try:
            return self._reader.recv(1024)
        except BlockingIOError:
            return b""

    def close(self) -> None:
        signal.set_wakeup_fd(-1)
        for number, handler in self._before.items():
            signal.signal(number, handler)
        self._selector.close()
        self._reader.close()
        self._writer.close()
