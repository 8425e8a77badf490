"""What the Admin API asks of the control process."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

from tollhouse.admin.acme import Certificates
from tollhouse.admin.health import HealthBoard
from tollhouse.admin.proxy_cache import Answers
from tollhouse.config.settings import Settings
from tollhouse.model.snapshot import Snapshot
from tollhouse.plugins import Registry
from tollhouse.stores.store import Store
from tollhouse.telemetry.exposition import NodeState


class ControlPlane(Protocol):
    """The control process, as endpoints know it."""

    snapshot: Snapshot
    settings: Settings
    registry: Registry
    #: where entities are read and changed
    store: Store

    @property
    def health(self) -> HealthBoard | None:
        """None until health checks have begun."""
        ...

    @property
    def answers(self) -> Answers:
        """What proxy-cache keeps."""
        ...

    @property
    def certificates(self) -> Certificates:
        """Those that an authority gives out."""
        ...

    @property
    def owner(self) -> str:
        """Who decides what entities there are, for a header: `database`, `file:` and its name, …"""
        ...

    @property
    def is_loading(self) -> bool: ...

    @property
    def is_ready(self) -> bool: ...

    #: an operator wants no new clients: it is told to be not ready, and serves on
    is_draining: bool

    #: waits until this node serves what has been committed
    caught_up: Callable[[], Awaitable[None]]

    async def replace(self, text: str, file: str | None = None) -> Snapshot: ...

    async def metrics(self) -> str: ...

    async def asked(self) -> NodeState:
        """How the node is, as every worker has told at least once."""
        ...

    def state(self) -> NodeState: ...

    def about(self) -> dict[str, Any]: ...

    def shared_memory(self) -> Mapping[str, tuple[int, int]]:
        """Bytes in use and bytes there are, by name of what processes share."""
        ...

    def log_level(self) -> str: ...

    def set_log_level(self, level: str, seconds: float) -> None:
        """Of all processes of the node; after so many seconds, unless 0, it is as before."""
        ...
