from ipaddress import ip_address, ip_network

import pytest

from tollhouse.routing.grammar import And, ExpressionError, Not, Or, Predicate, Tree, Value, parsed


def shown(tree: Tree) -> str:
    match tree:
        case And(trees):
            return "(" + " && ".join(map(shown, trees)) + ")"
        case Or(trees):
            return "(" + " || ".join(map(shown, trees)) + ")"
        case Not(each):
            return f"!{shown(each)}"
        case Predicate(field, _, _, operator, value):
            return f"{field} {operator} {value}"


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a == 1 && b != 2 || c >= 3", "(a == 1 && (b != 2 || c >= 3))"),
        ("a > 1 || b < 2 && c <= 3 || d == 4", "((a > 1 || b < 2) && (c <= 3 || d == 4))"),
        ("a == 1 || (b == 2 && c == 3) || d == 4", "(a == 1 || (b == 2 && c == 3) || d == 4)"),
        ("!(a == 1) && b == 2 && !(c == 3)", "(!a == 1 && b == 2 && !c == 3)"),
        ("((a == 1))", "a == 1"),
        ("! ( a==1 )", "!a == 1"),
        ('a\n\t=^\r"x"', "a =^ x"),
        ("a not in 1.0.0.0/8", "a not in 1.0.0.0/8"),
        ("a not \n in 1.0.0.0/8", "a not in 1.0.0.0/8"),
        ('inner contains "not"', "inner contains not"),
    ],
)
def test_or_binds_tighter_than_and(text: str, tree: str) -> None:
    assert shown(parsed(text)) == tree


@pytest.mark.parametrize(
    ("literal", "value"),
    [
        ('"a b"', "a b"),
        (r'"\"\\\n\r\t"', '"\\\n\r\t'),
        (r'r#"/\d+"x"#', r'/\d+"x'),
        ('""', ""),
        ('"你好"', "你好"),
        ("123", 123),
        ("-0123", -83),
        ("08", 8),
        ("0x1F", 31),
        ("-0x123", -291),
        ("0", 0),
        ("9223372036854775807", 9223372036854775807),
        ("1.2.3.4", ip_address("1.2.3.4")),
        ("fd00::1", ip_address("fd00::1")),
        ("::1", ip_address("::1")),
        ("10.0.0.0/24", ip_network("10.0.0.0/24")),
        ("2001:db8::/32", ip_network("2001:db8::/32")),
    ],
)
def test_literals(literal: str, value: Value) -> None:
    assert parsed(f"a == {literal}") == Predicate("a", lower=False, any=False, operator="==", value=value)


@pytest.mark.parametrize(
    ("text", "lower", "any_"),
    [("lower(a)", True, False), ("any(a)", False, True), ("any( lower (any(a)))", True, True)],
)
def test_transformations_nest(text: str, lower: bool, any_: bool) -> None:
    assert parsed(f'{text} == ""') == Predicate("a", lower=lower, any=any_, operator="==", value="")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            "a == 1 || ! b == 2",
            " --> 1:13\n  |\n1 | a == 1 || ! b == 2\n  |             ^---\n  |\n  = expected",
        ),
        ("", " --> 1:1\n  |\n1 | \n  | ^---\n  |\n  = expected term"),
        ("a == ", " --> 1:6\n  |\n1 | a == \n  |      ^---\n  |\n  = expected rhs"),
        ("a = 1", " --> 1:3\n  |\n1 | a = 1\n  |   ^---\n  |\n  = expected binary_operator"),
        (
            "a == 1\n  b == 2",
            " --> 2:3\n  |\n2 |   b == 2\n  |   ^---\n  |\n  = expected EOI, and_op, or or_op",
        ),
        (
            "upper(a) == 1",
            " --> 1:1\n  |\n1 | upper(a) == 1\n  | ^---^\n  |\n  = unknown transformation function: upper",
        ),
        (
            "a ~ 1",
            " --> 1:5\n  |\n1 | a ~ 1\n  |     ^\n  |\n"
            "  = regex operator can only be used with String operands",
        ),
        ("a in 10.0.0.1/8", "has host bits set"),
        ("a == 1.2.3.400", "1.2.3.400"),
        ("a == 9223372036854775808", "number too large to fit in target type"),
        ('a == "\\x"', "expected rhs"),
        ("!(" * 200 + "a == 1" + ")" * 200, "the expression is nested too deeply"),
    ],
)
def test_errors_show_the_place(text: str, reason: str) -> None:
    with pytest.raises(ExpressionError) as refusal:
        parsed(text)
    assert reason in str(refusal.value)


def test_parentheses_alone_are_no_depth() -> None:
    assert parsed("(" * 2000 + "a == 1" + ")" * 2000) == parsed("a == 1")


def test_a_long_chain_is_not_deep() -> None:
    tree = parsed(" || ".join(f"a == {number}" for number in range(3000)))
    assert isinstance(tree, Or)
    assert len(tree.trees) == 3000
