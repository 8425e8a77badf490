"""Trace headers: what each format is read from, and written as."""

import pytest

from tollhouse.pdk.propagation import Context, Propagation, extracted, injected, rules
from tollhouse.wire.headers import Headers

T, S, P = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "00000000000000ab"
LOW, SHORT = str(int(T[16:], 16)), T[16:].rjust(32, "0")
#: format, its fields, and what they say
FIELDS: list[tuple[str, dict[str, str], Context]] = [
    ("w3c", {"traceparent": f"00-{T}-{S}-01"}, Context(T, S, None, True, "w3c")),
    ("w3c", {"traceparent": f"00-{T}-{S}-00"}, Context(T, S, None, False, "w3c")),
    (
        "b3",
        {"x-b3-traceid": T, "x-b3-spanid": S, "x-b3-parentspanid": P, "x-b3-sampled": "1"},
        Context(T, S, P, True, "b3"),
    ),
    (
        "b3",
        {"x-b3-traceid": T[16:], "x-b3-spanid": S, "x-b3-sampled": "0"},
        Context(SHORT, S, None, False, "b3", 16),
    ),
    ("b3-single", {"b3": f"{T}-{S}-1-{P}"}, Context(T, S, P, True, "b3-single")),
    ("b3-single", {"b3": f"{T[16:]}-{S}-d"}, Context(SHORT, S, None, True, "b3-single", 16, True)),
    (
        "b3",
        {"x-b3-traceid": T, "x-b3-spanid": S, "x-b3-flags": "1"},
        Context(T, S, None, True, "b3", 32, True),
    ),
    ("jaeger", {"uber-trace-id": f"{T}:{S}:{P}:01"}, Context(T, S, P, True, "jaeger")),
    ("jaeger", {"uber-trace-id": f"{T[16:]}:{S}:{P}:00"}, Context(SHORT, S, P, False, "jaeger", 16)),
    (
        "ot",
        {"ot-tracer-traceid": T, "ot-tracer-spanid": S, "ot-tracer-sampled": "1"},
        Context(T, S, None, True, "ot"),
    ),
    (
        "datadog",
        {
            "x-datadog-trace-id": LOW,
            "x-datadog-parent-id": str(int(S, 16)),
            "x-datadog-sampling-priority": "1",
        },
        Context(SHORT, S, None, True, "datadog", 16),
    ),
    (
        "aws",
        {"x-amzn-trace-id": f"Root=1-{T[:8]}-{T[8:]};Parent={S};Sampled=1"},
        Context(T, S, None, True, "aws"),
    ),
    ("gcp", {"x-cloud-trace-context": f"{T}/{int(S, 16)};o=1"}, Context(T, S, None, True, "gcp")),
    (
        "instana",
        {"x-instana-t": T, "x-instana-s": S, "x-instana-l": "1"},
        Context(T, S, None, True, "instana"),
    ),
]


@pytest.mark.parametrize(("name", "fields", "context"), FIELDS)
def test_each_format_is_read_and_written(name: str, fields: dict[str, str], context: Context) -> None:
    assert extracted(fields, (name,)) == context

    headers = Headers.new(())
    injected(headers, context, Propagation(inject=(name,), default_format="w3c"))

    assert dict(headers.values) == fields


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("w3c", {"traceparent": "nonsense"}),
        ("w3c", {"traceparent": f"ff-{T}-{S}-01"}),
        ("w3c", {"traceparent": f"00-{'0' * 32}-{S}-01"}),
        ("b3", {"x-b3-traceid": "xyz"}),
        ("b3", {"b3": "what"}),
        ("jaeger", {"uber-trace-id": f"{T}:{S}"}),
        ("datadog", {"x-datadog-trace-id": "-4"}),
        ("aws", {"x-amzn-trace-id": "Root=2-1-1"}),
        ("gcp", {"x-cloud-trace-context": "1/2"}),
        ("gcp", {"x-cloud-trace-context": T}),
        ("datadog", {"x-datadog-trace-id": LOW, "x-datadog-sampling-priority": "3"}),
        ("instana", {"x-instana-t": T, "x-instana-l": "1"}),
        ("w3c", {"traceparent": f"01-{T}-{S}-01"}),
    ],
)
def test_nonsense_is_no_context(name: str, fields: dict[str, str]) -> None:
    assert extracted(fields, (name,)) == Context()


def test_a_decision_alone_counts() -> None:
    assert extracted({"b3": "0"}, ("b3",)) == Context(sampled=False, found_in="b3-single")
    assert extracted({"x-b3-flags": "1"}, ("b3",)).sampled is True
    for name, field in (("ot", "ot-tracer-sampled"), ("datadog", "x-datadog-sampling-priority")):
        assert extracted({field: "0"}, (name,)) == Context(sampled=False, found_in=name)


def test_b3_may_be_in_the_state_of_w3c() -> None:
    assert extracted({"tracestate": f"b3={T}-{S}-1"}, ("b3",)) == Context(T, S, None, True, "b3-single")
    assert extracted({"tracestate": "vendor=x"}, ("b3",)) == Context()


@pytest.mark.parametrize(
    ("context", "traces"),
    [
        (Context(T, S), {"w3c": T, "b3": T, "jaeger": T, "ot": T[16:], "datadog": LOW, "aws": T, "gcp": T}),
        (
            Context(SHORT, S, found_in="b3", digits=16),
            {"w3c": SHORT, "b3": T[16:], "jaeger": T[16:], "ot": T[16:], "datadog": LOW, "aws": SHORT},
        ),
        (Context(T, S, found_in="w3c"), {"ot": T, "instana": T}),
    ],
)
def test_a_trace_is_as_long_as_it_came_where_the_format_allows_it(
    context: Context, traces: dict[str, str]
) -> None:
    names = tuple("b3-single" if name == "b3" else name for name in traces)
    rule = Propagation(inject=names, default_format="w3c")

    assert injected(Headers.new(()), context, rule) == traces


def test_the_first_format_that_is_there_counts_and_is_preserved() -> None:
    headers = Headers.new(
        (("traceparent", f"00-{T}-{S}-01"), ("uber-trace-id", f"{P}:{P}:0:1"), ("x-old", "1"))
    )
    rule = Propagation(
        extract=("jaeger", "w3c"),
        inject=("preserve", "gcp"),
        clear=("x-old", "traceparent"),
        default_format="w3c",
    )

    context = extracted(headers.values, rule.extract or ())
    injected(headers, context, rule)

    assert context.found_in == "jaeger"
    assert set(headers.values) == {"uber-trace-id", "x-cloud-trace-context"}


@pytest.mark.parametrize(
    ("header_type", "extract", "inject"),
    [
        ("preserve", True, ("preserve",)),
        ("ignore", False, ("w3c",)),
        ("jaeger", True, ("preserve", "jaeger")),
    ],
)
def test_the_older_field_says_the_same(header_type: str, extract: bool, inject: tuple[str, ...]) -> None:
    rule = rules(Propagation(default_format="w3c"), header_type, "w3c")
    assert bool(rule.extract) is extract
    assert rule.inject == inject
