"""Trace contexts in headers: read from a client's request, written into the upstream's.

Ids are hexadecimal text, 32 digits for a trace and 16 for a span. Formats:
https://www.w3.org/TR/trace-context/ (w3c), https://github.com/openzipkin/b3-propagation (b3, b3-single),
https://www.jaegertracing.io/docs/1.21/client-libraries/ (jaeger), and the headers of OpenTracing's basic
tracers (ot), Datadog, AWS X-Ray (aws), Google Cloud (gcp) and Instana.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Final, Literal
from urllib.parse import unquote

from tollhouse.model.schema import item, setting
from tollhouse.model.validators import header_name
from tollhouse.wire.headers import Headers

FORMATS: Final = ("w3c", "b3", "b3-single", "jaeger", "ot", "datadog", "aws", "gcp", "instana")
Format = Literal["w3c", "b3", "b3-single", "jaeger", "ot", "datadog", "aws", "gcp", "instana"]
#: in which order formats are looked for where nobody has said
_USUAL: Final = ("b3", "w3c", "jaeger", "ot", "datadog", "aws", "gcp", "instana")
_HEX: Final = re.compile(r"[0-9a-f]+")
_W3C: Final = re.compile(r"00-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})", re.IGNORECASE)
_AWS: Final = re.compile(r"(\w+)=([^;]*)")
_GCP: Final = re.compile(r"([0-9a-f]{32})/([0-9]{1,20})(?:;o=([0-9]))?")
#: digits that a trace id may have in a format; one that came with others gets the first
_TRACE_DIGITS: Final[Mapping[str, tuple[int, ...]]] = {
    "w3c": (32,), "b3": (32, 16), "b3-single": (32, 16), "jaeger": (32, 16), "ot": (16, 32),
    "datadog": (16,), "aws": (32,), "gcp": (32,), "instana": (32, 16),
}  # fmt: skip
#: formats in which client and server share one span, whose parent is told of
SHARING: Final = frozenset({"b3", "b3-single", "jaeger"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Propagation:
    """Kong's `propagation` record."""

    extract: tuple[str, ...] | None = setting(
        None,
        items=item(one_of=FORMATS),
        doc="Formats that are looked for in a request, the first one counts.",
    )
    clear: tuple[str, ...] | None = setting(
        None, items=item(validator=header_name), doc="Headers that the upstream does not get."
    )
    inject: tuple[str, ...] | None = setting(
        None,
        items=item(one_of=("preserve", *FORMATS)),
        doc="Formats for the upstream; `preserve` is the one that was found.",
    )
    default_format: str = setting(
        required=True, one_of=FORMATS, doc="What `preserve` is where nothing was found."
    )


@dataclass(frozen=True, slots=True)
class Context:
    """A place in a trace. `sampled` is `None` where nobody has decided."""

    trace_id: str | None = None
    span_id: str | None = None
    parent_id: str | None = None
    sampled: bool | None = None
    #: the format it was found in, and with how many digits the trace
    found_in: str | None = None
    digits: int = 32
    #: somebody wants this trace whatever the rate is (B3's flag)
    debug: bool = False


def rules(propagation: Propagation, header_type: str, default: str) -> Propagation:
    """What holds, where Kong's older fields may say it in place of `propagation`."""
    if propagation.extract or propagation.clear or propagation.inject:
        return propagation
    if header_type == "ignore":
        return Propagation(inject=(default,), default_format=default)
    inject = ("preserve",) if header_type == "preserve" else ("preserve", header_type)
    return Propagation(extract=_USUAL, inject=inject, default_format=default)


def extracted(headers: Mapping[str, str], formats: tuple[str, ...]) -> Context:
    """The context of the first format that is there."""
    for name in formats:
        found = _EXTRACT[name](headers)
        if found is not None:
            return found
    return Context()


def injected(headers: Headers, context: Context, rule: Propagation) -> dict[str, str]:
    """Puts a context, which is complete, into the upstream's headers. Returns the trace as each format that
    was used writes it, as log records show it."""
    for name in rule.clear or ():
        headers.remove(name)
    written = {}
    for wanted in dict.fromkeys(rule.inject or ()):
        name = (context.found_in or rule.default_format) if wanted == "preserve" else wanted
        there = _sized(context, name)
        for field, value in _INJECT[name](there).items():
            headers.set(field, value)
        trace = there.trace_id or ""
        written[name.removesuffix("-single")] = str(int(trace, 16)) if name == "datadog" else trace
    return written


