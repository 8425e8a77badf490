from typing import get_args

from tollhouse.model import common


def test_the_protocols_are_named_twice_alike() -> None:
    assert get_args(common.Protocol) == common.PROTOCOLS
    assert set(common.HTTP_PROTOCOLS) < set(common.PROTOCOLS)
