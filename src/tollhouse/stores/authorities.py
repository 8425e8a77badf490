"""Whom servers that a node asks have to be vouched for by."""

import ssl
from collections.abc import Sequence
from typing import Final

#: the authorities of the machine, and no others
SYSTEM: Final = ("system",)


def client_context(trusted: Sequence[str], *, verify: bool) -> ssl.SSLContext:
    """For connections to servers. `trusted` are PEM files of authorities, and `system`. Raises `OSError`."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if not verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    for name in trusted:
        if name == "system":
            context.load_default_certs()
        else:
            context.load_verify_locations(name)
    return context
