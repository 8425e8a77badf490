"""The settings of openid-connect: those that act, and those that have to stay at Kong's defaults."""

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any, Final, Literal

from tollhouse.model.checks import Custom
from tollhouse.model.shorthands import only_default
from tollhouse.model.validators import header_name, url
from tollhouse.pdk import item, setting
from tollhouse.plugins.openid_connect.elsewhere import ELSEWHERE

#: ways of recognising a caller that Kong has besides
_REFUSED_METHODS: Final = frozenset(
    {"authorization_code", "client_credentials", "kong_oauth2", "password", "refresh_token", "session"}
)
_METHODS: Final = ("bearer", "introspection", "userinfo")
ClientAuth = Literal["client_secret_basic", "client_secret_post", "none"]
Place = Literal["body", "cookie", "header", "query"]


def _method(name: str) -> str | None:
    if name in _METHODS:
        return None
    if name in _REFUSED_METHODS:
        return f"'{name}' is not supported: callers come with a token of their own ({', '.join(_METHODS)})"
    return f"expected one of: {', '.join(_METHODS)}"


def _pairs(config: Mapping[str, Any]) -> str | None:
    for names, values in (
        ("upstream_headers_names", "upstream_headers_claims"),
        ("downstream_headers_names", "downstream_headers_claims"),
        ("introspection_headers_names", "introspection_headers_values"),
        ("introspection_post_args_names", "introspection_post_args_values"),
    ):
        if len(config.get(names) or ()) != len(config.get(values) or ()):
            return f"{names} and {values} need to have as many elements"
    return None


def _extra(_: Mapping[str, Any]) -> str | None:
    if find_spec("joserfc") is None:
        return "reading keys of providers needs joserfc: pip install 'tollhouse[oidc]'"
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderOfClaim:
    header: str = setting(required=True, validator=header_name, doc="Name of the header.")
    path: tuple[str, ...] = setting(required=True, doc="Where the claim is, from the outside in.")


def _claim(default: tuple[str, ...] | None, what: str) -> Any:
    return setting(default, doc=f"Path of the claim that has the {what}.")


