"""Tables of others: every form is read alike, and what is no table is a numbered error without a cell in it."""

import contextlib
import csv

import numpy as np
import pytest

from secure_fedmeta.datasets import table as tables
from secure_fedmeta.datasets.table import Table, TableError, is_missing, number_of, numbers_of, read_table


def written(tmp_path, content, name="t.csv"):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters_byte_order_marks_and_blanks(tmp_path, delimiter):
    text = f"\ufeffa{delimiter} b \n 1 {delimiter}x\n\n2{delimiter}y\n"
    table = read_table(written(tmp_path, text))
    assert dict(table.columns) == {"a": ["1", "2"], "b": ["x", "y"]} and len(table) == 2


def test_quoted_cells_keep_their_delimiter(tmp_path):
    assert read_table(written(tmp_path, 'a,b\n"1,5","x\ny"\n')).column("a") == ["1,5"]


def test_all_forms_of_one_table_are_alike(tmp_path):
    cells = {"age": ["41", "52", ""], "sex": ["f", "m", "f"], "died": ["0", "1", "1"]}
    from_csv = read_table(written(tmp_path, "age,sex,died\n41,f,0\n52,m,1\n,f,1\n"))
    arrays = {"age": np.array([41.0, 52.0, np.nan]), "sex": ["f", "m", "f"], "died": np.array([False, True, True])}

    class Frame:  # what pandas and its kin look like from here
        columns = tuple(arrays)

        def __getitem__(self, name):
            return arrays[name]

    structured = np.array([(41, "f", 0), (52, "m", 1)], dtype=[("age", "i4"), ("sex", "U1"), ("died", "i4")])
    for table in (from_csv, Table.of(arrays), Table.of(Frame())):
        assert {name: list(table.columns[name]) for name in table.columns} == cells
    assert Table.of(structured).column("sex") == ["f", "m"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "no name"),
        ("a,a\n1,2\n", "two columns are named 'a'"),
        ("a,\n1,2\n", "no name"),
        ("a,b\n", "no rows"),
        ("a,b\n1,2\n3\n", "line 3 has 1 cells, the first line 2"),
        (b"a,b\n\xff\xfe,2\n", "not UTF-8"),
        ("a,b\n" + "x" * 20_000 + ",2\n", "not CSV"),
    ],
)
def test_what_is_no_table_is_refused(tmp_path, content, said):
    with pytest.raises(TableError, match="SFM-150") as error:
        read_table(written(tmp_path, content))
    assert said in str(error.value)


def test_missing_files_folders_and_giants(tmp_path, monkeypatch):
    with pytest.raises(TableError, match="cannot read"):
        read_table(tmp_path / "none.csv")
    with pytest.raises(TableError, match="folder"):
        read_table(tmp_path)
    path = written(tmp_path, "a\n1\n2\n3\n")
    monkeypatch.setattr(tables, "MOST_ROWS", 2)
    with pytest.raises(TableError, match="more than 2 rows"):
        read_table(path)
    monkeypatch.setattr(tables, "MOST_BYTES", 2)
    with pytest.raises(TableError, match="more than"):
        read_table(path)


def test_parquet_needs_its_library_and_says_so(tmp_path):
    path = written(tmp_path, b"PAR1 but not really PAR1", "t.parquet")
    with pytest.raises(TableError, match=r"pyarrow|not a Parquet file"):
        read_table(path)


@pytest.mark.parametrize("source", [None, 3, [1, 2]])
def test_other_objects_are_no_tables(source):
    with pytest.raises(TableError, match="is no table"):
        Table.of(source)


def test_columns_of_unequal_length_and_none():
    with pytest.raises(TableError, match="columns of 1 and 2 rows"):
        Table.of({"a": [1], "b": [1, 2]})
    with pytest.raises(TableError, match="no rows"):
        Table.of({"a": []})
    with pytest.raises(TableError, match="no column 'z'"):
        Table.of({"a": [1]}).column("z")


def test_numbers_tell_columns_rows_and_counts_but_no_cell():
    table = Table.of({"a": ["1", "secret-7", "", "3"]}, name="mine")
    with pytest.raises(TableError, match="1 of 4 cells are missing, the first in row 3"):
        numbers_of(table, "a")
    with pytest.raises(TableError, match="1 of 4 cells are no numbers, the first in row 2") as error:
        numbers_of(table, "a", missing=0.0)
    assert "secret" not in str(error.value)
    assert numbers_of(Table.of({"a": ["1", "NA", "2,5"]}), "a", missing=-1.0).tolist() == [1.0, -1.0, 2.5]


@pytest.mark.parametrize("cell", ["nan", "inf", "-inf", "1e999", "0x10", "1_0", "1,000.5", "1,2,3", "one"])
def test_odd_numbers_are_none(cell):
    assert number_of(cell) is None


@pytest.mark.parametrize(("cell", "gone"), [("NaN", True), ("None", True), ("?", True), ("0", False), ("no", False)])
def test_missing_words(cell, gone):
    assert is_missing(cell) is gone


@pytest.mark.parametrize("name", ["a\nb = 1", "a\x1b[2J", "a\x7f", "a\u202eb", "a\u2028b"], ids=ascii)
def test_a_name_that_would_do_more_than_stand_there(tmp_path, name):
    with pytest.raises(TableError, match="column 2 holds a character that cannot be printed") as raised:
        Table.of({"x": [1], name: [2]})
    assert name not in str(raised.value)
    path = tmp_path / "t.csv"
    path.write_text(f'x,"{name}"\n1,2\n', encoding="utf-8")
    with pytest.raises(TableError, match="SFM-150"):
        read_table(path)


def test_one_endless_line_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("secure_fedmeta.datasets.table.LONGEST_LINE", 1000)
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1" * 5000)
    with pytest.raises(TableError, match="a line of 1000 characters or more"):
        read_table(path)


def test_other_readers_of_the_process_keep_their_limit(tmp_path):
    before = csv.field_size_limit()
    path = tmp_path / "t.csv"
    for text in ("a,b\n1,2\n", "a,b\n" + "1" * 20_000 + ",2\n"):
        path.write_text(text)
        with contextlib.suppress(TableError):
            read_table(path)
        assert csv.field_size_limit() == before
