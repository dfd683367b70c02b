# SPDX-License-Identifier: Apache-2.0
"""Every error has its own number, a remedy, and a way to another process."""

import pickle
import re
from pathlib import Path

import pytest

import fedmeta_crypto
from fedmeta_crypto import LocalProtocolError, PeerProtocolError, ProtocolError, TooFewSurvivors, errors
from fedmeta_crypto.homomorphic import errors as homomorphic_errors

ABSTRACT = (ProtocolError, LocalProtocolError, PeerProtocolError)
KINDS = [
    kind
    for kind in (vars(errors) | vars(homomorphic_errors)).values()
    if isinstance(kind, type) and issubclass(kind, ProtocolError) and kind not in ABSTRACT
]


def make(kind):
    if kind is TooFewSurvivors:
        return kind(need=4, have=3, phase="UNMASK")
    if kind is errors.BadShare:
        return kind("what happened", sender=7, holders=(1, 2), where="here")
    if issubclass(kind, PeerProtocolError):
        return kind("what happened", sender=7, where="here")
    return kind("what happened", where="here")


def test_codes_are_unique_and_in_range():
    codes = [kind.code for kind in KINDS]
    assert len(set(codes)) == len(codes) == 42
    assert all(re.fullmatch(r"SFM-2\d\d", code) for code in codes)


def test_the_tree_at_the_top_of_the_file_is_true():
    drawn = dict(re.findall(r"(\w+)(?:\(.*?\))?\s+(SFM-\d+)", errors.__doc__))
    assert drawn == {kind.__name__: kind.code for kind in KINDS}


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_text_and_pickle(kind):
    error = make(kind)
    assert kind.code in str(error) and kind.remedy in str(error) and kind.__name__ in str(error)
    again = pickle.loads(pickle.dumps(error))
    assert type(again) is kind and str(again) == str(error) and vars(again) == vars(error)
    if isinstance(error, PeerProtocolError):
        assert "party 7" in str(error)


@pytest.mark.parametrize("kind", ABSTRACT, ids=lambda kind: kind.__name__)
def test_abstract_kinds_cannot_be_raised(kind):
    with pytest.raises(TypeError, match="abstract"):
        kind("x", sender=1) if kind is PeerProtocolError else kind("x")


def test_the_server_is_named():
    assert "the server" in str(errors.BadMessage("x", sender=fedmeta_crypto.SERVER))


def test_the_room_is_small_and_has_no_forbidden_words():
    assert len(fedmeta_crypto.__all__) <= 15
    root = Path(fedmeta_crypto.__file__).parent
    for path in root.rglob("*.py"):
        text = path.read_text()
        assert text.startswith("# SPDX-License-Identifier: Apache-2.0\n"), path
        assert not re.search(r"import (torch|pickle|json|random|logging|time|socket)\b", text), path
        assert not re.search(r"np\.random|except Exception|^\s*assert ", text, re.MULTILINE), path
        assert text.count("\n") <= 400, path


def test_the_readme_runs(capsys):
    readme = Path(fedmeta_crypto.__file__).parents[1] / "README.md"
    exec(re.search(r"```python\n(.*?)```", readme.read_text(), re.DOTALL).group(1), {})
    assert capsys.readouterr().out.strip() == "[16 16 16 16]"
