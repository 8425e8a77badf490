import pytest

from tollhouse.routing.match import is_utf8, lowered, wire


@pytest.mark.parametrize(("text", "on_the_wire"), [("/a", "/a"), ("/ü", "/\xc3\xbc"), ("你", "\xe4\xbd\xa0")])
def test_configured_text_is_compared_as_its_utf8_bytes(text: str, on_the_wire: str) -> None:
    assert wire(text) == on_the_wire


def test_only_ascii_letters_are_lowered() -> None:
    assert lowered("AbC-1") == "abc-1"
    assert lowered("A\xc3\x84") == "a\xc3\x84"


def test_utf8_is_told_from_other_bytes() -> None:
    assert is_utf8("/a")
    assert is_utf8("/\xc3\xbc")
    assert not is_utf8("/\xfc")