def _required(what: str) -> Any:
    return setting(None, doc=f"Required {what}: one of these; what blanks separate is needed together.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Config:
    issuer: str = setting(
        required=True, referenceable=True, validator=url, doc="The provider, or its discovery document."
    )
    auth_methods: tuple[str, ...] = setting(
        _METHODS[:2], items=item(validator=_method), doc="How a token may be proven, tried in Kong's order."
    )
    anonymous: str | None = setting(None, doc="Consumer (id or username) of callers without a valid token.")
    run_on_preflight: bool = setting(True, doc="Ask OPTIONS requests for a token as well.")
    hide_credentials: bool = setting(True, doc="Take the token out of where the client put it.")
    bearer_token_param_type: tuple[Place, ...] = setting(
        ("body", "header", "query"), doc="Where the token is looked for (`access_token` in query and body)."
    )
    bearer_token_header_name: str | None = setting(
        None, validator=header_name, doc="A header that holds the token instead of Authorization."
    )
    bearer_token_cookie_name: str | None = setting(None, doc="The cookie that holds the token.")
    # what a token has to be
    issuers_allowed: tuple[str, ...] | None = setting(None, doc="Issuers accepted besides the provider.")
    audience_claim: tuple[str, ...] = _claim(("aud",), "audience")
    audience_required: tuple[str, ...] | None = _required("audiences")
    scopes_claim: tuple[str, ...] = _claim(("scope",), "scopes")
    scopes_required: tuple[str, ...] | None = _required("scopes")
    roles_claim: tuple[str, ...] = _claim(("roles",), "roles")
    roles_required: tuple[str, ...] | None = _required("roles")
    groups_claim: tuple[str, ...] = _claim(("groups",), "groups")
    groups_required: tuple[str, ...] | None = _required("groups")
    claims_forbidden: tuple[str, ...] | None = setting(None, doc="Claims that a token must not have.")
    verify_signature: bool = setting(True, doc="Verify signatures of tokens.")
    verify_claims: bool = setting(True, doc="Verify issuer and times of tokens.")
    leeway: float = setting(0, unit="s", doc="How far clocks may differ, in seconds.")
    enable_hs_signatures: bool = setting(False, doc="Accept HS256, HS384 and HS512 with the client's secret.")
    # who it is
    consumer_claim: tuple[str, ...] | None = _claim(None, "consumer")
    consumer_claims: tuple[tuple[str, ...], ...] | None = setting(
        None, doc="Paths of claims that may name the consumer, tried in order."
    )
    consumer_by: tuple[Literal["custom_id", "id", "username"], ...] = setting(
        ("custom_id", "username"), doc="What of a consumer the claim is compared with."
    )
    consumer_optional: bool = setting(False, doc="Let callers in whom no consumer stands for.")
    credential_claim: tuple[str, ...] = _claim(("sub",), "identity told to plugins and upstream")
    authenticated_groups_claim: tuple[str, ...] | None = _claim(None, "groups for the acl plugin")
    # what others are told
    upstream_access_token_header: str | None = setting(
        "authorization:bearer", doc="Header that brings the token to the upstream, `:bearer` for the scheme."
    )
    upstream_headers_claims: tuple[str, ...] | None = setting(None, doc="Claims sent to the upstream.")
    upstream_headers_names: tuple[str, ...] | None = setting(
        None, items=item(validator=header_name), doc="Headers they are sent in."
    )
    upstream_headers: tuple[HeaderOfClaim, ...] | None = setting(
        None, doc="Nested claims sent to the upstream."
    )
    downstream_headers_claims: tuple[str, ...] | None = setting(None, doc="Claims sent to the client.")
    downstream_headers_names: tuple[str, ...] | None = setting(
        None, items=item(validator=header_name), doc="Headers they are sent in."
    )
    downstream_headers: tuple[HeaderOfClaim, ...] | None = setting(
        None, doc="Nested claims sent to the client."
    )
    unauthorized_error_message: str = setting("Unauthorized", doc="Message of a 401.")
    forbidden_error_message: str = setting("Forbidden", doc="Message of a 403.")
    expose_error_code: bool = setting(True, doc="Tell in WWW-Authenticate what is wrong with a token.")
    # talking to the provider
    client_id: tuple[str, ...] | None = setting(
        None, items=item(referenceable=True), encrypted=True, doc="The gateway's own ids; the first is used."
    )
    client_secret: tuple[str, ...] | None = setting(
        None, items=item(referenceable=True), encrypted=True, doc="The secrets that belong to them."
    )
    client_auth: tuple[ClientAuth, ...] | None = setting(
        None, doc="How the gateway proves who it is; the first is used."
    )
    introspection_endpoint: str | None = setting(
        None, referenceable=True, validator=url, doc="Where tokens are asked for, if discovery does not tell."
    )
    introspection_endpoint_auth_method: ClientAuth | None = setting(
        None, doc="How the gateway proves who it is there."
    )
    introspection_hint: str = setting("access_token", doc="Value of `token_type_hint`.")
    introspection_token_param_name: str = setting("token", doc="Name of the argument with the token.")
    introspection_check_active: bool = setting(True, doc="Refuse tokens that are not `active`.")
    introspection_headers_names: tuple[str, ...] | None = setting(
        None, items=item(validator=header_name), doc="Headers sent along with introspection."
    )
    introspection_headers_values: tuple[str, ...] | None = setting(
        None, items=item(referenceable=True), encrypted=True, doc="Their values."
    )
    introspection_post_args_names: tuple[str, ...] | None = setting(
        None, doc="Arguments sent along with introspection."
    )
    introspection_post_args_values: tuple[str, ...] | None = setting(None, doc="Their values.")
    introspect_jwt_tokens: bool = setting(False, doc="Ask the provider for JSON Web Tokens as well.")
    userinfo_endpoint: str | None = setting(
        None, validator=url, doc="Where who a token is for is asked, if discovery does not tell."
    )
    jwks_endpoint: str | None = setting(None, validator=url, doc="The provider's keys, if not as discovered.")
    extra_jwks_uris: tuple[str, ...] | None = setting(None, items=item(validator=url), doc="More keys.")
    rediscovery_lifetime: float = setting(
        30, unit="s", doc="Unknown keys make the gateway look again, but not sooner than this, in seconds."
    )
    cache_ttl: float = setting(3600, unit="s", doc="How long documents and tokens are kept, in seconds.")
    cache_ttl_max: float | None = setting(None, unit="s", doc="The longest that a token is remembered.")
    cache_ttl_min: float | None = setting(None, unit="s", doc="The shortest that an answer is remembered.")
    cache_ttl_neg: float | None = setting(None, unit="s", doc="How long a refusal is remembered, in seconds.")
    cache_introspection: bool = setting(True, doc="Remember answers of introspection.")
    cache_tokens: bool = setting(True, doc="Remember tokens whose signature has been verified.")
    cache_user_info: bool = setting(True, doc="Remember answers of the userinfo endpoint.")
    ssl_verify: bool = setting(True, doc="Verify the provider's certificate.")
    timeout: float = setting(10_000, gt=0, unit="ms", doc="How long the provider may take, in milliseconds.")

    CHECKS = (Custom(_pairs), Custom(_extra))
    SHORTHANDS = tuple(only_default(name, default) for name, default in ELSEWHERE.items())
