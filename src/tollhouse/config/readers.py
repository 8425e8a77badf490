"""How the text of a setting becomes a value. Each reader raises `ValueError` saying what is wrong."""

import ipaddress
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final
from uuid import UUID

_SIZES: Final = {"k": 1024, "m": 1024**2, "g": 1024**3}
_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_ON: Final = frozenset({"on", "true"})
_OFF: Final = frozenset({"off", "false"})
#: words of `headers` and `headers_upstream` beside `off`
_HEADERS: Final = frozenset(
    {
        "server_tokens", "latency_tokens", "server", "via", "x-kong-proxy-latency", "x-kong-response-latency",
        "x-kong-upstream-latency", "x-kong-admin-latency", "x-kong-upstream-status", "x-kong-request-id",
    }
)  # fmt: skip


def plain(text: str) -> str:
    """The text as it is."""
    return text


def optional(text: str) -> str | None:
    """The text, `None` if there is none."""
    return text or None


def folder(text: str) -> Path:
    return Path(text).expanduser()


def folders(text: str) -> tuple[Path, ...]:
    """Folders that are there, separated by colons."""
    found = tuple(Path(word).expanduser().absolute() for word in text.split(":") if word)
    for path in found:
        if not path.is_dir():
            raise ValueError(f"there is no folder '{path}'")
    return found


def words(text: str) -> tuple[str, ...]:
    """What commas part."""
    return tuple(word.strip() for word in text.split(",") if word.strip())


def one_of(*allowed: str) -> Callable[[str], str]:
    """A reader that takes these words only."""

    def read(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"'{text}' is not one of: {', '.join(allowed)}")
        return text

    return read


def switch(text: str) -> bool:
    if text.lower() in _ON | _OFF:
        return text.lower() in _ON
    raise ValueError(f"'{text}' is neither on nor off")


def whole(text: str) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f"'{text}' is not a whole number")
    return int(text)


def optional_whole(text: str) -> int | None:
    """A whole number; `None` if there is none."""
    return whole(text) if text else None


def positive(text: str) -> int:
    if whole(text) < 1:
        raise ValueError("at least 1 is needed")
    return int(text)


def processes(text: str) -> int:
    """A number of workers; `auto` is one for each core that may be used."""
    if text != "auto":
        return positive(text)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def size(text: str) -> int:
    """nginx's sizes: bytes, or with k, m or g."""
    unit = text[-1:].lower()
    number = text[:-1] if unit in _SIZES else text
    if not (number.isascii() and number.isdigit()):
        raise ValueError(f"'{text}' is not a size like 8k, 10m or 1g")
    return int(number) * _SIZES.get(unit, 1)


def buffers(text: str) -> tuple[int, int]:
    """nginx's buffers: how many, and of what size."""
    number, _, each = text.partition(" ")
    return positive(number), size(each.strip())


def charset(text: str) -> str | None:
    """A charset; `None` for `off`."""
    return None if text == "off" else text


def added_header(text: str) -> tuple[str, str, bool] | None:
    """nginx's `add_header`: name, value, and whether errors get it too; `None` if there is none."""
    if not text:
        return None
    found = re.fullmatch(r"""([-\w]+)\s+("[^"$]*"|'[^'$]*'|[^\s"'$]+)(\s+always)?;?""", text)
    if found is None:
        raise ValueError(f"'{text}' is not a name, a value without variables and perhaps `always`")
    return found[1], found[2].strip("\"'"), found[3] is not None


def seconds(text: str) -> float:
    """nginx's times: seconds, or with ms, s, m or h."""
    unit = next((unit for unit in _SECONDS if text.endswith(unit)), "")
    number = text.removesuffix(unit)
    if not (number.isascii() and number.replace(".", "", 1).isdigit()):
        raise ValueError(f"'{text}' is not a time like 60s, 500ms or 2m")
    return float(number) * _SECONDS.get(unit, 1.0)


def milliseconds(text: str) -> float:
    """A whole number of milliseconds, as seconds."""
    return whole(text) / 1000


def instrumentations(text: str) -> tuple[str, ...]:
    """Kong's kinds of spans. Raises `ValueError`."""
    found = words(text)
    allowed = (
        "off", "all", "request", "db_query", "dns_query", "router", "http_client", "balancer",
        "plugin_rewrite", "plugin_access", "plugin_header_filter",
    )  # fmt: skip
    wrong = [word for word in found if word not in allowed]
    if wrong:
        raise ValueError(f"{wrong[0]!r} is none of {', '.join(allowed)}")
    return found


