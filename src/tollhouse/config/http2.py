"""Whether this installation can speak HTTP/2 to services; the package for it is optional."""

from importlib.util import find_spec
from typing import Final

#: protocols of services that are spoken over HTTP/2
HTTP2_PROTOCOLS: Final = frozenset({"grpc", "grpcs"})


def protocol_problem(protocol: str) -> str | None:
    """Why no service with this protocol can be reached; None if it can."""
    if protocol in HTTP2_PROTOCOLS and find_spec("h2") is None:
        return f"the protocol {protocol} needs h2: pip install 'tollhouse[http2]'"
    return None
