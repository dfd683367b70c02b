"""The YAML writer against a reader that knows nothing of it."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fedmeta_privacy.errors import DisclosureRefused
from fedmeta_privacy.yaml_writer import to_yaml

# YAML 1.1's core forms; a plain scalar that matches none of them would be text, which is never written plain.
INTEGER = re.compile(r"-?(0|[1-9][0-9]*)")
FLOAT = re.compile(r"-?[0-9]+\.[0-9]+(e[-+][0-9]+)?")


def read(text):
    """Block mappings by indentation, lists of scalars, and the four kinds of scalar above."""
    lines = text.split("\n")
    assert lines.pop() == ""
    value, rest = block(lines, 0)
    assert rest == []
    return value


def block(lines, depth):
    found = {}
    while lines and len(lines[0]) - len(lines[0].lstrip(" ")) == depth:
        key, _, tail = lines[0].strip(" ").partition(":")
        assert re.fullmatch(r"[a-z][a-z0-9_]*", key) and key not in found
        lines = lines[1:]
        if tail:
            assert tail[0] == " "
            found[key] = scalar(tail[1:])
        elif lines[0].lstrip(" ").startswith("- "):
            found[key] = []
            while lines and lines[0].startswith(" " * (depth + 2) + "- "):
                found[key].append(scalar(lines[0][depth + 4 :]))
                lines = lines[1:]
        else:
            found[key], lines = block(lines, depth + 2)
    return found, lines


def scalar(text):
    if text.startswith('"'):
        assert text.endswith('"') and text.isascii() and "\t" not in text
        return json.loads(text)
    if text in {"true", "false"}:
        return text == "true"
    if INTEGER.fullmatch(text):
        return int(text)
    assert FLOAT.fullmatch(text), text
    return float(text)


texts = st.text(max_size=20) | st.sampled_from(
    ["no", "1e5", "2026-01-01", "- a", "a: b", "# x", "'", '"', "\\", "\n", ""]
)
scalars = texts | st.booleans() | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
keys = st.sampled_from(["a", "b_1", "name", "no", "true", "null"])
leaves = st.dictionaries(keys, scalars | st.lists(scalars, min_size=1, max_size=3), min_size=1, max_size=4)
documents = st.dictionaries(keys, scalars | leaves | st.dictionaries(keys, leaves, min_size=1, max_size=2), min_size=1)


@given(documents)
@settings(max_examples=60, deadline=None)
def test_what_is_written_reads_back(document):
    back = read(to_yaml(document))
    assert back == document and list(back) == list(document)
    assert json.dumps(back) == json.dumps(document)  # kinds too: 1, 1.0 and True differ


@pytest.mark.parametrize("value", [1e-5, 1e-05, 1e300, 5e-324, 0.1, -2.5e-7])
def test_floats_have_a_point(value):
    (line,) = to_yaml({"a": value}).splitlines()
    assert FLOAT.fullmatch(line[3:]) and float(line[3:]) == value


@pytest.mark.parametrize("value", [None, float("nan"), float("inf"), b"x", object(), [None], {}, []])
def test_other_kinds_are_refused(value):
    with pytest.raises(DisclosureRefused, match="SFM-329"):
        to_yaml({"a": value})


@pytest.mark.parametrize("key", ["", "A", "a b", "a:", "1a", 3])
def test_other_keys_are_refused(key):
    with pytest.raises(DisclosureRefused):
        to_yaml({key: "x"})


@pytest.mark.parametrize("text", ["a:  \n", "a: 01\n", "a: yes\n", "a: 1e-05\n", "a\n"])
def test_the_reader_refuses_what_it_should_not_read(text):
    with pytest.raises((AssertionError, ValueError, IndexError)):
        read(text)
