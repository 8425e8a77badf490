"""Children of the supervisor: started by fork, so that they have its sockets and shared memory."""

import asyncio
import gc
import logging
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Collection, Coroutine
from dataclasses import dataclass, field
from typing import Any, Final

import uvloop

log = logging.getLogger("tollhouse.supervisor")

_OWN_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGCHLD, signal.SIGUSR2)
#: a child that lives less than this was not well, in seconds
_SOON: Final = 2.0
_LONGEST_PAUSE: Final = 5.0

#: what a child runs: until the event is set, telling when it is ready
Main = Callable[[asyncio.Event, Callable[[], None]], Coroutine[Any, Any, None]]


@dataclass(slots=True)
class Child:
    """One process of the node, kept running."""

    name: str
    main: Main
    #: of other processes: what one of them closes must not stay open here
    foreign_sockets: Collection[socket.socket] = ()
    pid: int | None = None
    started: float = 0.0
    #: when it may be started again
    not_before: float = 0.0
    failures: int = 0
    ready: bool = field(default=False)

    def start(self, ready_pipe: int, number: int) -> None:
        """Forks. The child never returns from here."""
        self.started = time.monotonic()
        self.ready = False
        pid = os.fork()
        if pid:
            self.pid = pid
            return
        status = 1
        try:
            _become_child(self.name)
            for sock in self.foreign_sockets:
                sock.close()
            uvloop.run(_until_told(self.main, lambda: _tell(ready_pipe, number)))
            status = 0
        except BaseException:  # the boundary of a process: whatever it is, the log must have it
            log.exception("%s failed", self.name)
        finally:
            logging.shutdown()
            sys.stdout.flush()
            os._exit(status)

    def ended(self, status: int) -> None:
        """The process has ended; decides when it may start again."""
        code = os.waitstatus_to_exitcode(status)
        reason = f"signal {-code}" if code < 0 else f"exit code {code}"
        lived = time.monotonic() - self.started
        self.failures = self.failures + 1 if lived < _SOON else 0
        pause = min(_LONGEST_PAUSE, 0.1 * 2**self.failures) if self.failures else 0.0
        self.not_before = time.monotonic() + pause
        log.error("%s (pid %s) ended by %s; starting it again in %.1f s", self.name, self.pid, reason, pause)
        self.pid = None
        self.ready = False


def _become_child(name: str) -> None:
    signal.set_wakeup_fd(-1)
    for number in _OWN_SIGNALS:
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the supervisor decides
    gc.freeze()
    log.debug("%s runs as pid %d", name, os.getpid())


async def _until_told(main: Main, on_ready: Callable[[], None]) -> None:
    ending = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ending.set)
    await main(ending, on_ready)


def _tell(pipe: int, number: int) -> None:
    os.write(pipe, bytes([number]))