def _sized(context: Context, name: str) -> Context:
    """With the trace as long as a format wants it."""
    allowed = _TRACE_DIGITS[name]
    digits = context.digits if context.digits in allowed and context.found_in else allowed[0]
    return replace(context, trace_id=(context.trace_id or "")[-digits:].rjust(digits, "0"))


def _hex(text: str | None, digits: int) -> str | None:
    """An id of at most so many digits, not zero, filled up with zeros."""
    text = (text or "").strip().lower()
    if _HEX.fullmatch(text) is None or not text.strip("0"):
        return None
    return text[-digits:].rjust(digits, "0")


def _trace(text: str | None) -> tuple[str | None, int]:
    """A trace id of 16 or 32 digits, filled up to 32, and how many it had."""
    digits = len((text or "").strip())
    return (_hex(text, 32), digits) if digits in (16, 32) else (None, 32)


def _decimal(text: str | None, digits: int) -> str | None:
    return _hex(f"{int(text):x}", digits) if text is not None and text.isascii() and text.isdigit() else None


def _from_w3c(headers: Mapping[str, str]) -> Context | None:
    found = _W3C.fullmatch(headers.get("traceparent", "").strip())
    trace, span = (_hex(found[1], 32), _hex(found[2], 16)) if found is not None else (None, None)
    if found is None or trace is None or span is None:
        return None
    return Context(trace, span, None, bool(int(found[3], 16) & 1), "w3c")


def _decided(text: str | None) -> bool | None:
    return {"1": True, "true": True, "0": False, "false": False}.get((text or "").strip().lower())


def _from_b3(headers: Mapping[str, str]) -> Context | None:
    single = _from_b3_single(headers)
    if single is not None:
        return single
    trace, digits = _trace(headers.get("x-b3-traceid"))
    debug = headers.get("x-b3-flags") == "1"
    sampled = True if debug else _decided(headers.get("x-b3-sampled"))
    if trace is None:
        return Context(sampled=sampled, found_in="b3", debug=debug) if sampled is not None else None
    span, parent = _hex(headers.get("x-b3-spanid"), 16), _hex(headers.get("x-b3-parentspanid"), 16)
    return Context(trace, span, parent, sampled, "b3", digits, debug)


def _from_b3_single(headers: Mapping[str, str]) -> Context | None:
    text = headers.get("b3")
    if text is None:  # https://github.com/openzipkin/b3-propagation/issues/21
        state = headers.get("tracestate", "")
        text = state.removeprefix("b3=") if state.startswith("b3=") else ""
    parts = text.strip().lower().split("-")
    decisions = {"1": True, "d": True, "0": False}
    if len(parts) == 1:
        decided, debug = decisions.get(parts[0]), parts[0] == "d"
        return Context(sampled=decided, found_in="b3-single", debug=debug) if decided is not None else None
    (trace, digits), span = _trace(parts[0]), _hex(parts[1], 16)
    if trace is None or span is None:
        return None
    decision = parts[2] if len(parts) > 2 else ""
    parent = _hex(parts[3], 16) if len(parts) > 3 else None
    return Context(trace, span, parent, decisions.get(decision), "b3-single", digits, decision == "d")


def _from_jaeger(headers: Mapping[str, str]) -> Context | None:
    parts = unquote(headers.get("uber-trace-id", "")).strip().split(":")
    if len(parts) != 4 or len(parts[0]) > 32:
        return None
    trace, span, flags = _hex(parts[0], 32), _hex(parts[1], 16), parts[3].lower()
    if trace is None or span is None or _HEX.fullmatch(flags) is None:
        return None
    digits = len(parts[0]) + len(parts[0]) % 2
    return Context(trace, span, _hex(parts[2], 16), bool(int(flags, 16) & 1), "jaeger", digits)


def _from_ot(headers: Mapping[str, str]) -> Context | None:
    trace, digits = _trace(headers.get("ot-tracer-traceid"))
    sampled = _decided(headers.get("ot-tracer-sampled"))
    if trace is None:
        return Context(sampled=sampled, found_in="ot") if sampled is not None else None
    return Context(trace, _hex(headers.get("ot-tracer-spanid"), 16), None, sampled, "ot", digits)


