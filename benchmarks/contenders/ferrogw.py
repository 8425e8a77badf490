"""Ferro Labs AI Gateway (Go): one provider, key check with its master key, logs off."""

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_pypi
from benchmarks.workloads import KEY, Request


class FerroGateway(Contender):
    name = "ferrogw"
    title = "Ferro AI Gateway"
    only_llm = True

    def install(self) -> str:
        self._home, version = from_pypi(self.name)
        return version

    def launch(self, site: Site) -> Launch:
        config = {"strategy": {"mode": "single"}, "targets": [{"virtual_key": "openai"}]}
        env = {
            "PORT": str(site.port),
            "GATEWAY_CONFIG": str(site.write("config.json", config)),
            "MASTER_KEY": KEY,
            "LOG_LEVEL": "error",
            "RATE_LIMIT_RPS": "0",  # else 20 requests/s for each client address
            "FERRO_MODEL_CATALOG_TIMEOUT": "0",  # nothing from the network
            "OPENAI_API_KEY": "upstream-key",
            "OPENAI_BASE_URL": f"{site.upstream_url}/v1",
        }
        request = Request(site.workload.body(), headers={"Authorization": f"Bearer {KEY}"})
        ready = (f"http://127.0.0.1:{site.port}/livez",)
        return Launch((str(self._home / "bin/ferrogw"), "serve"), request, env, ready)
