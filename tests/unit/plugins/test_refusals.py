"""What is refused in settings of plugins, where it is reported, and in whose words: Kong's, in its order."""

from typing import Any

import pytest

from tollhouse.model.plugin import plugin_schema
from tollhouse.plugins import Registry

SEVERITIES = "expected one of: debug, info, notice, warning, err, crit, alert, emerg"
FACILITIES = (
    "expected one of: auth, authpriv, cron, daemon, ftp, kern, lpr, mail, news, syslog, user, uucp, "
    "local0, local1, local2, local3, local4, local5, local6, local7"
)
STATSD = (
    "expected one of: kong_latency, latency, request_count, request_per_user, request_size, response_size, "
    "status_count, status_count_per_user, unique_users, upstream_latency, status_count_per_workspace, "
    "status_count_per_user_per_route, shdict_usage"
)
DATADOG = (
    "expected one of: kong_latency, latency, request_count, request_size, response_size, upstream_latency"
)
KINDS = "expected one of: counter, gauge, histogram, meter, set, timer"
ZIPKIN = "b3, b3-single, w3c, jaeger, ot, aws, datadog, gcp, instana"
OTEL = "b3, b3-single, w3c, jaeger, ot, aws, gcp, datadog, instana"
ENDPOINT = {"http_endpoint": "http://a.test/"}
TRACES = {"traces_endpoint": "http://a.test/"}
TWICE = [{"name": "a", "value": "1"}, {"name": "a", "value": "2"}]


@pytest.mark.parametrize(
    ("plugin", "config", "problem"),
    [
        ("syslog", {"log_level": "x"}, {"log_level": SEVERITIES}),
        ("syslog", {"successful_severity": "x"}, {"successful_severity": SEVERITIES}),
        ("syslog", {"client_errors_severity": "x"}, {"client_errors_severity": SEVERITIES}),
        ("syslog", {"server_errors_severity": "x"}, {"server_errors_severity": SEVERITIES}),
        ("syslog", {"facility": "x"}, {"facility": FACILITIES}),
        (
            "statsd",
            {"metrics": [{"name": "x", "stat_type": "y"}]},
            {"metrics": [{"name": STATSD, "stat_type": KINDS}]},
        ),
        (
            "statsd",
            {"metrics": [{"name": "latency", "sample_rate": 1}]},
            {"metrics": [{"stat_type": "field required for entity check"}]},
        ),
        (
            "statsd",
            {"metrics": [{"stat_type": "timer", "sample_rate": 1}]},
            {"metrics": [{"name": "required field missing"}]},
        ),
        (
            "post-function",
            {"log": ["x ="]},
            {"log": ["error parsing post-function: [string \"x =\"]:1: unexpected symbol near '<eof>'"]},
        ),
        (
            "datadog",
            {"metrics": [{"name": "x", "stat_type": "y"}]},
            {"metrics": [{"name": DATADOG, "stat_type": f"{KINDS}, distribution"}]},
        ),
        (
            "http-log",
            {**ENDPOINT, "queue": {"concurrency_limit": 2}},
            {"queue": {"concurrency_limit": "expected one of: -1, 1"}},
        ),
        (
            "http-log",
            {**ENDPOINT, "custom_fields_by_lua": {"fine": "return 1", "bad": "return ("}},
            {
                "custom_fields_by_lua": "Error parsing function: "
                "[string \"return (\"]:1: unexpected symbol near '<eof>'"
            },
        ),
        ("zipkin", {"header_type": "x"}, {"header_type": f"expected one of: preserve, ignore, {ZIPKIN}"}),
        ("zipkin", {"default_header_type": "x"}, {"default_header_type": f"expected one of: {ZIPKIN}"}),
        ("zipkin", {"static_tags": TWICE}, {"static_tags": "repeated tags are not allowed: a"}),
        (
            "zipkin",
            {"propagation": {"inject": ["b3"]}},
            {"propagation": {"default_format": "required field missing"}},
        ),
        (
            "opentelemetry",
            {**TRACES, "header_type": "x"},
            {"header_type": f"expected one of: preserve, ignore, {OTEL}"},
        ),
        (
            "opentelemetry",
            {},
            {
                "@entity": [
                    "at least one of these fields must be non-empty: 'traces_endpoint', 'logs_endpoint'"
                ]
            },
        ),
        (
            "opentelemetry",
            {**TRACES, "resource_attributes": {"a": ""}},
            {"resource_attributes": "length must be at least 1"},
        ),
    ],
)
def test_a_setting_is_refused_in_kongs_words(
    plugin: str, config: dict[str, Any], problem: dict[str, Any]
) -> None:
    record = Registry().config(plugin)
    assert record is not None
    assert record.check(config)[1] == problem


@pytest.mark.parametrize(
    "name",
    [
        *("datadog", "file-log", "http-log", "ip-restriction", "loggly", "prometheus", "proxy-cache"),
        *("request-transformer", "session", "statsd", "syslog", "tcp-log", "udp-log", "zipkin"),
    ],
)
def test_what_kong_takes_for_streams_is_taken(name: str) -> None:
    plugin = Registry().plugin_class(name)
    assert plugin is not None
    assert {"tcp", "tls", "tls_passthrough", "udp"} < set(plugin.protocols)


def test_a_dictionary_that_is_not_there_is_reported_on_the_plugin() -> None:
    config = {"strategy": "memory", "memory": {"dictionary_name": "mine"}}
    schema = plugin_schema("proxy-cache", Registry())
    assert schema is not None
    _, errors = schema.check({"name": "proxy-cache", "config": config})
    assert errors == {"@entity": ["missing shared dict 'mine'"]}
    config["memory"] = {"dictionary_name": "kong"}
    assert schema.check({"name": "proxy-cache", "config": config})[1] == {}
