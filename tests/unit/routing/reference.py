"""Both classic routers the plain way: every rule of every route, sorted, tried one after the other.

Written from Kong's observable rules without a look at the index, so that the two can disagree.
"""

import re
from collections.abc import Iterator, Sequence
from ctypes import c_int32
from itertools import groupby
from typing import Any
from uuid import UUID, uuid5

from tests.unit.routing.routes import Request, Route

NAMESPACE = UUID("7f145bf9-0dce-4f91-98eb-debbce4b9f6b")


def plain(text: str) -> str:
    return text.encode().decode("latin-1")


def header_values(request: Request, names: Sequence[str]) -> list[str]:
    for name in names:
        values = [value for key, value in request.headers if key.lower() == name]
        if values:
            return values
    return []


# traditional_compatible


def compatible(routes: Sequence[Route], request: Request) -> tuple[str | None, str] | None:
    """The name of the winner and the prefix it matched."""
    try:
        request.path.encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
    rules = [rule for route in routes for rule in compatible_rules(route)]
    for _, _, route, paths in sorted(rules, key=lambda rule: rule[:2], reverse=True):
        prefix = compatible_match(route, paths, request)
        if prefix is not None:
            return route.name, prefix
    return None


def compatible_rules(route: Route) -> Iterator[tuple[int, str, Route, tuple[str, ...]]]:
    def kind(path: str) -> int:
        return -1 if path.startswith("~") else len(plain(path))

    paths = route.paths or ()
    kinds = list(dict.fromkeys(map(kind, paths)))
    if len(kinds) < 2:
        yield compatible_priority(route, paths), route.id, route, paths
        return
    for number, each in enumerate(kinds, 1):
        part = tuple(path for path in paths if kind(path) == each)
        identity = str(uuid5(NAMESPACE, f"{route.id}#{number}"))
        yield compatible_priority(route, part), identity, route, part


def compatible_priority(route: Route, paths: tuple[str, ...]) -> int:
    attributes = [route.methods, route.hosts, route.headers, route.snis, paths]
    weight = sum(1 for attribute in attributes if attribute)
    number = c_int32(weight << 29).value | c_int32(len(route.headers or ()) << 20).value
    if route.hosts and "*" not in "".join(route.hosts):
        number |= 1 << 60
    if paths and paths[0].startswith("~"):
        number |= 1 << 51
        number |= c_int32((route.regex_priority or 0) << 19).value
    elif paths:
        number |= len(plain(paths[0]))
    return number % (1 << 64)


def compatible_match(route: Route, paths: tuple[str, ...], request: Request) -> str | None:
    if not (route.methods or route.hosts or route.headers or route.snis or paths):
        return None
    if route.methods and request.method not in route.methods:
        return None
    if route.hosts and not any(compatible_host(host, request) for host in route.hosts):
        return None
    if route.snis and request.scheme == "https" and not any(sni_fits(sni, request) for sni in route.snis):
        return None
    for name, values in (route.headers or {}).items():
        name = name.lower()
        sent = header_values(request, (name.replace("-", "_"), name.replace("_", "-")))
        if not any(compatible_header(value.lower(), text.lower()) for value in values for text in sent):
            return None
    for path in paths:
        if path.startswith("~"):
            found = re.search("^" + path[1:].replace("?<", "?P<"), request.path)
            if found:
                return found[0]
        elif request.path.startswith(plain(path)):
            return plain(path)
    return None if paths else ""


def compatible_header(value: str, text: str) -> bool:
    return bool(re.search(value[2:], text)) if value.startswith("~*") else value == text


def compatible_host(configured: str, request: Request) -> bool:
    name, _, port = request.host.partition(":")
    if not port.isdigit():
        name, port = request.host, str(request.port)
    wanted, _, wanted_port = configured.partition(":")
    return wildcard_fits(wanted, name) and (not wanted_port or int(wanted_port) == int(port))


def wildcard_fits(wanted: str, name: str) -> bool:
    if wanted.startswith("*"):
        return name.endswith(wanted[1:])
    if wanted.endswith("*"):
        return name.startswith(wanted[:-1])
    return wanted == name


