"""Kong's `headers` setting."""

import pytest

from tollhouse.flow.advertise import Advertised

DEFAULT = ("server_tokens", "latency_tokens", "X-Kong-Request-Id")
ID = ("X-Kong-Request-Id",)


@pytest.mark.parametrize(
    ("headers", "upstream", "plain"),
    [
        (DEFAULT, ID, True),
        (tuple(reversed(DEFAULT)), ID, True),
        (DEFAULT, ("off",), False),
        (("off",), ID, False),
        ((*DEFAULT, "X-Kong-Upstream-Status"), ID, False),
        (("via", "server", "latency_tokens", "x-kong-request-id"), ID, True),
    ],
)
def test_the_ready_made_text_is_used_only_for_the_usual_set(
    headers: tuple[str, ...], upstream: tuple[str, ...], plain: bool
) -> None:
    assert Advertised.of(headers, upstream).plain is plain


def test_off_is_none() -> None:
    assert Advertised.of(("off",), ("off",)) == Advertised(frozenset(), False, False)
