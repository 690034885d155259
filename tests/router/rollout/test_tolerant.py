"""JSON as uWSGI writes it: commas too many, nothing escaped; and JSON proper as it is."""

import json
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st

from uwsgi_router.router.rollout.tolerant import loads, repaired

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)
#: What uWSGI would print as it is; a quote before a comma would end the string.
UNESCAPED = st.text(string.printable.replace('"', ""), max_size=20)


def as_uwsgi(value: object) -> str:
    """Write a value as core/stats.c does, with a comma behind each item of a list."""
    if isinstance(value, dict):
        members = [f'\t"{name}":{as_uwsgi(one)}' for name, one in value.items()]
        return "{\n" + ",\n".join(members) + "\n}"
    if isinstance(value, list):
        return "[\n" + "".join(f"{as_uwsgi(one)},\n" for one in value) + "\n]"
    return f'"{value}"' if isinstance(value, str) else json.dumps(value)


@given(JSON)
def test_json_is_json(value: object) -> None:
    assert loads(json.dumps(value)) == value
    assert loads(json.dumps(value, ensure_ascii=False, indent=1)) == value


@given(
    st.dictionaries(
        st.text(string.ascii_letters, min_size=1),
        st.integers() | UNESCAPED | st.lists(UNESCAPED | st.integers(), max_size=4),
        min_size=1,
    ).map(lambda members: {**members, "fastrouter": ["/a", "/b"]})
)
def test_what_uwsgi_writes_is_what_it_means(members: dict[str, object]) -> None:
    assert loads(as_uwsgi(members)) == members


def test_a_real_document() -> None:
    text = '{\n\t"version":"2.0.31",\n\t"fastrouter":[\n"127.0.0.1:1",\n"/b",\n\n\t],\n\t"subscriptions":[\n\n\t]\n}'
    assert loads(text) == {
        "version": "2.0.31",
        "fastrouter": ["127.0.0.1:1", "/b"],
        "subscriptions": [],
    }


def test_quotes_and_backslashes_in_names() -> None:
    assert loads('{"id":"a"b\\c.ini","x":["d\\",]}') == {"id": 'a"b\\c.ini', "x": ["d\\"]}


def test_commas_and_brackets_in_strings_stay() -> None:
    assert repaired('["a,]","b",]') == '["a,]","b"]'


@pytest.mark.parametrize(
    "text", ["", "{", '{"a', '["a"', "nothing", "[" * 100_000, '{"a":[' * 50_000, ",", '"']
)
def test_anything_else_is_an_error(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - of the JSON parser
        loads(text)


@given(st.text('{}[]",:\\ 01a\n'))
def test_nothing_else_happens(text: str) -> None:
    try:
        loads(text)
    except ValueError:
        pass
