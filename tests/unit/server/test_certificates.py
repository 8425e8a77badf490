"""Which certificate a name finds."""

import pytest

from tollhouse.model.entities import Certificate
from tollhouse.server.certificates import Certificates

NAMES = ("a.b.test", "*.b.test", "a.b.*", "*.test", "localhost")


def named(name: str) -> Certificate:
    return Certificate(id=name, cert="", key="")


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ("a.b.test", "a.b.test"),
        ("A.B.Test.", "a.b.test"),
        ("x.b.test", "*.b.test"),
        ("a.b.example", "a.b.*"),
        ("b.test", "*.test"),
        ("x.y.b.test", None),
        ("localhost", "localhost"),
        ("test", None),
        ("", None),
        (None, None),
    ],
)
def test_the_nearest_name_counts(asked: str | None, found: str | None) -> None:
    certificates = Certificates({name: named(name) for name in NAMES})
    with_any = Certificates({**certificates.names, "*": named("*")})

    entity, other = certificates.find(asked), with_any.find(asked)

    assert (entity.id if entity else None) == found
    assert other is not None
    assert other.id == (found or "*")
