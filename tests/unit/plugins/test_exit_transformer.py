"""exit-transformer: code that does not compile is refused."""

from tollhouse.plugins import Registry


def test_wrong_lua_is_refused() -> None:
    schema = Registry().config("exit-transformer")
    assert schema is not None
    errors = schema.check({"functions": ["return function("]})[1]
    assert "expected" in errors["functions"][0]
    assert schema.check({"functions": ["return function(status) return status end"]})[1] == {}
