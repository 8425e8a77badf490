import pytest

from tollhouse.model import regex


@pytest.mark.parametrize(
    ("pcre", "text", "matched"),
    [
        (r"/a/(?<id>\d+)", "/a/12", "/a/12"),
        (r"/a/(?'id'\d+)/\k<id>", "/a/12/12", "/a/12/12"),
        (r"/(?i)api", "/API", "/API"),
        (r"(?i)x|y", "Y", "Y"),
        (r"((?i)a)b", "AB", None),
        (r"(?i:a)b", "Ab", "Ab"),
        (r"[[:alpha:]_]+", "ab_1", "ab_"),
        (r"[]x]+", "x]", "x]"),
        (r"[^]x]", "]", None),
        (r"[a[&&~~||-]+", "[&~|-a", "[&~|-a"),
        (r"\Qa.b\E+", "a.bb", "a.bb"),
        (r"\Qa.b", "axb", None),
        (r"a\h+b\z", "a \tb", "a \tb"),
        (r"a\Z", "a\n", "a"),
        (r"\x41\x{42}\e", "AB\x1b", "AB\x1b"),
        (r"(a)\g1\g{1}", "aaa", "aaa"),
        (r"\cA", "\x01", "\x01"),
        (r"(?#comment)a", "a", "a"),
        (r"/users/{id}", "/users/{id}", "/users/{id}"),
        (r"(?>a+)b", "aab", "aab"),
        (r"(?<=a)b|a(?!c)", "ab", "a"),
        (r"\d", "٣", None),
    ],
)
def test_pcre_means_what_it_means_to_kong(pcre: str, text: str, matched: str | None) -> None:
    found = regex.compiled(pcre).match(text)
    assert (found and found[0]) == matched


@pytest.mark.parametrize(
    ("pcre", "text"),
    [
        ("/(", "missing closing parenthesis"),
        ("a)", "unmatched closing parenthesis"),
        ("[a", "missing terminating ] for character class"),
        ("*a", "quantifier does not follow a repeatable item"),
        ("a\\", "\\ at end of pattern"),
        (r"\j", "unrecognized character follows \\"),
        ("[z-a]", "range out of order in character class"),
        ("a{2,1}", "numbers out of order in {} quantifier"),
        ("[[:nope:]]", "unknown POSIX class name nope"),
        (r"\x{110000}", "character code point value in \\x{} or \\o{} is too large"),
        ("(?#x", "missing ) after (?# comment"),
    ],
)
def test_a_broken_pattern_is_told_in_pcres_words(pcre: str, text: str) -> None:
    assert regex.problem(pcre) == f'pcre2_compile() failed: {text} in "{pcre}"'


@pytest.mark.parametrize("pcre", [r"\K", "(?|a|b)", "(?R)", "(*ACCEPT)", r"\p{L}", "(?&n)", r"\X"])
def test_what_python_cannot_match_is_refused_by_name(pcre: str) -> None:
    assert "not supported by Tollhouse" in (regex.problem(pcre) or "")


def test_endless_nesting_is_a_problem_and_no_crash() -> None:
    assert "too large" in (regex.problem("(" * 5000) or "")
