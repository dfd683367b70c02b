import json

import pytest

from fedmeta_privacy.errors import LedgerDamaged
from fedmeta_privacy.ledger import LedgerChain, canonical, decimal, verify


def ledger():
    chain = LedgerChain()
    return b"".join(chain.append("round", number, "server", {"epsilon": decimal(number / 3)}) for number in range(4))


def test_chain_and_envelope():
    entries = verify(ledger())
    assert [entry["seq"] for entry in entries] == [0, 1, 2, 3]
    assert set(entries[0]) == {"v", "seq", "prev", "type", "round", "actor", "body", "sigs"}
    assert entries[0]["prev"] == "0" * 64 and entries[1]["sigs"] == []


@pytest.mark.parametrize("at", range(0, 200, 7))
def test_any_changed_byte_but_the_last_lines_is_noticed(at):
    whole = bytearray(ledger())
    first_three = sum(len(line) + 1 for line in bytes(whole).split(b"\n")[:3])
    position = at % first_three
    whole[position] ^= 1
    with pytest.raises(LedgerDamaged, match="SFM-309: line"):
        verify(bytes(whole))


def test_dropped_swapped_and_torn_lines():
    lines = ledger().splitlines(keepends=True)
    for wrong in (lines[1:], [lines[0], *lines[2:]], [lines[1], lines[0]], [*lines, lines[-1]]):
        with pytest.raises(LedgerDamaged):
            verify(b"".join(wrong))
    with pytest.raises(LedgerDamaged, match="no end"):
        verify(ledger()[:-1])


def test_not_canonical_is_refused_even_when_equal_as_json():
    line = ledger().split(b"\n")[0]
    with pytest.raises(LedgerDamaged):
        verify(json.dumps(json.loads(line)).encode() + b"\n")
    with pytest.raises(LedgerDamaged):
        verify(b'{"seq":NaN}\n')


def test_floats_and_strange_keys_are_not_canonical():
    for wrong in ({"x": 0.5}, {"x": [1, {"y": 2.0}]}, {1: "x"}):
        with pytest.raises(TypeError):
            canonical(wrong)
    assert float(decimal(0.1 + 0.2)) == 0.1 + 0.2
