"""Who is measured: one file each, saying how it is installed, configured and started."""

from benchmarks.contenders.contender import Contender
from benchmarks.contenders.envoy import Envoy
from benchmarks.contenders.ferrogw import FerroGateway
from benchmarks.contenders.litellm import LiteLLM
from benchmarks.contenders.nginx import Nginx
from benchmarks.contenders.portkey import Portkey
from benchmarks.contenders.tensorzero import TensorZero

PEERS: dict[str, type[Contender]] = {
    peer.name: peer for peer in (Nginx, Envoy, FerroGateway, TensorZero, Portkey, LiteLLM)
}
