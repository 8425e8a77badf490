"""Pebble, Let's Encrypt's own test authority (Debian's package), and the name server that comes with it."""

import asyncio
import json
import os
import shutil
import ssl
import subprocess
import tempfile
from contextlib import closing
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any, Final

from tests.support.certificates import Authority
from tests.support.valkey import free_port

START_SECONDS = 30
_TOOLS: Final = Path(__file__).parents[2] / ".tools"
KEY_ID: Final = "kid-1"
HMAC_KEY: Final = "zWNDZM6eQGHWpSRTPal5eIUYFTu7EajVIoguysqZ9wG44nMEtx3MUAsUDkMTQ12W"


def program(name: str) -> str:
    """A program of Debian's package pebble, unpacked under `.tools` unless it is installed."""
    found = shutil.which(name)
    if found is not None:
        return found
    folder = _TOOLS / "pebble"
    if not folder.is_dir():
        with tempfile.TemporaryDirectory() as fresh:
            _download(fresh)
            _TOOLS.mkdir(exist_ok=True)
            # Another process may have been faster.
            if not folder.is_dir():
                shutil.copytree(Path(fresh) / "unpacked", folder, dirs_exist_ok=True)
    return str(folder / "usr" / "bin" / name)


def _download(folder: str) -> None:
    """Brings the package and unpacks it; a machine that has never looked at Debian's lists looks first."""

    def run(*words: str, check: bool = True) -> int:
        return subprocess.run(words, cwd=folder, check=check, capture_output=True).returncode

    if run("apt-get", "download", "pebble", check=False) != 0:
        run("apt-get", "update")
        run("apt-get", "download", "pebble")
    run("sh", "-c", "dpkg -x pebble_*.deb unpacked")


class Pebble:
    """One authority. It asks for challenges at `http_port` of the address that all names have, 127.0.0.1."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="tollhouse-pebble-"))
        self._authority = Authority(self._folder)
        self._own = self._authority.issue("localhost")
        self.port, self._management, self._dns, self._dns_management = (free_port() for _ in range(4))
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def directory(self) -> str:
        return f"https://localhost:{self.port}/dir"

    @property
    def trusted(self) -> str:
        """The file of the authority that vouches for its own certificate."""
        return str(self._authority.file)

    async def start(self, http_port: int, *, binding: bool = False) -> None:
        """Starts it and waits until it answers. With `binding` accounts have to be known to it."""
        config: dict[str, Any] = {
            "listenAddress": f"127.0.0.1:{self.port}",
            "managementListenAddress": f"127.0.0.1:{self._management}",
            "certificate": str(self._own.certificate),
            "privateKey": str(self._own.key),
            "httpPort": http_port,
            "tlsPort": 1,
            "externalAccountBindingRequired": binding,
            "externalAccountMACKeys": {KEY_ID: HMAC_KEY},
        }
        file = self._folder / "pebble.json"
        file.write_text(json.dumps({"pebble": config}))
        dns = f"127.0.0.1:{self._dns}"
        self._run(
            *("pebble-challtestsrv", "-dns01", dns, "-management", f"127.0.0.1:{self._dns_management}"),
            *("-http01", "", "-https01", "", "-tlsalpn01", "", "-defaultIPv6", ""),
        )
        self._run("pebble", "-config", str(file), "-dnsserver", dns)
        async with asyncio.timeout(START_SECONDS):
            for port, path in ((self._management, "/roots/0"), (self.port, "/dir")):
                while not await self._answers(port, path):
                    await asyncio.sleep(0.05)

    async def _answers(self, port: int, path: str) -> bool:
        try:
            await self._get(port, path)
        except OSError:
            return False
        return True

    def _run(self, name: str, *words: str) -> None:
        # It refuses one good nonce in twenty unless told not to; the library tries again, but once only.
        settings = {
            "PEBBLE_VA_NOSLEEP": "1",
            "PEBBLE_ALTERNATE_ROOTS": "1",
            "PEBBLE_WFE_NONCEREJECT": "0",
        }
        with (self._folder / f"{name}.log").open("ab") as log:
            self._processes.append(
                subprocess.Popen([program(name), *words], env=os.environ | settings, stdout=log, stderr=log)
            )

    async def root(self, number: int = 0) -> str:
        """The certificate that all it gives out can be traced to, PEM; 1 is the one of another chain."""
        return await self._get(self._management, f"/roots/{number}")

    async def _get(self, port: int, path: str) -> str:
        context = ssl.create_default_context(cafile=self.trusted)

        def get() -> str:
            asked = HTTPSConnection("localhost", port, timeout=10, context=context)
            with closing(asked):
                asked.request("GET", path)
                return asked.getresponse().read().decode()

        return await asyncio.to_thread(get)

    def stop(self) -> None:
        for process in self._processes:
            process.kill()
            process.wait()
        self._processes.clear()

    def remove(self) -> None:
        self.stop()
        shutil.rmtree(self._folder, ignore_errors=True)
