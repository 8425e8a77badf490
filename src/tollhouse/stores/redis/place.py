"""Where a configuration block's server is and how to talk to it: one form for both of Kong's blocks."""

from dataclasses import dataclass

from tollhouse.pdk.redis import AdvancedRedis, Role, Settings
from tollhouse.stores.authorities import SYSTEM

Address = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Login:
    """An ACL user; without a name the default one."""

    username: str | None
    password: str | None

    def commands(self) -> list[tuple[str, ...]]:
        """What to say first on a connection."""
        if not self.password and not self.username:
            return []
        return [("AUTH", *([self.username] if self.username else []), self.password or "")]


@dataclass(frozen=True, slots=True)
class Place:
    """Everything that makes a connection another one. Times in seconds."""

    addresses: tuple[Address, ...]
    login: Login
    database: int
    tls: bool
    verify: bool
    server_name: str | None
    connect_seconds: float
    send_seconds: float
    read_seconds: float
    backlog: int | None
    #: name of the master where `addresses` are sentinels
    master: str | None = None
    role: Role = "master"
    sentinel_login: Login = Login(None, None)
    is_cluster: bool = False
    redirections: int = 5
    #: files of authorities that vouch for the server, and `system`
    trusted: tuple[str, ...] = SYSTEM

    @property
    def shown(self) -> str:
        """As it is named in logs and metrics."""
        listed = ",".join(f"{host}:{port}" for host, port in self.addresses)
        if self.master is not None:
            return f"{self.master}@{listed}"
        return f"{listed}/{self.database}"


def place_of(settings: Settings, default: Address, trusted: tuple[str, ...] = SYSTEM) -> Place:
    """The place a block names; the node's own server where it names none."""
    timeouts = (settings.connect_timeout, settings.send_timeout, settings.read_timeout)
    shared_ms = 0 if isinstance(settings, AdvancedRedis) else settings.timeout
    connect, send, read = ((shared_ms if ms is None else ms) / 1000 or None for ms in timeouts)
    addresses: tuple[Address, ...]
    if settings.cluster_nodes:
        addresses = tuple((node.ip, node.port) for node in settings.cluster_nodes)
    elif settings.sentinel_nodes:
        addresses = tuple((node.host, node.port) for node in settings.sentinel_nodes)
    elif settings.host is None:
        addresses = (default,)
    else:
        addresses = ((settings.host, settings.port),)
    redirections = settings.cluster_max_redirections
    return Place(
        addresses,
        Login(settings.username, settings.password),
        settings.database,
        bool(settings.ssl),
        bool(settings.ssl_verify),
        settings.server_name,
        connect or 60.0,
        send or 60.0,
        read or 60.0,
        settings.keepalive_backlog,
        settings.sentinel_master,
        settings.sentinel_role or "master",
        Login(settings.sentinel_username, settings.sentinel_password),
        bool(settings.cluster_nodes),
        5 if redirections is None else redirections,
        trusted,
    )
