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


def set_cookie(
    name: str,
    value: str,
    *,
    path: str,
    domain: str | None = None,
    same_site: str | None = None,
    http_only: bool = True,
    secure: bool = True,
    seconds: int | None = None,
) -> str:
    """The value of Set-Cookie; `seconds` is how long it lasts, `None` as long as the browser is open."""
    parts = [f"{name}={value}", f"Path={path}"]
    parts += [f"Domain={domain}"] if domain else []
    parts += [f"Max-Age={seconds}"] if seconds is not None else []
    parts += [f"SameSite={same_site}"] if same_site else []
    parts += ["HttpOnly"] if http_only else []
    parts += ["Secure"] if secure else []
    return "; ".join(parts)
