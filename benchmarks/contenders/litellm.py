"""LiteLLM's proxy (Python): one worker, one model, key check with its master key, no database."""

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_pypi
from benchmarks.workloads import MODEL, Request

MASTER_KEY = "sk-bench"


class LiteLLM(Contender):
    name = "litellm"
    title = "LiteLLM proxy"
    only_llm = True

    def install(self) -> str:
        self._home, version = from_pypi(self.name)
        return version

    def launch(self, site: Site) -> Launch:
        upstream = {
            "model": f"openai/{MODEL}",
            "api_base": f"{site.upstream_url}/v1",
            "api_key": "upstream-key",
        }
        models = [{"model_name": MODEL, "litellm_params": upstream}]
        config = {"model_list": models, "general_settings": {"master_key": MASTER_KEY}}
        options = (
            "--host",
            "127.0.0.1",
            "--port",
            str(site.port),
            "--num_workers",
            "1",
            "--telemetry",
            "False",
        )
        path = site.write("config.yaml", config)
        argv = (str(self._home / "bin/litellm"), "--config", str(path), *options)
        # Its own environment only: no price list over the network, no request log.
        env = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR", "LITELLM_MODE": "PRODUCTION"}
        request = Request(site.workload.body(), headers={"Authorization": f"Bearer {MASTER_KEY}"})
        return Launch(argv, request, env, (f"http://127.0.0.1:{site.port}/health/liveliness",))
