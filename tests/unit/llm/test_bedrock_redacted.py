from base64 import b64decode

import pytest

from tollhouse.llm.formats.bedrock_converse.redacted import read, written


@pytest.mark.parametrize("told", ["", "AAEC", "gAAAAABo-url_safe_text==", "é", "abc"])
def test_thoughts_come_back_as_their_maker_gave_them(told: str) -> None:
    shown = written(told)

    b64decode(shown, validate=True)  # as SDKs do
    assert read(shown) == told


def test_what_is_base64_already_is_left_alone() -> None:
    assert written("AAEC") == "AAEC"
