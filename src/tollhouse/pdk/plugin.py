"""What a plugin is: one class, one object for each configuration of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Generic, TypeVar

from tollhouse.model.common import HTTP_PROTOCOLS
from tollhouse.model.schema import Record, build, schema_of
from tollhouse.pdk.exchange import Exchange
from tollhouse.pdk.services import Services

C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Scope:
    """Where a plugin is configured: entity ids, `None` where it is not bound to one."""

    route: str | None = None
    service: str | None = None
    consumer: str | None = None
    consumer_group: str | None = None


class Plugin(Generic[C]):
    """Base of all plugins. `self.conf` is a `Config` object, checked and complete.

    One object is made for each configuration when a snapshot is compiled, and kept while that
    configuration stays the same; what depends on configuration alone belongs into `prepare`.

    Phases are Kong's, each a method that a plugin has or has not: `rewrite`, `access`, `response`
    (with the whole answer in `ex.response.content`), `header_filter`, `body_filter` (given a chunk
    and whether it is the last, returns what to send) and `log`; beside Kong's, `own_answer` sees the
    answers that the gateway gives itself, before `header_filter` does. Connections without HTTP have phases
    of their own, which get a `StreamSession`: `preread` before a target is chosen, which may be
    `async def` and refuse, and `log_session`. `rewrite`, `access` and
    `response` may be `async def`; make them so only to await. Raising `Reject` ends the
    exchange with an answer.
    """

    name: ClassVar[str]
    priority: ClassVar[int]
    #: the dataclass of settings
    Config: ClassVar[type]
    #: the same for nodes without a database, where less can be chosen; `None` if it makes no difference
    ConfigWithoutDatabase: ClassVar[type | None] = None
    #: of route, service, consumer and consumer_group those that it must not be bound to
    forbidden_scopes: ClassVar[frozenset[str]] = frozenset()
    #: protocols of the routes that it may be configured for, and those it is for unless told otherwise
    protocols: ClassVar[tuple[str, ...]] = HTTP_PROTOCOLS
    default_protocols: ClassVar[tuple[str, ...]] = HTTP_PROTOCOLS
    #: largest request body that `access` needs in `ex.request.content`, in bytes; `None`: it needs none
    request_body_limit: int | None = None
    #: whether `response` and `header_filter` want to find there what other plugins put on the answer
    looks_at_answer: ClassVar[bool] = True
    #: whether `body_filter` may send something else than it was given, so that the length is not known; one
    #: that can tell by the head says `False` here and takes Content-Length away in `header_filter`
    changes_body: ClassVar[bool] = True
    #: whether it wants to know how long the phases of the other plugins took (`pdk.timings`)
    wants_timings: ClassVar[bool] = False
    #: phases that this configuration has no use for; `prepare` may set it
    idle: frozenset[str] = frozenset()

    def __init__(self, conf: C, scope: Scope, services: Services, id_: str = "") -> None:
        #: the configuration's own id
        self.id = id_
        self.conf = conf
        self.scope = scope
        self.services = services
        self.prepare()

    @classmethod
    def schema(cls) -> Record:
        """The schema of its settings."""
        return schema_of(cls.Config)

    @classmethod
    def read(cls, config: Mapping[str, Any]) -> C:
        """The settings of one configuration, which has been checked."""
        settings: C = build(cls.Config, config)
        return settings

    def prepare(self) -> None:
        """Computes what depends on the configuration alone."""

    def needs_body(self, ex: Exchange) -> bool:
        """Whether `access` needs the body of this request, where `request_body_limit` allows for one."""
        return True

    def close(self) -> None:
        """The configuration has gone; gives back what `prepare` took."""
