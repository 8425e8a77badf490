"""The names that certificates are asked for, and the answers to challenges."""

from typing import Any

import pytest

from tollhouse.pdk.acme import Domains, key_authorization


@pytest.mark.parametrize(
    ("config", "name", "has"),
    [
        ({"domains": ["a.test"]}, "a.test", True),
        ({"domains": ["A.test"]}, "a.test", True),
        ({"domains": ["a.test"]}, "b.a.test", False),
        ({"domains": ["*.a.test"]}, "b.a.test", True),
        ({"domains": ["*.a.test"]}, "c.b.a.test", True),
        ({"domains": ["*.a.test"]}, "a.test", False),
        ({"domains": ["*.a.test"]}, "ba.test", False),
        ({"domains": ["a.*"]}, "a.org", True),
        ({"domains": ["a.*"]}, "ba.org", False),
        ({"domains": None}, "a.test", False),
        ({"domains": []}, "", False),
        ({"allow_any_domain": True}, "a.test", True),
        ({"allow_any_domain": True}, "10.0.0.1", False),
        ({"allow_any_domain": True, "enable_ipv4_common_name": True}, "10.0.0.1", True),
    ],
)
def test_names(config: dict[str, Any], name: str, has: bool) -> None:
    assert Domains.of(config).has(name) is has


@pytest.mark.parametrize(
    ("token", "answer"),
    [("abc-_9", "abc-_9.print"), ("<b>", None), ("a/b", None), ("a.b", None), ("", None)],
)
def test_only_tokens_are_answered(token: str, answer: str | None) -> None:
    assert key_authorization(token, "print") == answer
