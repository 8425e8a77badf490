"""The Admin API put together: every endpoint by its path."""

from collections.abc import Callable
from typing import Final

from tollhouse.admin.acme import acme_endpoints
from tollhouse.admin.audit import AuditTrail
from tollhouse.admin.changes import Checker
from tollhouse.admin.collections import entity_endpoints, kinds_by_path, membership_endpoints
from tollhouse.admin.config import config_endpoints
from tollhouse.admin.control import ControlPlane
from tollhouse.admin.elsewhere import missing_endpoints
from tollhouse.admin.entities import Entities
from tollhouse.admin.health import health_endpoints
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints
from tollhouse.admin.node import node_endpoints, status_endpoints
from tollhouse.admin.openapi import openapi_endpoint
from tollhouse.admin.origin import owned
from tollhouse.admin.proxy_cache import proxy_cache_endpoints
from tollhouse.admin.schemas import schema_endpoints
from tollhouse.admin.tags import tag_endpoints

#: words of paths that Kong's open-source edition does not have on its Admin API, and so does not list
_NOT_LISTED: Final = frozenset({"consumer_groups", "consumer_group", "mtls-auth", "mtls-auths", "ready"})
#: what the status API of a node without a database shows beside its own
_UPSTREAMS: Final = frozenset(
    {
        "/upstreams/{upstreams}/health",
        "/upstreams/{upstreams}/targets",
        "/upstreams/{upstreams}/targets/all",
        "/upstreams/{upstreams}/targets/{targets}",
    }
)


def admin_endpoints(control: ControlPlane, audit: AuditTrail, now: Callable[[], float]) -> Endpoints:
    """All of it. `now` gives Unix time in seconds."""
    checker = Checker(control.registry, control.settings.router_flavor)
    entities = Entities(control.store, checker, audit, now, control.caught_up)
    endpoints: Endpoints = {
        **status_endpoints(control),
        **owned(entity_endpoints(entities), control, kinds_by_path()),
        **health_endpoints(entities, control.health, control.state().node_id),
        **node_endpoints(control),
        **owned(config_endpoints(control, audit), control),
        **schema_endpoints(checker),
        **owned(tag_endpoints(entities), control),
        **missing_endpoints(),
        **proxy_cache_endpoints(control),
        **acme_endpoints(control),
        **owned(membership_endpoints(entities), control),
    }
    endpoints = {**endpoints, "/endpoints": {"GET": _list_of((*endpoints, "/endpoints"))}}
    flavor = control.settings.router_flavor
    return {**endpoints, "/openapi.json": {"GET": openapi_endpoint(endpoints, flavor)}}


def status_api_endpoints(control: ControlPlane, now: Callable[[], float]) -> Endpoints:
    """The status API. Of a node without a database it tells of upstreams and their targets too, as Kong's."""
    status = status_endpoints(control, drains=True)
    if not control.store.read_only:
        return status
    flavor = control.settings.router_flavor
    audit = AuditTrail(None, control.registry, flavor)  # nothing is changed here
    entities = Entities(control.store, Checker(control.registry, flavor), audit, now)
    told = {
        **entity_endpoints(entities),
        **health_endpoints(entities, control.health, control.state().node_id),
    }
    shown = {path: {"GET": methods["GET"]} for path, methods in told.items() if path in _UPSTREAMS}
    return {**status, **shown}


def _list_of(paths: tuple[str, ...]) -> Endpoint:
    listed = sorted(path for path in paths if _NOT_LISTED.isdisjoint(path.split("/")))

    async def endpoints(call: Call) -> Answer:
        return Answer(body={"data": listed})

    return endpoints


__all__ = ["admin_endpoints", "status_api_endpoints"]