def _from_datadog(headers: Mapping[str, str]) -> Context | None:
    priority = headers.get("x-datadog-sampling-priority")
    sampled = {"1": True, "2": True, "0": False, "-1": False}.get(priority or "")
    if priority is not None and sampled is None:
        return None
    trace = _decimal(headers.get("x-datadog-trace-id"), 32)
    if trace is None:
        return Context(sampled=sampled, found_in="datadog") if sampled is not None else None
    digits = len(trace.lstrip("0")) + len(trace.lstrip("0")) % 2
    span = _decimal(headers.get("x-datadog-parent-id"), 16)
    return Context(trace, span, None, sampled, "datadog", digits)


def _from_aws(headers: Mapping[str, str]) -> Context | None:
    parts = dict(_AWS.findall(headers.get("x-amzn-trace-id", "")))
    version, *ids = parts.get("Root", "").split("-")
    trace = _hex("".join(ids), 32) if version == "1" and list(map(len, ids)) == [8, 24] else None
    if trace is None:
        return None
    sampled = {"1": True, "0": False}.get(parts.get("Sampled", ""))
    return Context(trace, _hex(parts.get("Parent"), 16), None, sampled, "aws")


def _from_gcp(headers: Mapping[str, str]) -> Context | None:
    found = _GCP.fullmatch(headers.get("x-cloud-trace-context", "").strip())
    trace = _hex(found[1], 32) if found is not None else None
    if found is None or trace is None:
        return None
    return Context(trace, _decimal(found[2], 16), None, found[3] == "1", "gcp")


def _from_instana(headers: Mapping[str, str]) -> Context | None:
    (trace, digits), span = _trace(headers.get("x-instana-t")), _hex(headers.get("x-instana-s"), 16)
    if trace is None or span is None:
        return None
    return Context(trace, span, None, headers.get("x-instana-l", "")[:1] == "1", "instana", digits)


_EXTRACT: Final[Mapping[str, Callable[[Mapping[str, str]], Context | None]]] = {
    "w3c": _from_w3c,
    "b3": _from_b3,
    "b3-single": _from_b3_single,
    "jaeger": _from_jaeger,
    "ot": _from_ot,
    "datadog": _from_datadog,
    "aws": _from_aws,
    "gcp": _from_gcp,
    "instana": _from_instana,
}


def _ids(context: Context) -> tuple[str, str, str]:
    """Trace, span, and 1 or 0."""
    return context.trace_id or "", context.span_id or "", "1" if context.sampled else "0"


def _to_w3c(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"traceparent": f"00-{trace}-{span}-0{sampled}"}


def _to_b3(context: Context) -> dict[str, str]:
    parent = {"x-b3-parentspanid": context.parent_id} if context.parent_id else {}
    trace, span, sampled = _ids(context)
    decision = {"x-b3-flags": "1"} if context.debug else {"x-b3-sampled": sampled}
    return {"x-b3-traceid": trace, "x-b3-spanid": span, **parent, **decision}


def _to_b3_single(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    parent = f"-{context.parent_id}" if context.parent_id else ""
    return {"b3": f"{trace}-{span}-{'d' if context.debug else sampled}{parent}"}


def _to_jaeger(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"uber-trace-id": f"{trace}:{span}:{context.parent_id or 0}:0{sampled}"}


def _to_ot(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"ot-tracer-traceid": trace, "ot-tracer-spanid": span, "ot-tracer-sampled": sampled}


def _to_datadog(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {
        "x-datadog-trace-id": str(int(trace, 16)),
        "x-datadog-parent-id": str(int(span, 16)),
        "x-datadog-sampling-priority": sampled,
    }


def _to_aws(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"x-amzn-trace-id": f"Root=1-{trace[:8]}-{trace[8:]};Parent={span};Sampled={sampled}"}


def _to_gcp(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"x-cloud-trace-context": f"{trace}/{int(span, 16)};o={sampled}"}


def _to_instana(context: Context) -> dict[str, str]:
    trace, span, sampled = _ids(context)
    return {"x-instana-t": trace, "x-instana-s": span, "x-instana-l": sampled}


_INJECT: Final[Mapping[str, Callable[[Context], dict[str, str]]]] = {
    "w3c": _to_w3c,
    "b3": _to_b3,
    "b3-single": _to_b3_single,
    "jaeger": _to_jaeger,
    "ot": _to_ot,
    "datadog": _to_datadog,
    "aws": _to_aws,
    "gcp": _to_gcp,
    "instana": _to_instana,
}
