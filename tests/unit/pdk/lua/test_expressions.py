"""Lua expressions that are built in: what they give, what fails, and what is left to a whole Lua."""

import math
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollhouse.pdk.lua.errors import LuaError, LuaRefused, Unsupported
from tollhouse.pdk.lua.expressions import compile_expression
from tollhouse.pdk.lua.library import GLOBALS
from tollhouse.pdk.lua.sandbox import Sandbox
from tollhouse.pdk.lua.tables import HeaderTable
from tollhouse.pdk.lua.templates import Template

GIVEN = {
    "headers": HeaderTable({"x-in": "v1", "empty": ""}),
    "query_params": {"q": "w", "list": ["a", "b"], "flag": True},
    "kong": {"request": {"get_header": lambda name: f"<{name}>"}},
}


def names(name: str) -> object:
    return GIVEN.get(name, GLOBALS.get(name))


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("headers.x_in", "v1"),
        ('headers["X-In"]', "v1"),
        ("headers.none", None),
        ('headers.none or "d"', "d"),
        ('headers.empty or "d"', ""),
        ('query_params.q == "w" and "yes" or "no"', "yes"),
        ("query_params.list[2]", "b"),
        ("#query_params.list", 2),
        ("query_params.flag", True),
        ('kong.request.get_header("a")', "<a>"),
        ("1 + 2 * 3 ^ 2 - 4 / 2", 17),
        ("7 % 3 .. '|' .. 7 / 2", "1|3.5"),
        ("-2 ^ 2", -4),
        ("2 ^ 3 ^ 2", 512),
        ("1 / 0", math.inf),
        ("0x1F", 31),
        ("'a' < 'b' and 1 <= 1.0 and not nil", True),
        ("true == 1", False),
        ("'1' == 1", False),
        ("'10' + 5", 15),
        ('string.upper("aé")', "A\xc3\xa9"),
        ('("abc"):sub(2, -1)', "bc"),
        ('("abc"):sub(-2, 2)', "b"),
        ('("abc"):rep(2)', "abcabc"),
        ('("abc"):reverse():len()', 3),
        (
            'string.format("%05.1f|%s|%d|%%|%q|%x", 3.14159, nil, "7", "a\\"b", 255)',
            '003.1|nil|7|%|"a\\"b"|ff',
        ),
        (r'("a,b"):gsub(",", ";")', "a;b"),
        (r'("a1b2"):gsub("%d", "")', "ab"),
        (r'("k=v"):gsub("(%w+)=(%w+)", "%2=%1")', "v=k"),
        (r'("a.b.c"):gsub("%.", "-", 1)', "a-b.c"),
        (r'("Bearer xyz"):match("^Bearer%s+(.+)$")', "xyz"),
        (r'("ab12"):match("%d+")', "12"),
        (r'("ab12"):find("1", 1, true)', 3),
        (r'("ab"):find("z")', None),
        ('string.byte("A")', 65),
        ("string.char(72, 105)", "Hi"),
        ("math.floor(3.7) + math.max(1, 5)", 8),
        ('tonumber("0x10") + tonumber("z", 36)', 51),
        ('tonumber("nan")', None),
        ('type(nil) .. type("x")', "nilstring"),
        ('table.concat(query_params.list, "+")', "a+b"),
        ("tostring(nil)", "nil"),
    ],
)
def test_an_expression_gives_what_lua_gives(source: str, value: object) -> None:
    assert compile_expression(source)(names) == value


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ('error("boom")', "boom"),
        ("headers.none.x", "attempt to index a nil value"),
        ("nobody()", "attempt to call a nil value"),
        ("1 < 'a'", "attempt to compare number with string"),
        ("nil .. 'a'", "attempt to concatenate a nil value"),
        ("'a' + 1", "number expected, got string"),
        ("assert(false, 'no')", "no"),
        ("string.rep('x', 1e9)", "resulting string too large"),
        ("('a'):gsub('(', '')", "malformed pattern"),
        ("('a'):find('%f[a]')", "unsupported Lua pattern"),
        ("string.sub()", "bad argument"),
        ("#nil", "attempt to get length of a nil value"),
    ],
)
def test_what_fails_in_lua_fails(source: str, message: str) -> None:
    with pytest.raises(LuaError, match=message.replace("(", r"\(")):
        compile_expression(source)(names)


@pytest.mark.parametrize(
    "source", ["{1}", "function() end", "a = 1", "1 +", "return 1", "", "(" * 200, "a;b", "'x'.y"]
)
def test_what_is_no_built_in_form_is_left_to_lua(source: str) -> None:
    with pytest.raises(Unsupported):
        compile_expression(source)


@given(st.text(max_size=40))
def test_no_text_does_anything_else_than_compile_or_be_refused(source: str) -> None:
    try:
        compile_expression(source)
    except Unsupported:
        return


@given(
    st.integers(-1000, 1000),
    st.integers(-1000, 1000),
    st.sampled_from(["+", "-", "*", "/", "%", "..", "<", "=="]),
)
def test_operators_agree_with_a_whole_lua(left: int, right: int, operator: str) -> None:
    source = f"({left}) {operator} ({right})"
    ours = compile_expression(source)(names)
    theirs = SANDBOX.chunk(f"return {source}")(names)
    assert ours == theirs or (ours != ours and theirs != theirs)


SANDBOX = Sandbox()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("a-$(headers.x_in)-b", "a-v1-b"),
        ("$(headers.none)", ""),
        ("$(query_params.list)", "a, b"),
        ("$(query_params.flag)$(1 == 2)", "truefalse"),
        ("$(", "$("),
        ("$((function() local s = 0 for i = 1, 4 do s = s + i end return s end)())", "10"),
        (
            "$((function() return headers.X_In .. tostring(os) .. tostring(io) .. tostring(require) end)())",
            "v1nilnilnil",
        ),
        ('$((function() return kong.request.get_header("h") end)())', "<h>"),
    ],
)
def test_a_template_fills_in_what_its_expressions_give(text: str, shown: str) -> None:
    assert Template(text, SANDBOX).render(names) == shown


@pytest.mark.parametrize(
    "code",
    [
        "while true do end",
        "while true do pcall(function() while true do end end) end",
        "return ('x'):rep(1e9)",
        "return kong.request.get_header.__class__",
        "local t = {} t.t = t return t",
        "error('boom')",
    ],
)
def test_a_whole_lua_has_limits_and_no_way_out(code: str) -> None:
    template = Template(f"$((function() {code} end)())", SANDBOX)
    with pytest.raises(LuaError):
        template.render(names)
    assert Template("$((function() return 1 end)())", SANDBOX).render(names) == "1", (
        "the next run is free again"
    )


def test_where_lua_is_not_allowed_everything_compiles_and_nothing_runs() -> None:
    closed = Sandbox(is_allowed=False)

    assert Template("plain", closed).render(names) == "plain"
    runs: tuple[Callable[[], object], ...] = (
        lambda: Template("$(headers.x_in)", closed).render(names),
        lambda: closed.chunk("return 1")(names),
        lambda: closed.function("return function() end")(names, "argument"),
        lambda: closed.resident("return 1", "")(names),
    )
    for run in runs:
        with pytest.raises(LuaError, match="'untrusted_lua' config option is set to 'off'"):
            run()


def test_wrong_lua_is_refused() -> None:
    with pytest.raises(LuaRefused, match="unexpected symbol"):
        Template("$(1 +)", SANDBOX)
