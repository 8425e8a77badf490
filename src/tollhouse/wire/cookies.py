"""Cookies (RFC 6265): read from requests, written for answers."""

from tollhouse.wire.headers import Headers


def cookies(headers: Headers) -> dict[str, str]:
    """The cookies of a request by name; of several with one name the first, which is the most specific."""
    found: dict[str, str] = {}
    for line in headers.get_all("cookie"):
        for piece in line.split(";"):
            name, mark, value = piece.strip(" \t").partition("=")
            if mark and name not in found:
                found[name] = value.strip('"') if value.startswith('"') else value
    return found
