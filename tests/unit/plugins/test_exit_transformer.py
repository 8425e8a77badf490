"""exit-transformer: code that does not compile is refused."""

from tollhouse.plugins import Registry


def test_wrong_lua_is_refused() -> None:
    schema = Registry().config("exit-transformer")
    assert schema is not None
    errors = schema.check({"functions": ["return function("]})[1]
    assert "expected" in errors["functions"][0]
    assert schema.check({"functions": ["return function(status) return status end"]})[1] == {}


def test_what_no_plugin_sees_cannot_be_asked_for() -> None:
    schema = Registry().config("exit-transformer")
    assert schema is not None
    functions = ["return function(status) return status end"]
    errors = schema.check({"functions": functions, "handle_unexpected": True})[1]
    assert "answered before any plugin runs" in errors["handle_unexpected"]
    assert schema.check({"functions": functions, "handle_unexpected": False})[1] == {}
