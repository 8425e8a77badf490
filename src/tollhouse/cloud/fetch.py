"""One request, seldom made and never on the hot path: in a thread, by the standard library."""

import asyncio
import urllib.error
import urllib.request
from collections.abc import Iterable
from typing import Final

from tollhouse.cloud.renewed import CloudError

_SECONDS: Final = 10.0
_LARGEST_BYTES: Final = 1024 * 1024


async def fetch(
    method: str, url: str, headers: Iterable[tuple[str, str]] = (), body: bytes = b""
) -> tuple[int, bytes]:
    """Status and body of the answer. Raises `CloudError` if there is none. Certificates are verified."""
    if not url.startswith(("https://", "http://")):
        raise CloudError(f"{url} is no address of a token endpoint")
    request = urllib.request.Request(  # noqa: S310 - the scheme was looked at
        url, data=body or None, headers=dict(headers), method=method
    )
    return await asyncio.to_thread(_send, request)


def _send(request: urllib.request.Request) -> tuple[int, bytes]:
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as answer:  # noqa: S310
            return answer.status, answer.read(_LARGEST_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read(_LARGEST_BYTES)
    except OSError as error:
        raise CloudError(f"{request.host} does not answer: {error}") from error
