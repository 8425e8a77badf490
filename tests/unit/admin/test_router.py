"""Paths with parameters."""

import pytest

from tollhouse.admin.router import Router

ROUTER = Router(
    {
        "/": "root",
        "/plugins": "plugins",
        "/plugins/enabled": "enabled",
        "/plugins/{plugins}": "plugin",
        "/schemas/plugins/validate": "validate plugin",
        "/schemas/{name}": "schema",
        "/schemas/{entity}/validate": "validate",
    }
)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/", ("root", {})),
        ("/plugins/", ("plugins", {})),
        ("/plugins/enabled", ("enabled", {})),
        ("/plugins/x", ("plugin", {"plugins": "x"})),
        ("/plugins/%C3%A9%2F", ("plugin", {"plugins": "é/"})),
        ("/plugins/{}", ("plugin", {"plugins": "{}"})),
        ("/schemas/plugins", ("schema", {"name": "plugins"})),
        ("/schemas/plugins/validate", ("validate plugin", {})),
        ("/schemas/routes/validate", ("validate", {"entity": "routes"})),
    ],
)
def test_a_path_is_found_with_its_parameters(path: str, expected: object) -> None:
    assert ROUTER.find(path) == expected


@pytest.mark.parametrize(
    "path", ["//", "//plugins", "/PLUGINS", "/plugins//", "/plugins/x/y", "/schemas", "*"]
)
def test_any_other_path_is_not(path: str) -> None:
    assert ROUTER.find(path) is None
