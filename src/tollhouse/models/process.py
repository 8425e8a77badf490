"""The embedded model as a child process, from the supervisor's side."""

import http.client
import logging
import socket
import subprocess
import sys
import time
from typing import Final

from tollhouse.models.files import has_engine, smollm2

log = logging.getLogger("tollhouse.models")

_STOP_SECONDS: Final = 3.0
_RESTART_SECONDS: Final = 1.0


class ModelProcess:
    """llama.cpp's server with the embedded model, on a loopback port of its own."""

    def __init__(self) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.address: tuple[str, int] = ("127.0.0.1", probe.getsockname()[1])
        self._process: subprocess.Popen[bytes] | None = None
        self._started = 0.0
        self._ready = False

    @classmethod
    def installed(cls) -> "ModelProcess | None":
        """The process, not started yet; `None` if engine or model is not installed."""
        return cls() if has_engine() and smollm2() is not None else None

    def start(self) -> None:
        """Starts it unless it runs already."""
        if self._process is not None and self._process.poll() is None:
            return
        log.info("starting the embedded model on port %d", self.address[1])
        self._started = time.monotonic()
        self._ready = False
        # It ends when its standard input does, so that it never outlives the node.
        command = [sys.executable, "-m", "tollhouse.models.local", str(self.address[1])]
        self._process = subprocess.Popen(  # noqa: S603 - our own interpreter and module
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )

    def restart_if_ended(self) -> None:
        """Starts it again if it has ended by itself."""
        process = self._process
        if process is None or process.poll() is None:
            return
        if time.monotonic() - self._started > _RESTART_SECONDS:
            log.error("the embedded model ended with code %s; starting it again", process.returncode)
            self.start()

    def is_ready(self) -> bool:
        """Whether it has loaded its model and answers."""
        if not self._ready and self._process is not None:
            self._ready = answers(self.address)
        return self._ready

    def stop(self) -> None:
        """Ends it."""
        process = self._process
        if process is None:
            return
        process.terminate()
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        if process.stdin is not None:
            process.stdin.close()


def answers(address: tuple[str, int]) -> bool:
    """Whether the model at that address is ready to answer."""
    connection = http.client.HTTPConnection(*address, timeout=1)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
