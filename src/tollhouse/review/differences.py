"""What is known to differ from Kong although the schemas agree, and what to do where something is missing.

The reasons are in docs/decisions. A plugin that is installed is judged by its schema and the differences
here; advice for plugins that are missing counts only as long as they are.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Literal

Verdict = Literal["same", "differs", "not supported"]


@dataclass(frozen=True, slots=True)
class Difference:
    """One way in which something behaves otherwise than in Kong.

    `field` is the dotted path it is about, `""` for the whole; `when` tells from its value, `None` where
    it is not given, whether it matters.
    """

    field: str
    how: str
    when: Callable[[Any], bool] = lambda value: True
    todo: str = ""
    verdict: Verdict = "differs"


def _is(*values: object) -> Callable[[Any], bool]:
    return lambda value: value in values


def _has(*values: str) -> Callable[[Any], bool]:
    return lambda given: isinstance(given, list) and not set(values).isdisjoint(map(str, given))


_STREAM: Final = ("tcp", "tls", "tls_passthrough")
_LUA: Final = "common Lua is built in; anything else needs the extra: pip install 'tollhouse[lua]'"
_MODELS: Final = (
    Difference(
        "config.model.provider",
        "Cohere's API v2 is called, Kong calls v1, in which system messages and tools were lost",
        _is("cohere"),
    ),
    Difference(
        "config.model.provider",
        "max_tokens is 4096 where nobody names a limit; status 529 becomes 503 in OpenAI's envelope",
        _is("anthropic"),
    ),
    Difference(
        "config.logging.log_statistics",
        "the record has `ai.call` with tokens, their price and origin beside Kong's `ai.proxy`",
        _is(True),
    ),
)

#: by the name of a plugin
PLUGINS: Final[Mapping[str, tuple[Difference, ...]]] = {
    "proxy-cache": (
        Difference(
            "config.strategy", "Kong asks for it; a file that leaves it out means memory here", _is(None)
        ),
        Difference("", "a request's body is part of the key: two POSTs with other bodies are two questions"),
        Difference(
            "config.cache_control",
            "stale answers go only to clients that send max-stale (RFC 9111 4.2.4)",
            _is(True),
        ),
    ),
    "ai-proxy": (
        *_MODELS,
        Difference(
            "config.max_request_body_size",
            "8192 stands for 1 MiB: Kong lets larger bodies pass by chance of its buffers",
            _is(None, 8192),
        ),
    ),
    "file-log": (Difference("config.custom_fields_by_lua", _LUA, bool),),
    "http-log": (Difference("config.custom_fields_by_lua", _LUA, bool),),
    "exit-transformer": (Difference("config.functions", _LUA, bool),),
}

#: by the name of a collection
ENTITIES: Final[Mapping[str, tuple[Difference, ...]]] = {
    "services": (
        Difference(
            "tls_verify",
            "false as in Kong for this service; addresses of model providers are verified all the same",
            _is(False),
        ),
    ),
    "routes": (
        Difference(
            "protocols",
            "a route takes connections of its protocols only: `tls` never takes clear text, and what is no "
            "TLS handshake is refused where a listener has `ssl`",
            _has(*_STREAM),
        ),
    ),
}

#: what is so for the node as a whole, whatever the file says
EVERYWHERE: Final = (
    "X-Kong-* and rate-limit headers stand before the upstream's, not after them",
    "request ids are a random prefix for each worker and a counter",
    "the proxy's access log is off unless KONG_PROXY_ACCESS_LOG names a file",
    "a client that half-closes has one second to show that it still reads",
    "bodies pass on as they arrive whatever request_buffering and response_buffering say",
)

_OIDC: Final = "let your identity provider issue the tokens and verify them with openid-connect"
_SCRIPT: Final = "write it as a plugin in Python, or with request-transformer and response-transformer"
_LOG: Final = "log with file-log and ship the file with your collector"
_WAF: Final = "keep what does it today in front of the gateway"
_QUEUE: Final = "put a service in front of the queue and route to that"
_FUNCTION: Final = "give the function a URL and route to that"

#: what to do about plugins of Kong that are missing here
MISSING: Final[Mapping[str, str]] = {
    "oauth2": _OIDC,
    "oauth2-introspection": "use openid-connect with auth_methods: [introspection]",
    "jwt-signer": _OIDC,
    "key-auth-enc": "use key-auth: the keys are the same, keep the database on an encrypted disk",
    "ldap-auth": "put an identity provider before the directory and use openid-connect",
    "ldap-auth-advanced": "put an identity provider before the directory and use openid-connect",
    "vault-auth": "use key-auth",
    "saml": "use openid-connect with the same identity provider",
    "header-cert-auth": "use mtls-auth where the gateway ends TLS",
    "pre-function": _SCRIPT,
    "post-function": _SCRIPT,
    "request-transformer-advanced": "use request-transformer, which has the same operations",
    "response-transformer-advanced": "use response-transformer, which has the same operations",
    "route-transformer-advanced": "use route-by-header or request-transformer's replace.uri",
    "rate-limiting-advanced": "use rate-limiting: fixed windows; sliding ones are not to be had",
    "proxy-cache-advanced": "use proxy-cache with strategy memory",
    "graphql-proxy-cache-advanced": "use proxy-cache: the body is part of the key",
    "statsd": "scrape the prometheus plugin instead",
    "statsd-advanced": "scrape the prometheus plugin instead",
    "datadog": "scrape the prometheus plugin with the agent's OpenMetrics check",
    "http-log": _LOG,
    "tcp-log": _LOG,
    "udp-log": _LOG,
    "syslog": _LOG,
    "loggly": _LOG,
    "kafka-log": _LOG,
    "zipkin": "use opentelemetry",
    "aws-lambda": _FUNCTION,
    "azure-functions": _FUNCTION,
    "kafka-upstream": _QUEUE,
    "confluent": _QUEUE,
    "solace-upstream": _QUEUE,
    "injection-protection": _WAF,
    "json-threat-protection": "use request-validator and request-size-limiting",
    "xml-threat-protection": _WAF,
    "forward-proxy": "name the upstream directly, or send through your network's proxy",
    "mocking": "use request-termination",
    "ai-semantic-cache": "use proxy-cache for questions that are the same to the letter",
    "ai-rate-limiting-advanced": "use rate-limiting; requests are counted then, not tokens",
    "ai-request-transformer": "call the model from the service itself",
    "ai-response-transformer": "call the model from the service itself",
}

_RBAC: Final = "give tokens roles with KONG_ADMIN_TOKENS (see the guide to the Admin API)"
#: what to do about sections and fields that nothing here knows
SECTIONS: Final[Mapping[str, str]] = {
    "oauth2_credentials": _OIDC,
    "oauth2_tokens": _OIDC,
    "oauth2_authorization_codes": _OIDC,
    "rbac_roles": _RBAC,
    "rbac_users": _RBAC,
    "admins": _RBAC,
    "workspaces": "run a node for each workspace, or tell them apart by tags",
    "partials": "write the shared settings into each plugin, or use decK's _plugin_configs",
    "plugins_partials": "write the shared settings into each plugin, or use decK's _plugin_configs",
    "filter_chains": "write the filter as a plugin in Python",
    "licenses": "leave it out: there is no licence",
    "parameters": "leave it out: a node keeps no secrets of a cluster here",
    "acme_storage": "leave it out",
    "sessions": "leave it out: callers prove who they are once more",
    "ordering": "leave it out if the usual order by priority is right for you",
    "condition": "bind the plugin to a route of its own that matches such requests",
    "graphql_ratelimiting_advanced_cost_decorations": "leave it out",
    "degraphql_routes": "put the translation into a service",
}
