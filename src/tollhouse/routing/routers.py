"""The three routers: each brings a request into the form that the index asks for."""

from collections.abc import Generator, Sequence

from tollhouse.routing.facts import Facts
from tollhouse.routing.hosts import HostKeys, split_port, wildcards
from tollhouse.routing.index import NEVER, Node
from tollhouse.routing.match import Match, is_utf8
from tollhouse.routing.rules import Asked
from tollhouse.routing.traditional import Floor
from tollhouse.wire.headers import Headers


class CompatibleRouter:
    """Paths that are not UTF-8 match nothing, because Kong's engine cannot take them."""

    __slots__ = ("_hosts", "_root")

    def __init__(self, hosts: HostKeys, root: Node) -> None:
        self._hosts = hosts
        self._root = root

    def find(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        scheme: str,
        port: int,
        sni: str | None,
        raw_query: str | None = None,
        source: tuple[str, int] | None = None,
        local_ip: str | None = None,
    ) -> Match | None:
        if not path.isascii() and not is_utf8(path):
            return None
        hosts = self._hosts(host, scheme, port)
        snis = _sni_keys(sni) if scheme == "https" else None
        asked = (method, path, hosts, headers, scheme, snis, None, None)
        hit = self._root.find(asked, NEVER)
        return None if hit is None else hit[1]

    def dismantling(self) -> Generator[None]:
        yield from self._root.dismantling()


class TraditionalRouter:
    """Knows no wildcard SNIs."""

    __slots__ = ("_floor", "_hosts", "_root")

    def __init__(self, hosts: HostKeys, root: Node, floor: Floor | None) -> None:
        self._hosts = hosts
        self._root = root
        self._floor = floor

    def find(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        scheme: str,
        port: int,
        sni: str | None,
        raw_query: str | None = None,
        source: tuple[str, int] | None = None,
        local_ip: str | None = None,
    ) -> Match | None:
        hosts = self._hosts(host, scheme, port)
        snis = (sni or "",) if scheme == "https" else None
        asked: Asked = (method, path, hosts, headers, scheme, snis, None, None)
        if snis is None and self._floor is not None:
            asked = (*asked[:6], self._floor(asked), None)
        hit = self._root.find(asked, NEVER)
        return None if hit is None else hit[1]

    def dismantling(self) -> Generator[None]:
        yield from self._root.dismantling()
        if self._floor is not None:
            yield from self._floor.paths.dismantling()


class ExpressionRouter:
    __slots__ = ("_hosts", "_root")

    def __init__(self, hosts: HostKeys, root: Node) -> None:
        self._hosts = hosts
        self._root = root

    def find(
        self,
        method: str,
        path: str,
        host: str,
        headers: Headers,
        scheme: str,
        port: int,
        sni: str | None,
        raw_query: str | None = None,
        source: tuple[str, int] | None = None,
        local_ip: str | None = None,
    ) -> Match | None:
        if not is_utf8(path):
            return None
        name, number = split_port(host)
        facts = Facts(
            method, path, name, headers, scheme, int(number or port), sni, raw_query, source, local_ip
        )
        hosts = self._hosts(host, scheme, port)
        snis = _sni_keys(sni) if scheme == "https" else None
        asked = (method, path, hosts, headers, scheme, snis, None, facts)
        hit = self._root.find(asked, NEVER)
        return None if hit is None else hit[1]

    def dismantling(self) -> Generator[None]:
        yield from self._root.dismantling()


def _sni_keys(sni: str | None) -> Sequence[str]:
    return (sni, *wildcards(sni)) if sni else ()
