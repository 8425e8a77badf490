"""Tollhouse, started as a user starts it; or any other command in its place."""

import shlex
import subprocess
import sys
from importlib import import_module

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import ROOT, NotAvailable
from benchmarks.workloads import Request, kong_config


def tollhouse(config: str, site: Site) -> Launch:
    """One worker with this declarative file."""
    env = {
        "KONG_PROXY_LISTEN": f"127.0.0.1:{site.port}",
        "KONG_ADMIN_LISTEN": f"127.0.0.1:{site.second_port}",
        "KONG_STATUS_LISTEN": "off",
        "KONG_NGINX_WORKER_PROCESSES": "1",
        "KONG_LOG_LEVEL": "warn",
        "KONG_PROXY_ACCESS_LOG": "off",  # as in the peers
        "KONG_PREFIX": str(site.folder / "prefix"),
    }
    argv = (sys.executable, "-m", "tollhouse", "start", "-c", config)
    request = Request(site.workload.body())
    return Launch(argv, request, env, (f"http://127.0.0.1:{site.second_port}/status",))


class Tollhouse(Contender):
    name = "tollhouse"
    title = "Tollhouse"

    def install(self) -> str:
        try:
            version = import_module("tollhouse").__version__
        except ImportError as error:
            raise NotAvailable(f"not installed in {sys.executable}'s environment") from error
        commit = subprocess.run(
            ("git", "describe", "--always", "--dirty"), cwd=ROOT, capture_output=True, text=True, check=False
        )
        return f"{version} {commit.stdout.strip()}".strip()

    def launch(self, site: Site) -> Launch:
        config = site.write("kong.yml", kong_config(site.workload, site.upstream))
        return tollhouse(str(config), site)


class OtherCommand(Contender):
    """A command with {port}, {upstream} and {config} (Tollhouse's file) filled in."""

    name = "tollhouse"
    title = "other command"

    def __init__(self, command: str) -> None:
        self._command = command

    def install(self) -> str:
        return ""

    def launch(self, site: Site) -> Launch:
        config = site.write("kong.yml", kong_config(site.workload, site.upstream))
        values = {"port": site.port, "upstream": site.upstream, "config": config}
        argv = [part.format_map(values) for part in shlex.split(self._command)]
        return Launch(argv, Request(site.workload.body()))
