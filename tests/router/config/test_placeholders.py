import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.router.config.configuring import Files
from uwsgi_router.router.config.placeholders import ExpansionError, Placeholders

VALUES = {
    "foo": "17",
    "bar": "30",
    "name": "foo",
    "deep": "%(name)",
    "a": "%(b)",
    "b": "%(a)",
    "word": "O",
}
FILES = {"b.txt": "file content\nsecond\n"}


def read(path: str) -> str:
    try:
        return FILES[path]
    except KeyError:
        raise FileNotFoundError(2, "No such file or directory") from None


def expand(text: str) -> str:
    return Placeholders(VALUES.get, {"HOME": "/root", "WRAPPED": "%(foo)"}, read).expand(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%(foo)", "17"),
        ("[%( foo )]", "[17]"),
        ("%(nope)x%(foo)", "%(nope)x17"),
        ("$(HOME)/x", "/root/x"),
        ("$(NOSUCH)", "$(NOSUCH)"),
        ("$(WRAPPED)", "17"),
        ("%(%(name))", "17"),
        ("%(deep)", "foo"),
        ("%(x%(nope))", "%(x%(nope))"),
        ("[@(b.txt)]", "[file content\nsecond]"),
        ("%()|$()|", "%()|$()|"),
        ("%(foo", "%(foo"),
        ("100%", "100%"),
    ],
)
def test_expansion(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("%(foo + bar + 3)", "50"),
        ("%(foo + bar + 3 * 2)", "100"),
        ("%(foo ++)", "18"),
        ("%(foo --)", "16"),
        ("%(foo bar ++)", "1731"),
        ("%(foo / 3)", "5"),
        ("%(bar - foo)", "13"),
        ("%(foo - 20)", "-3"),
        ("%(foo bar)", "1730"),
        ("%(3 + 4)", "7"),
        ("%(word + 1)", "1"),
        ("%(foo/3)", "%(foo/3)"),
        ("%(foo + nope)", "%(foo + nope)"),
    ],
)
def test_calculation_goes_from_left_to_right(text: str, expected: str) -> None:
    assert expand(text) == expected


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("%(a)", "placeholders go in a circle: a -> b -> a"),
        ("%(foo / 0)", "division by zero"),
        ("@(nofile)", "@(nofile): No such file or directory"),
        ("@(exec://id)", "@(exec://id): only plain files can be put in"),
    ],
)
def test_what_cannot_be_expanded(text: str, message: str) -> None:
    with pytest.raises(ExpansionError) as caught:
        expand(text)
    assert str(caught.value) == message


def test_values_cannot_grow_without_end() -> None:
    values = {str(n): f"%({n + 1})" * 50 for n in range(10)} | {"10": "x"}
    with pytest.raises(ExpansionError, match="longer than"):
        Placeholders(values.get, {}, read).expand("%(0)")


@given(st.text(alphabet="%$@()abfo +-*/17 \0", max_size=60))
def test_any_text_is_expanded_or_refused(text: str) -> None:
    try:
        result = expand(text)
    except ExpansionError:
        return
    assert isinstance(result, str)


def test_a_placeholder_may_be_set_after_its_use(files: Files) -> None:
    assert files.prints("print = %(later)\nlater = yes") == ["yes"]


def test_the_first_value_of_a_name_counts(files: Files) -> None:
    assert files.prints("dup = 1\ndup = 2\nprint = %(dup)") == ["1"]


def test_options_are_placeholders_too(files: Files) -> None:
    assert files.prints("fastrouter = 127.0.0.1:1\nprint = %(fastrouter)") == ["127.0.0.1:1"]


def test_three_ways_to_set_one(files: Files) -> None:
    text = "set-placeholder = a=1\nset-ph = b = 2 3\nset = c=4\nprint = %(a)|%(b)|%(c)"
    assert files.prints(text) == ["1|2 3|4"]


def test_set_sets_options_and_set_placeholder_does_not(files: Files) -> None:
    router = files.router("set = fastrouter-timeout=9\nset-ph = fastrouter-gracetime=9")
    assert (router.timeout, router.gracetime) == (9, 30)
