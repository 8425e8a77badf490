import pytest

from tollhouse.routing.conditions import closure
from tollhouse.routing.facts import Facts
from tollhouse.routing.grammar import parsed
from tollhouse.wire.headers import Headers

TWO = [("X", "ab"), ("X", "ac"), ("Y", "Q"), ("U", "Ä".encode().decode("latin-1"))]


def holds(expression: str) -> bool:
    facts = Facts("GET", "/a/b", "h.test", Headers.new(TWO), "http", 8000, None, None, ("10.1.2.3", 5), "::1")
    return closure(parsed(expression))(facts)


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        # all values must satisfy a condition, with any() one
        ('http.headers.x ^= "a"', True),
        ('http.headers.x == "ab"', False),
        ('any(http.headers.x) == "ac"', True),
        ('http.headers.x != "ab"', False),
        ('any(http.headers.x) != "ab"', True),
        ('http.headers.x ~ "^a.$"', True),
        ('http.headers.x ~ "b"', False),
        ('any(http.headers.x) ~ "b"', True),
        # what is not there satisfies nothing
        ('http.headers.z != "ab"', False),
        ('any(http.headers.z) != "ab"', False),
        ('!(http.headers.z == "ab")', True),
        # operators
        ('http.path contains "a/"', True),
        ('http.path contains "x"', False),
        ('http.path =^ "/b"', True),
        ("net.dst.port > 7999 && net.dst.port >= 8000 && net.dst.port <= 8000 && net.dst.port < 8001", True),
        ("net.dst.port != 8000", False),
        ("net.src.ip == 10.1.2.3", True),
        ("net.src.ip in 10.0.0.0/8", True),
        ("net.src.ip not in 10.0.0.0/8", False),
        ("net.src.ip in fd00::/8", False),
        ("net.dst.ip not in fd00::/8", True),
        # letter case, as Unicode has it
        ('lower(http.headers.y) == "q"', True),
        ('http.headers.y == "q"', False),
        ('lower(http.headers.u) == "ä"', True),
        ('http.headers.u == "Ä"', True),
        ('http.headers.u ~ "^.$"', True),
        # || before &&
        ('http.method == "PUT" && http.path == "/x" || http.path == "/a/b"', False),
        ('http.path == "/a/b" || http.path == "/x" && http.method == "GET"', True),
    ],
)
def test_conditions(expression: str, expected: bool) -> None:
    assert holds(expression) is expected
