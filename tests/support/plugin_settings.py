"""Settings of every plugin, with values that are accepted for them."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from hypothesis import assume
from hypothesis import strategies as st

from tollhouse.model.entities import ENTITIES, variant
from tollhouse.model.fields import Field
from tollhouse.model.schema import Record
from tollhouse.plugins import BUNDLED, Registry

REGISTRY: Final = Registry()
#: what a field of some kind is tried with, until something is accepted
CANDIDATES: Final[Mapping[str, tuple[Any, ...]]] = {
    "string": ("x", "/x", "a.test", "http://a.test/x", "X-A", "10.0.0.1", "{}", "return 1", "a:b"),
    "integer": (1, 2, 200, 401, 1000),
    "number": (1, 2.5, 0.5, 401),
    "boolean": (True, False),
}
#: what a plugin needs before anything else of it can be tried
CALL: Final = {
    "route_type": "llm/v1/chat",
    "auth": {"header_name": "Authorization", "header_value": "x"},
    "model": {"provider": "openai", "name": "m"},
}
NEEDED: Final[Mapping[str, Any]] = {
    "acl": {"allow": ["a"]},
    "ai-prompt-decorator": {"prompts": {"append": [{"role": "user", "content": "x"}]}},
    "ai-prompt-guard": {"allow_patterns": ["x"]},
    "ai-prompt-template": {"templates": [{"name": "a", "template": "x"}]},
    "ai-proxy": CALL,
    "ai-proxy-advanced": {"targets": [CALL]},
    "ai-request-transformer": {"prompt": "x", "llm": CALL},
    "ai-response-transformer": {"prompt": "x", "llm": CALL},
    "canary": {"percentage": 5, "upstream_host": "a.test"},
    "exit-transformer": {"functions": ["return function(status) return status end"]},
    "fault-injection": {"abort": {"status": 503}},
    "file-log": {"path": "/dev/null"},
    "header-size-limiting": {"max_headers": 5},
    "http-log": {"http_endpoint": "http://a.test/x"},
    "ip-restriction": {"allow": ["10.0.0.0/8"]},
    "loggly": {"key": "x"},
    "openid-connect": {"issuer": "https://a.test/x"},
    "opentelemetry": {"traces_endpoint": "http://a.test/x"},
    "proxy-cache": {"strategy": "memory"},
    "rate-limiting": {"minute": 5},
    "rate-limiting-advanced": {"limit": [5], "window_size": [60]},
    "redirect": {"location": "https://a.test/x"},
    "request-mirror": {"url": "http://a.test/x"},
    "response-ratelimiting": {"limits": {"sms": {"minute": 5}}},
    "tcp-log": {"host": "a.test", "port": 5},
    "udp-log": {"host": "a.test", "port": 5},
}


#: a node opens these files, and nothing may be left behind
FILES: Final = frozenset({("file-log", ("path",))})


def values_for(field: Field) -> Iterator[Any]:
    """Values a field may have, other than its default where that is known."""
    found = _values(field.kind, field)
    return (value for value in found if value != field.default)


def _values(kind: str, field: Field) -> Iterator[Any]:
    choices = field.rules.get("one_of") or field.shape.choices
    if choices:
        yield from choices
    elif "between" in field.rules:
        yield from field.rules["between"]
    elif kind in ("array", "set") and field.shape.element is not None:
        inner = field.rules.get("items", {}).get("one_of") or field.shape.element.choices
        for value in inner or CANDIDATES.get(field.shape.element.kind, ()):
            yield [value]
    elif kind == "map" and field.shape.element is not None:
        for value in CANDIDATES.get(field.shape.element.kind, ()):
            yield {"x": value}
    else:
        yield from CANDIDATES.get(kind, ())


def settings_of(record: Record, prefix: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Field]]:
    for name, field in record.fields.items():
        if field.shape.record is not None and field.kind == "record":
            yield from settings_of(field.shape.record, (*prefix, name))
        else:
            yield (*prefix, name), field


def nested(path: tuple[str, ...], value: Any) -> dict[str, Any]:
    return {path[0]: nested(path[1:], value) if path[1:] else value}


def at(values: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        values = values[name]
    return values


@st.composite
def plugins(draw: st.DrawFn) -> tuple[dict[str, Any], list[tuple[str, ...]]]:
    """A plugin with some settings that are accepted together, and where these are."""
    name = draw(st.sampled_from(sorted(BUNDLED)))
    record = REGISTRY.config(name)
    assert record is not None
    raw: dict[str, Any] = {"name": name, "config": dict(NEEDED.get(name, {}))}
    assume(_checked(raw) is not None)
    paths: list[tuple[str, ...]] = []
    tried = st.lists(st.sampled_from(list(settings_of(record))), max_size=6, unique_by=lambda each: each[0])
    for path, field in draw(tried):
        values = list(values_for(field))
        if not values or (name, path) in FILES:
            continue
        more = {**raw, "config": _with(raw["config"], path, draw(st.sampled_from(values)))}
        checked = _checked(more)
        if checked is not None and all(_is_kept(checked, more, each) for each in (*paths, path)):
            raw = more
            paths.append(path)
    return raw, paths


def _checked(raw: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """The configuration as it is kept, `None` if it is refused."""
    schema = variant(ENTITIES["plugins"], raw, "traditional_compatible", REGISTRY)
    values, errors = schema.check(raw) if isinstance(schema, Record) else ({}, {"name": "unknown"})
    return None if errors else values


def _is_kept(checked: Mapping[str, Any], raw: Mapping[str, Any], path: tuple[str, ...]) -> bool:
    """Whether no other setting of the same thing under another name has won."""
    return bool(at(checked["config"], path) == at(raw["config"], path))


def _with(config: Mapping[str, Any], path: tuple[str, ...], value: Any) -> dict[str, Any]:
    first, *rest = path
    inner = config.get(first) if isinstance(config.get(first), dict) else {}
    return {**config, first: _with(inner or {}, tuple(rest), value) if rest else value}
