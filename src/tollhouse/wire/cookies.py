"""Cookies (RFC 6265): read from requests, written for answers."""

from email.utils import formatdate

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
    lasts: tuple[float, int] | None = None,
) -> str:
    """The value of Set-Cookie, its parts in the order of Kong's. `lasts` is the time now and for how many
    seconds from then it holds, 0 to take it away; `None` as long as the browser is open."""
    parts = [f"{name}={value}", f"Path={path}"]
    parts += [f"Domain={domain}"] if domain else []
    parts += [f"SameSite={same_site}"] if same_site else []
    parts += ["Secure"] if secure else []
    parts += ["HttpOnly"] if http_only else []
    if lasts is not None:
        now, seconds = lasts
        parts += [f"Expires={formatdate(now + seconds if seconds else 1, usegmt=True)}", f"Max-Age={seconds}"]
    return "; ".join(parts)
