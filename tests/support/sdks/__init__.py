"""The official SDKs, one module each, all asked the same question and read into the same answer.

An application changes its base URL and nothing else: what an SDK reads through the gateway must be what
the provider's own SDK reads from the provider.
"""

from tests.support.sdks.seen import Client, Seen

__all__ = ["Client", "Seen"]
