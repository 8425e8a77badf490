"""TensorZero (Rust): the gateway inside its client wheel, without ClickHouse, so without storing anything."""

from typing import Final

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_pypi
from benchmarks.workloads import MODEL, Request

CONFIG: Final = """\
[gateway]
observability.enabled = false

[models.bench]
routing = ["fake"]

[models.bench.providers.fake]
type = "openai"
model_name = "{model}"
api_base = "{url}/v1/"
api_key_location = "none"
"""
# It chooses its port itself and tells it in its base URL.
START: Final = """\
import pathlib, signal, sys, urllib.parse
from tensorzero import _start_http_gateway
config, port_file = sys.argv[1:]
gateway = _start_http_gateway(
    config_file=config, clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False)
pathlib.Path(port_file).write_text(str(urllib.parse.urlsplit(gateway.base_url).port))
signal.pause()
"""


class TensorZero(Contender):
    name = "tensorzero"
    title = "TensorZero"
    only_llm = True

    def install(self) -> str:
        self._home, version = from_pypi(self.name)
        return version

    def launch(self, site: Site) -> Launch:
        config = site.write("tensorzero.toml", CONFIG.format(model=MODEL, url=site.upstream_url))
        port_file = site.folder / "port"
        argv = (str(self._home / "bin/python"), "-c", START, str(config), str(port_file))
        body = site.workload.body(model="tensorzero::model_name::bench")
        request = Request(body, path="/openai/v1/chat/completions", headers={})
        return Launch(argv, request, {"RUST_LOG": "error"}, port_file=port_file)