def share(text: str) -> float:
    """A number from 0 to 1. Raises `ValueError`."""
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError("a number from 0 to 1 is needed")
    return value


def optional_seconds(text: str) -> float | None:
    """A time; `None` for 0."""
    return seconds(text) or None


def file_or_off(text: str) -> str | None:
    """A file to write to, followed perhaps by the name of the one format there is; `None` for `off`."""
    path, _, form = text.partition(" ")
    if not path or path.startswith("syslog:"):
        raise ValueError(f"'{text}' is neither a file nor off")
    if form.strip() not in ("", "combined", "kong_log_format"):
        raise ValueError(f"log format '{form.strip()}' is not supported: name the file only")
    return None if path == "off" else path


def origins(text: str) -> tuple[str, ...]:
    """Origins of URLs: scheme, host and port, without what follows them."""
    found = []
    for word in words(text):
        scheme, mark, rest = word.partition("://")
        host = rest.partition("/")[0]
        if scheme not in ("http", "https") or not mark or not host:
            raise ValueError(f"'{word}' is not a URL like https://manager.example:8445")
        found.append(f"{scheme}://{host}")
    return tuple(found)


def existing_file(text: str) -> str | None:
    """A file to read; `None` if none is named."""
    if text and not Path(text).is_file():
        raise ValueError(f"there is no file '{text}'")
    return text or None


def existing_text(text: str) -> str | None:
    """What a file holds; `None` if none is named."""
    file = existing_file(text)
    return Path(file).read_text(encoding="utf-8") if file is not None else None


def authorities(text: str) -> tuple[str, ...]:
    """Files of certificate authorities, and `system`."""
    found = words(text)
    for name in found:
        if name != "system":
            existing_file(name)
    return found


def networks(text: str) -> tuple[str, ...]:
    """Addresses, ranges of them, and `unix:`."""
    for word in words(text):
        if word != "unix:":
            try:
                ipaddress.ip_network(word, strict=False)
            except ValueError:
                raise ValueError(f"'{word}' is not an address or range like 10.0.0.0/8") from None
    return words(text)


def headers(text: str) -> tuple[str, ...]:
    """Kong's words for headers that the gateway adds."""
    for word in words(text):
        if word.lower() not in _HEADERS | {"off"}:
            raise ValueError(f"'{word}' is not one of: off, {', '.join(sorted(_HEADERS))}")
    return words(text)


def name_servers(text: str) -> tuple[str, ...]:
    """Addresses of name servers, each perhaps with a port."""
    for word in words(text):
        host, _, port = (
            word.rpartition(":") if word.count(":") == 1 or word.startswith("[") else (word, "", "")
        )
        try:
            ipaddress.ip_address((host if host else word).strip("[]"))
        except ValueError:
            raise ValueError(f"'{word}' is not an address like 10.0.0.2 or 10.0.0.2:53") from None
        if port and not (port.isdigit() and 0 < int(port) < 65536):
            raise ValueError(f"'{word}' has no port from 1 to 65535")
    return words(text)


def error_template(text: str) -> str | None:
    """What a file holds that has a place for the message and one for the request id."""
    file = existing_file(text)
    if file is None:
        return None
    template = Path(file).read_text(encoding="utf-8")
    if template.count("%s") != 2:
        raise ValueError(f"'{file}' has to hold %s twice: for the message and for the request id")
    return template


def port_maps(text: str) -> Mapping[int, int]:
    """What clients connect to, by the node's own port; Kong writes `80:8000`, the clients' first."""
    found = {}
    for word in words(text):
        outside, _, own = word.partition(":")
        if not all(port.isdigit() and 0 < int(port) < 65536 for port in (outside, own)):
            raise ValueError(f"'{word}' is not a pair of ports like 80:8000")
        found[int(own)] = int(outside)
    return found


def role(text: str) -> str:
    """Kong's role of a node that has its own configuration."""
    if text in ("control_plane", "data_plane"):
        raise ValueError(
            "there is no hybrid mode: nodes that serve the same share a database (KONG_DATABASE)"
        )
    return one_of("traditional")(text)


def optional_uuid(text: str) -> str | None:
    """An id; `None` if there is none."""
    try:
        return str(UUID(text)) if text else None
    except ValueError:
        raise ValueError(f"'{text}' is not a UUID") from None
