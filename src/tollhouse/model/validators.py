"""Kong's named validators: each returns what is wrong with a text, in Kong's words, or None."""

import re
from typing import Final

from tollhouse.model import hosts, regex

_TAG: Final = re.compile(r"[ !-+\-.0-~\x80-\U0010ffff]+")
_UTF8_NAME: Final = re.compile(r"[0-9A-Za-z.\-_~\x80-\U0010ffff]+")
_HEADER_NAME: Final = re.compile(r"[a-zA-Z0-9\-_]+")
_NOT_TOKEN: Final = re.compile(r"""[\x00-\x20\x7f()<>@,;:\\"/?={}\[\]]""")
_PATH: Final = re.compile(r"/[0-9A-Za-z.\-_~/%:@!$&'()*+,;=]*")
_ESCAPE: Final = re.compile(r"%([0-9A-Fa-f]{2})")
_RESERVED: Final = frozenset("!*'();:@&=+$,/?%#[]")
_URL: Final = re.compile(r"(?:([0-9A-Za-z][0-9A-Za-z+\-.]*):)?(?://([^/?#]*))?(.*)", re.DOTALL)
#: the areas of memory that Kong's processes share, which configurations may name
_DICTIONARIES: Final = frozenset(
    {
        "kong", "kong_locks", "kong_healthchecks", "kong_cluster_events", "kong_rate_limiting_counters",
        "kong_core_db_cache", "kong_core_db_cache_miss", "kong_db_cache", "kong_db_cache_miss",
        "kong_secrets", "prometheus_metrics",
    }
)  # fmt: skip


def tag(text: str) -> str | None:
    if _TAG.fullmatch(text):
        return None
    return f"invalid tag '{text}': expected printable ascii (except `,` and `/`) or valid utf-8 sequences"


def utf8_name(text: str) -> str | None:
    if _UTF8_NAME.fullmatch(text):
        return None
    return f"invalid value '{text}': the only accepted ascii characters are alphanumerics or ., -, _, and ~"


def header_name(text: str) -> str | None:
    if _HEADER_NAME.fullmatch(text):
        return None
    return f"bad header name '{text}', allowed characters are A-Z, a-z, 0-9, '_', and '-'"


def cookie_name(text: str) -> str | None:
    if not _NOT_TOKEN.search(text):
        return None
    return (
        "contains one or more invalid characters. ASCII control characters (0-31;127), space, tab and the "
        'characters ()<>@,;:\\"/?={}[] are not allowed.'
    )


def ip(text: str) -> str | None:
    return None if hosts.is_ip(text) else f"not an ip address: {text}"


def ip_or_cidr(text: str) -> str | None:
    return None if hosts.is_ip_or_cidr(text) else f"invalid ip or cidr range: '{text}'"


def host(text: str) -> str | None:
    """A name or an address without a port."""
    return _host(text, names_only=False)


def sni(text: str) -> str | None:
    """A name without a port."""
    return _host(text, names_only=True)


def wildcard_host(text: str) -> str | None:
    """A name without a port that may begin or end with `*`."""
    if "*" not in text:
        return sni(text)
    if text.index("*") not in (0, len(text) - 1):
        return "wildcard must be leftmost or rightmost character"
    if text.count("*") > 1:
        return "only one wildcard must be specified"
    # Kong's texts show the name it tried, with the wildcard filled in.
    return _host(text.replace("*", "wildcard"), names_only=True)


def _host(text: str, *, names_only: bool) -> str | None:
    try:
        parsed = hosts.parse(text)
    except hosts.BadPort:
        return "must not have a port"
    except ValueError:
        return f"invalid value: {text}"
    if names_only and parsed.kind != "name":
        return "must not be an IP"
    return None if parsed.port is None else "must not have a port"


def host_with_optional_port(text: str) -> str | None:
    try:
        hosts.parse(text)
    except ValueError as error:
        return str(error)
    return None


def route_host(text: str) -> str | None:
    """The host of a route; where the wildcard may stand is checked apart."""
    return host_with_optional_port(text.replace("*", "abc"))


def upstream_name(text: str) -> str | None:
    try:
        parsed = hosts.parse(text)
    except ValueError:
        return f"Invalid name ('{text}'); must be a valid hostname"
    if parsed.kind != "name":
        return f"Invalid name ('{text}'); no ip addresses allowed"
    return None if parsed.port is None else f"Invalid name ('{text}'); no port allowed"


def target(text: str) -> str | None:
    if host_with_optional_port(text) is None:
        return None
    return f"Invalid target ('{text}'); not a valid hostname or ip address"


def path(text: str) -> str | None:
    if not _PATH.fullmatch(text):
        return f"invalid path: '{text}' (characters outside of the reserved list of RFC 3986 found)"
    return _percent_encoding(text)


def _percent_encoding(text: str) -> str | None:
    rest = _ESCAPE.sub("___", text)
    at = rest.find("%")
    return None if at < 0 else f"invalid url-encoded value: '{rest[at : at + 3]}'"


def route_path(text: str) -> str | None:
    """A path prefix in normal form, or `~` and a regular expression."""
    if _PATH.fullmatch(text) and (problem := _percent_encoding(text)):
        return problem
    if text.startswith("~"):
        compile_problem = regex.problem(text[1:])
        return compile_problem and f"invalid regex: '{text[1:]}' (PCRE returned: {compile_problem})"
    normal = normalised_path(text)
    return None if text == normal else f"non-normalized path, consider use '{normal}' instead"


def normalised_path(text: str) -> str:
    """The path as Kong's router compares it: escapes decoded unless reserved, no dot segments.

    Unlike for requests, nothing is refused: `..` at the top is dropped, a bad escape stays.
    """
    if "%" in text:
        octets = _ESCAPE.sub(_decoded, text.encode().decode("latin-1"))
        text = octets.encode("latin-1").decode("utf-8", "replace")
    if "." not in text and "//" not in text:
        return text
    segments: list[str] = []
    parts = text.removeprefix("/").split("/")
    for part in parts:
        if part == "..":
            del segments[-1:]
        elif part not in ("", "."):
            segments.append(part)
    if parts[-1] in ("", ".", "..") and segments:
        segments.append("")
    return "/" + "/".join(segments)


def _decoded(escape: re.Match[str]) -> str:
    character = chr(int(escape[1], 16))
    return escape[0].upper() if character in _RESERVED else character


def url(text: str) -> str | None:
    scheme, name, _, _ = url_parts(text)
    if not name:
        return "missing host in url"
    return None if scheme else "missing scheme in url"


def url_parts(text: str) -> tuple[str | None, str | None, str | None, str | None]:
    """Scheme, host, port and path as LuaSocket splits a URL; each None when absent."""
    found = _URL.match(text)
    scheme, authority, rest = found.groups() if found else (None, None, "")
    plain = re.split(r"[#?;]", rest, maxsplit=1)[0]
    host_port = (authority or "").rpartition("@")[2]
    port = re.search(r":([^:\]]*)\Z", host_port)
    name = host_port[: port.start()] if port else host_port
    if name.startswith("[") and name.endswith("]"):
        name = name[1:-1]
    return scheme, name or None, port[1] if port else None, plain or None


def shared_dictionary(text: str) -> str | None:
    return None if text in _DICTIONARIES else f"missing shared dict '{text}'"