def sni_fits(configured: str, request: Request) -> bool:
    return request.sni is not None and wildcard_fits(configured.removesuffix("."), request.sni)


# traditional

BITS = {"hosts": 0x40, "headers": 0x20, "paths": 0x10, "methods": 0x08, "snis": 0x04}


def traditional(routes: Sequence[Route], request: Request) -> tuple[str | None, str] | None:
    rules = sorted(
        (
            traditional_rule(route, path, place)
            for place, route in enumerate(routes)
            for path in route.paths or ("",)
        ),
        key=lambda rule: rule[0],
    )
    categories = [key for key, _ in groupby(rules, key=lambda rule: rule[0][:2])]
    hit = sum(BITS[attribute] for attribute in BITS if anything_hit(attribute, routes, request))
    if not hit:
        return None
    start = (-hit.bit_count(), -hit)
    begun = start not in categories
    for key, route, path in rules:
        begun = begun or key[:2] == start
        if begun and key[1]:
            prefix = traditional_match(route, path, request)
            if prefix is not None:
                return route.name, prefix
    return None


def traditional_rule(route: Route, path: str, place: int) -> tuple[tuple[Any, ...], Route, str]:
    given = [bit for attribute, bit in BITS.items() if getattr(route, attribute)]
    hosts = "".join(route.hosts or ())
    ported = any("*" in host and ":" in host for host in route.hosts or ())
    regex = path.startswith("~")
    submatch = 4 * ported + 2 * bool(hosts and "*" not in hosts) + regex
    key = (
        -len(given),
        -sum(given),
        -submatch,
        -len(route.headers or ()),
        -(route.regex_priority or 0) if regex else 0,
        0 if regex else -len(plain(path)),
        route.created_at or 0,
        place,
    )
    return key, route, path


def anything_hit(attribute: str, routes: Sequence[Route], request: Request) -> bool:
    match attribute:
        case "hosts":
            return any(traditional_host(host, request) for route in routes for host in route.hosts or ())
        case "headers":
            names = [name.lower() for route in routes for name in route.headers or {}]
            return any(header_values(request, (name, name.replace("_", "-"))) for name in names)
        case "paths":
            paths = [path for route in routes for path in route.paths or ()]
            return any(traditional_path(path, request.path) is not None for path in paths)
        case "methods":
            return any(request.method in (route.methods or ()) for route in routes)
        case _:
            snis = [sni.removesuffix(".") for route in routes for sni in route.snis or ()]
            return request.scheme == "https" and request.sni in snis


def traditional_match(route: Route, path: str, request: Request) -> str | None:
    if route.methods and request.method not in route.methods:
        return None
    if route.hosts and not any(traditional_host(host, request) for host in route.hosts):
        return None
    snis = [sni.removesuffix(".") for sni in route.snis or ()]
    if snis and request.scheme == "https" and request.sni not in snis:
        return None
    for name, values in (route.headers or {}).items():
        sent = header_values(request, (name.lower(), name.lower().replace("_", "-")))
        if not any(traditional_header(values, text.lower()) for text in sent):
            return None
    return traditional_path(path, request.path)


def traditional_header(values: tuple[str, ...], text: str) -> bool:
    if len(values) == 1 and values[0].startswith("~*") and re.search(values[0][2:], text):
        return True
    return text in [value.lower() for value in values]


def traditional_path(path: str, requested: str) -> str | None:
    """The prefix; an alternative before the last consumes nothing, as in Kong."""
    if not path.startswith("~"):
        return plain(path) if requested.startswith(plain(path)) else None
    found = re.match(path[1:].replace("?<", "?P<") + "(?P<uri_postfix>.*)", requested)
    if not found:
        return None
    return "" if found["uri_postfix"] is None else requested[: found.start("uri_postfix")]


def traditional_host(configured: str, request: Request) -> bool:
    name, _, port = request.host.partition(":")
    default = "443" if request.scheme == "https" else "80"
    if "*" not in configured:
        return configured in (name, request.host)
    wanted, _, wanted_port = configured.partition(":")
    return wildcard_fits(wanted, name) and wanted_port in ("", port or default)
