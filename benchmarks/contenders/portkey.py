"""Portkey's open gateway (Node): stateless, the provider and its address come in headers."""

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_npm
from benchmarks.workloads import Request


class Portkey(Contender):
    name = "portkey"
    title = "Portkey"
    only_llm = True

    def install(self) -> str:
        self._package, version = from_npm(self.name)
        return version

    def launch(self, site: Site) -> Launch:
        argv = ("node", str(self._package / "build/start-server.js"), f"--port={site.port}", "--headless")
        headers = {
            "Authorization": "Bearer upstream-key",
            "x-portkey-provider": "openai",
            "x-portkey-custom-host": f"{site.upstream_url}/v1",
        }
        return Launch(argv, Request(site.workload.body(), headers=headers), {"NODE_ENV": "production"})
