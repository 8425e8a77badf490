"""Endpoints of Kong that belong to features which Tollhouse does not have.

They are answered and listed, so that a tool which asks learns why instead of taking a path for mistyped.
"""

from collections.abc import Mapping
from typing import Final

from tollhouse.admin.failures import absent, told
from tollhouse.admin.http import Answer, Call, Endpoint, Endpoints

_WASM: Final = "this endpoint is only available when wasm is enabled"
_PLUGIN: Final = "the plugin '{}' is not available on this node"
_COOKIES: Final = "sessions are kept in their cookies alone: this node stores none"
# fmt: off
#: paths by the feature they belong to
_PATHS: Final = {
    _WASM: (
        "/filter-chains", "/filter-chains/{filter_chains}", "/filter-chains/{filter_chains}/route",
        "/filter-chains/{filter_chains}/service", "/routes/{routes}/filter-chains",
        "/routes/{routes}/filter-chains/{filter_chains}", "/routes/{routes}/filters/all",
        "/routes/{routes}/filters/disabled", "/routes/{routes}/filters/enabled",
        "/services/{services}/filter-chains", "/services/{services}/filter-chains/{filter_chains}",
        "/schemas/filters/{name}",
    ),
    "certificates of acme are kept in its storage, and shown at /acme/certificates": (
        "/acme_storage", "/acme_storage/{acme_storage}",
    ),
    _PLUGIN.format("oauth2"): (
        "/consumers/{consumers}/oauth2", "/consumers/{consumers}/oauth2/{oauth2_credentials}", "/oauth2",
        "/oauth2/{oauth2_credentials}", "/oauth2/{oauth2_credentials}/consumer",
        "/oauth2/{oauth2_credentials}/oauth2_tokens",
        "/oauth2/{oauth2_credentials}/oauth2_tokens/{oauth2_tokens}", "/oauth2_tokens",
        "/oauth2_tokens/{oauth2_tokens}", "/oauth2_tokens/{oauth2_tokens}/credential",
        "/oauth2_tokens/{oauth2_tokens}/service", "/services/{services}/oauth2_tokens",
        "/services/{services}/oauth2_tokens/{oauth2_tokens}",
    ),
    _COOKIES: ("/sessions", "/sessions/{sessions}"),
}
# fmt: on
#: Kong lists these, and answers them as if they were not there: targets are reached through upstreams, and
#: the certificate of a name at `/certificates/{name}`
_INNER: Final = (
    "/targets",
    "/targets/{targets}",
    "/targets/{targets}/upstream",
    "/snis/{snis}/certificate",
)
_METHODS: Final = ("GET", "POST", "PUT", "PATCH", "DELETE")


def missing_endpoints() -> Endpoints:
    """What Kong has and we have not: 400 as Kong without the feature, with the reason."""
    endpoints: dict[str, Mapping[str, Endpoint]] = {
        path: dict.fromkeys(_METHODS, _refusal(text)) for text, paths in _PATHS.items() for path in paths
    }
    endpoints |= {path: dict.fromkeys(_METHODS, _not_found) for path in _INNER}
    endpoints["/sessions"] = {**endpoints["/sessions"], "GET": _none}
    endpoints["/sessions/{sessions}"] = {**endpoints["/sessions/{sessions}"], "GET": _not_found}
    return endpoints


async def _none(call: Call) -> Answer:
    return Answer(body={"data": [], "next": None})


async def _not_found(call: Call) -> Answer:
    raise absent()


def _refusal(text: str) -> Endpoint:
    async def refuse(call: Call) -> Answer:
        raise told(400, text)

    return refuse
