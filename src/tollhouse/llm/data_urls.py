"""`data:` URLs (RFC 2397), in which several forms carry pictures and files. Pure."""

from collections.abc import Mapping
from typing import Any, Final

from tollhouse.llm.chat import Image

_SCHEME: Final = "data:"
_BASE64: Final = ";base64,"
_NOTHING: Final[Mapping[str, Any]] = {}


def data_url(media_type: str | None, data: str | None) -> str:
    """The URL of base64 data."""
    return f"{_SCHEME}{media_type}{_BASE64}{data}"


def data_in(url: str) -> tuple[str, str] | None:
    """Media type and base64 of such a URL."""
    head, mark, data = url.partition(_BASE64)
    return (head.removeprefix(_SCHEME), data) if mark and head.startswith(_SCHEME) else None


def image_at(url: str, detail: str | None = None, extra: Mapping[str, Any] = _NOTHING) -> Image:
    """The picture that a URL of any kind stands for."""
    if (inside := data_in(url)) is not None:
        return Image(data=inside[1], media_type=inside[0], detail=detail, extra=extra)
    return Image(url=url, detail=detail, extra=extra)


def url_of(image: Image) -> str:
    """Where a picture is, if need be in the URL itself."""
    return image.url or data_url(image.media_type, image.data)
