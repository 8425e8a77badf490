"""References to secrets, as Kong's vaults resolve them."""

from pathlib import Path

import pytest

from tollhouse.model.entities import Vault
from tollhouse.stores.vaults import Vaults

ENVIRONMENT = {
    "MY_KEY": "secret",
    "MY_KEY_PREVIOUS": "old secret",
    "KEYS": '{"first": "one", "number": 2, "a/b": "three"}',
    "TEXT": "no json",
    "APP_KEY": "app",
}
VAULT = Vaults(
    ENVIRONMENT,
    entities=[
        Vault(prefix="my-env", name="env", config={"prefix": "app_"}),
        Vault(prefix="bare", name="env", config={"prefix": None}),
    ],
)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("{vault://env/my-key}", "secret"),
        ("{vault://env/MY_KEY}", "secret"),
        ("{vault://env/my-key#2}", "old secret"),
        ("{vault://env/my-key#1}", "secret"),
        ("{vault://env/keys/first}", "one"),
        ("{vault://env/keys/number}", "2"),
        ("{vault://env/keys/a/b}", "three"),
        ("{vault://env/key?prefix=app_}", "app"),
        ("{vault://my-env/key}", "app"),
        ("{vault://bare/my-key}", "secret"),
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
        ("{vault://my-env/my-key}", "no such variable"),
        ("{vault://env/keys/third}", "no key 'third'"),
        ("{vault://env/text/first}", "no JSON object"),
        ("{vault://hcv/secret/key}", "there is no vault 'hcv'"),
        ("{vault://env}", "expected {vault://name/resource}"),
        ("{vault://file/..}", "a file's name is expected"),
    ],
)
def test_what_stands_for_nothing_is_empty_and_logged(
    reference: str, reason: str, caplog: pytest.LogCaptureFixture
) -> None:
    assert VAULT.resolved(reference) == ""
    assert reason in caplog.text
    assert reference in caplog.text
    assert "no json" not in caplog.text


def test_a_file_is_read_anew_each_time_without_its_last_newline(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    vaults = Vaults({}, file_prefix=str(tmp_path)).knowing(
        [Vault(prefix="mounted", name="file", config={"prefix": str(tmp_path / "sub")})]
    )
    (tmp_path / "db-password").write_text("first\n")
    (tmp_path / "sub" / "keys.json").write_text('{"key": "k"}')
    assert vaults.resolved("{vault://file/db-password}") == "first"
    (tmp_path / "db-password").write_text("second\n\n")
    assert vaults.resolved("{vault://file/db-password}") == "second\n"
    assert vaults.resolved("{vault://mounted/keys.json/key}") == "k"
    assert vaults.resolved("{vault://file/sub}") == ""
