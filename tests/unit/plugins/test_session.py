"""session with a clock of our own: when sessions end, and when they are renewed."""

from dataclasses import dataclass
from types import SimpleNamespace
from typing import cast

import pytest

from tollhouse.model.entities import Consumer
from tollhouse.pdk.caller import Caller
from tollhouse.pdk.exchange import ClientSide, Exchange
from tollhouse.pdk.messages import Request, Response
from tollhouse.pdk.plugin import Scope
from tollhouse.pdk.services import Services
from tollhouse.plugins.session import Config, Session, SessionCredential
from tollhouse.wire.headers import Headers
from tollhouse.wire.uri import Target

ALICE = Consumer(id="a", username="alice")


@dataclass
class Browser:
    """Keeps cookies and goes from request to request."""

    conf: Config
    now: float = 1_000_000.0

    def __post_init__(self) -> None:
        directory = SimpleNamespace(consumer=lambda id_: ALICE if id_ == "a" else None)
        services = SimpleNamespace(
            directory=directory, wall_clock=lambda: self.now, node=SimpleNamespace(node_id="n")
        )
        self.plugin = Session(self.conf, Scope(), cast(Services, services), "p")
        self.cookies: dict[str, str] = {}

    def visit(self, *, key: bool = False) -> bool:
        """Whether the gateway knew who it was, before any key was looked at."""
        request = Request()
        request.method, request.target, request.content = "GET", Target("/"), b""
        request.headers = Headers.new()
        if self.cookies:
            request.headers.set("Cookie", "; ".join(f"{k}={v}" for k, v in self.cookies.items()))
        ex = Exchange(cast(ClientSide, SimpleNamespace(peer_ip="")), request, "id", 0.0)
        self.plugin.access(ex)
        known = ex.consumer is not None
        if key and not known:
            ex.authenticate(Caller(ALICE, SessionCredential("c", "c")))
        ex.response = Response.own(200)
        self.plugin.header_filter(ex)
        for line in ex.response.headers.get_all("set-cookie"):
            name, _, rest = line.partition("=")
            self.cookies[name] = rest.partition(";")[0]
        return known


@pytest.mark.parametrize(
    ("conf", "step", "visits"),
    [
        (Config(idling_timeout=100, stale_ttl=0), 101, 0),
        (Config(idling_timeout=100, stale_ttl=10), 109, 9),
        (Config(idling_timeout=100, stale_ttl=0), 90, 9),
        (Config(idling_timeout=0, rolling_timeout=100, stale_ttl=0), 101, 0),
        (Config(idling_timeout=0, rolling_timeout=100, stale_ttl=0), 80, 9),
        (Config(idling_timeout=0, rolling_timeout=0, absolute_timeout=500, stale_ttl=0), 100, 5),
        (Config(idling_timeout=0, rolling_timeout=0, absolute_timeout=0), 10**9, 9),
        (Config(idling_timeout=10, remember=True, remember_rolling_timeout=1000, stale_ttl=0), 900, 9),
        (Config(idling_timeout=10, remember=True, remember_rolling_timeout=1000, stale_ttl=0), 1100, 0),
        (Config(idling_timeout=10, remember=True, remember_absolute_timeout=3000, stale_ttl=0), 900, 3),
    ],
)
def test_how_long_a_session_lasts(conf: Config, step: float, visits: int) -> None:
    browser = Browser(conf)
    assert not browser.visit(key=True)

    known = 0
    while known < 9:
        browser.now += step
        if not browser.visit():
            break
        known += 1

    assert known == visits
