"""The scanner finds what the standard library's parser finds, at every buffer size."""

import io
import json
import re
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from secure_fedmeta.datasets.leaf import scan
from secure_fedmeta.datasets.leaf.scan import LeafError, Scanner, parse

FILE = Path("a.json")
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=20,
)


def ranges(data, chunk):
    scanner = Scanner(io.BytesIO(data), FILE, chunk=chunk)
    found = [(key, scanner.skip()) for key in scanner.members()]
    scanner.end()
    return found


@settings(max_examples=150, deadline=None)
@given(
    held=st.dictionaries(st.text(max_size=6), VALUES, max_size=5),
    chunk=st.integers(1, 40),
    ascii_only=st.booleans(),
    indent=st.sampled_from([None, 0, 3]),
)
@example(held={'a"\\': ['\\"]', "[{", {"}": "\\\\"}]}, chunk=1, ascii_only=False, indent=None)
def test_ranges_hold_the_values(held, chunk, ascii_only, indent):
    data = json.dumps(held, ensure_ascii=ascii_only, indent=indent).encode()
    found = ranges(data, chunk)
    assert [key for key, _ in found] == list(held)
    for key, (start, length) in found:
        assert json.loads(data[start : start + length]) == held[key]


@settings(max_examples=100, deadline=None)
@given(
    held=st.dictionaries(st.text(max_size=6), VALUES, min_size=1, max_size=3), chunk=st.integers(1, 9), data=st.data()
)
def test_a_file_cut_off_anywhere_is_refused(held, chunk, data):
    whole = json.dumps(held).encode()
    cut = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(LeafError, match=r"SFM-139.*a\.json"):
        ranges(whole[:cut], chunk)


@pytest.mark.parametrize(
    "text", ["", " ", "[]", "1", '{"a" 1}', '{"a": }', '{"a": 1,}', '{"a": 1 "b": 2}', "{a: 1}", '{"a": 1}}',
             '{"a": 1} 2', '\ufeff{"a": 1}', '{"a": ]}'],
)  # fmt: skip
@pytest.mark.parametrize("chunk", [1, 1 << 20])
def test_text_that_is_no_object(text, chunk):
    with pytest.raises(LeafError, match="SFM-139"):
        for start, length in (where for _, where in ranges(text.encode(), chunk)):
            parse(text.encode()[start : start + length], FILE)


def test_values_are_parsed_strictly_and_never_quoted():
    for text, says in (
        (b"[1, NaN]", "NaN is not a number"),
        (b"-Infinity", "-Infinity is not"),
        (b'"\xff"', "not UTF-8"),
        (b"[secret 1]", "not JSON, or cut off"),
        (b"[" * 100_000 + b"]" * 100_000, "not JSON"),
        (b"9" * 5000, "not JSON"),
    ):
        with pytest.raises(LeafError, match=re.escape(says)) as caught:
            parse(text, FILE, "user-1")
        assert "'user-1'" in str(caught.value) and "secret" not in str(caught.value)


def test_a_string_without_end_is_bounded(monkeypatch):
    monkeypatch.setattr(scan, "LONGEST_STRING", 1000)
    with pytest.raises(LeafError, match="a string of more than 1000 bytes"):
        ranges(b'{"a": "' + b"x" * 10_000 + b'"}', 64)


def test_nesting_deeper_than_the_parser_goes_is_walked_past():
    deep = b"[" * 50_000 + b"]" * 50_000
    assert ranges(b'{"a": ' + deep + b', "b": 1}', 1000)[1] == ("b", (len(deep) + 13, 1))
