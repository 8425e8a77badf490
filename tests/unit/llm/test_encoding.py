import gzip

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.errors import PeerError
from tollhouse.llm import encoding
from tollhouse.llm.encoding import Gunzip, gunzip


@given(st.binary(max_size=500), st.integers(0, 600))
def test_gzip_is_read_wherever_it_is_cut(plain: bytes, cut: int) -> None:
    packed = gzip.compress(plain)
    reader = Gunzip()

    assert reader.feed(packed[:cut], False) + reader.feed(packed[cut:], True) == plain
    assert gunzip(packed) == plain


@pytest.mark.parametrize("packed", [b"not gzip", gzip.compress(b"x" * 100, mtime=0)[:-9], b""])
def test_broken_gzip_is_the_provider_s_fault(packed: bytes) -> None:
    with pytest.raises(PeerError):
        gunzip(packed)
    with pytest.raises(PeerError):
        Gunzip().feed(packed, True)


def test_what_unfolds_beyond_all_measure_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "WHOLE_LIMIT_BYTES", 1000)

    with pytest.raises(PeerError):
        gunzip(gzip.compress(b"x" * 1001))
    assert gunzip(gzip.compress(b"x" * 999)) == b"x" * 999
