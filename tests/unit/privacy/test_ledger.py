import hashlib
import io
import json

import pytest

from fedmeta_privacy.errors import LedgerDamaged, LedgerVersion
from fedmeta_privacy.ledger import LedgerChain, canonical, decimal, read, read_statement, verify


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


def signed_line(sigs):
    return LedgerChain().state("run", 0, "server", {"n": 3}).sealed(sigs)


def test_the_head_does_not_depend_on_the_signatures():
    """So that sites can sign a line before anybody knows who else will."""
    bare, signed = signed_line(()), signed_line((("server", "ab" * 64), (3, "cd" * 64)))
    (one,), (two,) = (list(read(io.BytesIO(line))) for line in (bare, signed))
    assert one.statement.head == two.statement.head and one.statement.content == two.statement.content
    assert one.sigs == () and [who for who, _ in two.sigs] == ["server", 3]
    assert verify(signed)[0]["sigs"] == [["server", "ab" * 64], [3, "cd" * 64]]


@pytest.mark.parametrize(
    "sigs",
    [
        ((3, "ab" * 64), ("server", "ab" * 64)),
        ((3, "ab" * 64), (3, "ab" * 64)),
        ((4, "ab" * 64), (3, "ab" * 64)),
        (("server", "ab" * 64), ("server", "cd" * 64)),
        ((3, "ab" * 63),),
        ((3, "AB" * 64),),
        ((-1, "ab" * 64),),
        ((2**32, "ab" * 64),),
        ((True, "ab" * 64),),
        (("clinic", "ab" * 64),),
        ((3, 5),),
    ],
)
def test_signatures_have_one_form(sigs):
    with pytest.raises(LedgerDamaged, match="signatures"):
        list(read(io.BytesIO(signed_line(sigs))))


def test_what_the_server_signs_is_no_other_signature():
    chain = LedgerChain()
    one, two = chain.state("run", 0, "server", {}), chain.state("run", 1, "server", {})
    assert one.signed_bytes != two.signed_bytes and len(one.signed_bytes) == 32
    assert one.signed_bytes != hashlib.sha256(one.content).digest()  # the head is published, and is not what is signed


def test_the_chain_takes_only_what_follows():
    chain = LedgerChain()
    first = chain.state("run", 0, "server", {})
    chain.take(first)
    with pytest.raises(LedgerDamaged, match="does not follow"):
        chain.take(first)
    assert (chain.length, chain.head) == (1, first.head)


def test_a_statement_as_it_is_shown():
    statement = LedgerChain().state("round", 1, "server", {"n": 3})
    assert read_statement(statement.content) == statement
    for wrong in (statement.sealed()[:-1], b" " + statement.content, statement.content[:-1], b"", b"[]"):
        with pytest.raises(LedgerDamaged):
            read_statement(wrong)
    with pytest.raises(LedgerVersion, match="SFM-325"):
        read_statement(statement.content.replace(b'"v":2', b'"v":7'))
