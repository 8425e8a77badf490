"""Trace headers: what each format is read from, and written as."""

import pytest

from tollhouse.pdk.propagation import Context, Propagation, extracted, injected, rules
from tollhouse.wire.headers import Headers

T, S, P = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "00000000000000ab"
LOW = str(int(T[16:], 16))
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
        Context(T[16:], S, None, False, "b3"),
    ),
    ("b3-single", {"b3": f"{T}-{S}-1-{P}"}, Context(T, S, P, True, "b3-single")),
    ("jaeger", {"uber-trace-id": f"{T}:{S}:{P}:01"}, Context(T, S, P, True, "jaeger")),
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
        Context(T[16:].rjust(32, "0"), S, None, True, "datadog"),
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
    ],
)
def test_nonsense_is_no_context(name: str, fields: dict[str, str]) -> None:
    assert extracted(fields, (name,)) == Context()


def test_a_decision_alone_counts() -> None:
    assert extracted({"b3": "0"}, ("b3",)) == Context(sampled=False, found_in="b3-single")
    assert extracted({"x-b3-flags": "1"}, ("b3",)).sampled is True


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
