"""References to the environment, as Kong's `env` vault resolves them."""

import pytest

from tollhouse.stores.env_vault import EnvVault

VAULT = EnvVault({"MY_KEY": "secret", "KEYS": '{"first": "one", "number": 2}', "TEXT": "no json"})


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{vault://env/my-key}", "secret"),
        ("{vault://env/MY_KEY}", "secret"),
        ("{vault://env/keys/first}", "one"),
        ("{vault://env/keys/number}", "2"),
        ("plain", "plain"),
        ("Bearer {vault://env/my-key}", "Bearer {vault://env/my-key}"),
        (7, 7),
        (None, None),
        ({"auth": {"key": "{vault://env/my-key}"}, "n": 1}, {"auth": {"key": "secret"}, "n": 1}),
        (["{vault://env/my-key}", "b"], ["secret", "b"]),
        (("{vault://env/my-key}",), ("secret",)),
    ],
)
def test_a_reference_is_replaced_however_deep_it_is(value: object, expected: object) -> None:
    assert VAULT.resolved(value) == expected


@pytest.mark.parametrize(
    ("reference", "reason"),
    [
        ("{vault://env/missing}", "no such variable"),
        ("{vault://env/keys/third}", "no such variable"),
        ("{vault://env/text/first}", "no such variable"),
        ("{vault://hcv/secret/key}", "only the vault 'env'"),
    ],
)
def test_what_stands_for_nothing_is_empty_and_logged(
    reference: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert VAULT.resolved(reference) == ""
    assert reason in caplog.text
    assert reference in caplog.text
