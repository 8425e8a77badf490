"""One connection without HTTP, as plugins see it."""

from dataclasses import dataclass
from typing import Literal

from tollhouse.model.entities import Consumer, Credential, Route, Service
from tollhouse.pdk.exchange import Try


@dataclass(frozen=True, slots=True)
class SessionTls:
    """What client and node have agreed on, as OpenSSL names it."""

    version: str
    cipher: str


class StreamSession:
    """A connection of a stream route, from its client to a target, until both sides have ended.

    Instants are seconds on the node's monotonic clock, 0.0 while they have not come. Bytes are counted
    as client and target have them: without TLS where the node ends it.
    """

    #: what carries it, as nginx calls it
    transport: Literal["TCP", "UDP"] = "TCP"
    #: nobody proves who they are on such a connection
    consumer: Consumer | None = None
    credential: Credential | None = None
    route: Route | None = None
    service: Service | None = None
    #: the name that a TLS client asked for
    server_name: str | None = None
    #: set where the node has ended TLS
    tls: SessionTls | None = None
    #: 200 for a session that was relayed, else why it was not, in HTTP's numbers as in nginx
    status: int = 200
    #: when the first target was asked for
    balanced_at: float = 0.0
    ended_at: float = 0.0
    #: bytes from and to the client, from and to the target
    received: int = 0
    sent: int = 0
    upstream_received: int = 0
    upstream_sent: int = 0
    #: the attempt that has led to a target, and those that failed
    relayed_to: Try | None = None
    tries: list[Try] | None = None

    def __init__(self, client: tuple[str, int], port: int, started: float) -> None:
        """`client` is its address and port; `port` is the listener's."""
        self.client_ip, self.client_port = client
        self.port = port
        self.started = started

    @property
    def kong_ms(self) -> int:
        """What the node itself took before it asked for a target, in milliseconds."""
        return int(((self.balanced_at or self.ended_at) - self.started) * 1000)

    @property
    def session_ms(self) -> int:
        """How long it lasted, in milliseconds."""
        return int((self.ended_at - self.started) * 1000)
