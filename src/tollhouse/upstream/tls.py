"""TLS towards targets."""

import ssl
from functools import cache

from tollhouse.upstream.pool import Address


@cache
def _context(*, verify: bool) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def context_for(address: Address) -> ssl.SSLContext:
    """The context for an address: verified by the system's authorities, or not at all."""
    return _context(verify=address.verify)
