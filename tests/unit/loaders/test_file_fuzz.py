"""Files that nobody thought of, read by every reader: records within their limits, named lines, or a clear error.

A reader never ends with another error, never hangs, and never loses a row in silence. The files are those of the
folders `tables` and `sources`, mutations of them, and tables of awkward cells. `make fuzz` looks for longer.
"""

from __future__ import annotations

import encodings.aliases
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st

from loaders.datasets.product_column import COLUMNS, ProductFormat
from tests.unit.loaders.file_reading import catalogue, events, everything, folder
from tests.unit.loaders.file_strategy import arrays, movielens_folders, mutated, tables

EXAMPLES = 20 * int(os.environ["FUZZ_EXAMPLES"]) if "FUZZ_EXAMPLES" in os.environ else 30
HERE = Path(__file__).parent / "files"
TABLES = sorted(file for file in (HERE / "tables").iterdir() if not file.name.startswith("."))
SOURCES = sorted((HERE / "sources").iterdir())
NAMES_OF_ENCODINGS = sorted({*encodings.aliases.aliases, *encodings.aliases.aliases.values(), "klingon", "", "\x00"})

fuzz_settings = settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.name)
def test_awkward_tables(file: Path) -> None:
    for name in (file.name, "ratings.csv", "u.data", "ratings.dat", "t.csv", "t.txt"):
        with folder({name: file.read_bytes()}) as path:
            everything(path / name)
            everything(path)


def files_of(path: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in (path.iterdir() if path.is_dir() else [path])}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_awkward_sources(path: Path) -> None:
    with folder(files_of(path)) as copy:
        everything(copy)
        for file in sorted(copy.iterdir()):
            everything(file)


@fuzz_settings
@given(st.sampled_from(TABLES).flatmap(lambda file: st.tuples(st.just(file), mutated(file.read_bytes()))))
def test_mutations_of_tables(case: tuple[Path, bytes]) -> None:
    file, data = case
    note(repr(data))
    with folder({file.name: data}) as path:
        everything(path / file.name)


FORMS = st.builds(
    ProductFormat,
    encoding=st.sampled_from((None, *NAMES_OF_ENCODINGS)),
    separator=st.sampled_from((None, ",", ";", "\t", "::", "x", " ", '"', "ab")),
    decimal_mark=st.sampled_from((None, ".", ",")),
    currency=st.sampled_from(("", "EUR", "JPY")),
    rating_scale=st.sampled_from((5.0, 100.0, 0.01)),
    columns=st.dictionaries(st.sampled_from(sorted(COLUMNS)), st.sampled_from(("id", "name", "x", "EAN")), max_size=3),
)


@fuzz_settings
@given(
    st.sampled_from(TABLES).flatmap(lambda file: mutated(file.read_bytes())) | tables().map(lambda table: table[1]),
    FORMS,
)
def test_tables_of_which_something_is_known(data: bytes, form: ProductFormat) -> None:
    note(repr((data, form)))
    with folder({"t.csv": data}) as path:
        catalogue(path / "t.csv", form)


@st.composite
def broken_sources(draw: st.DrawFn) -> dict[str, bytes]:
    files = files_of(draw(st.sampled_from(SOURCES)))
    names = draw(st.sampled_from(sorted(files)))
    return files | {names: draw(mutated(files[names]))}


@fuzz_settings
@given(broken_sources())
def test_mutations_of_sources(files: dict[str, bytes]) -> None:
    note(repr(files))
    with folder(files) as path:
        everything(path)


@fuzz_settings
@given(tables())
def test_tables_of_awkward_cells(table: tuple[str, bytes]) -> None:
    name, data = table
    note(repr(data))
    with folder({name: data}) as path:
        everything(path / name)


@fuzz_settings
@given(movielens_folders())
def test_folders_of_awkward_cells(files: dict[str, bytes]) -> None:
    note(repr(files))
    with folder(files) as path:
        everything(path)


@fuzz_settings
@given(arrays(), arrays())
def test_arrays(visits: bytes, places: bytes) -> None:
    note(f"{visits!r}, {places!r}")
    with folder({"X.npy": visits, "X_POI.npy": places}) as path:
        data = events(path)
        if data is not None:
            assert len(data.interactions) == len(np.load(path / "X.npy")) - sum(
                line.file == "X.npy" for line in data.bad_lines
            )


PRODUCTS, EVENTS = "id,name,main_category", "user,item,timestamp"
LARGE = {
    "a long line": "1," + "x" * 2_000_000,
    "a long field": '1,"' + "x" * 2_000_000 + '",x',
    "separators": "," * 1_000_000,
    "quotes": '"' * 1_000_000,
    "lines of a quote": '"\n' * 10_000,
    "quotes that never close": '1,"abc,x\n' * 10_000,
    "quotes that close in the next line": 'a",",b\n' * 10_000,
    "one quote before empty ones": '1,"abc,x\n' + '1,"",x\n' * 10_000,
    "blanks after quotes": ('1,"a"' + " \t" * 1_000 + "x,y\n") * 500,
    "blanks before quotes": (" " * 2_000 + '1,"x\n') * 500,
    "entities": ("1," + "&#" + "9" * 5_000 + ";,x\n") * 200,
    "digits": ("1," + "9" * 5_000 + "," + "9" * 5_000 + "\n") * 100,
    "accents": "1,é,x\n" * 10_000,
}


@pytest.mark.parametrize("header", [PRODUCTS, EVENTS])
@pytest.mark.parametrize("content", LARGE.values(), ids=LARGE.keys())
def test_large_files(header: str, content: str) -> None:
    with folder({"t.csv": f"{header}\n{content}\n".encode()}) as path:
        everything(path / "t.csv")


def test_quotes_that_close_in_the_next_line_of_a_wide_table() -> None:
    header = PRODUCTS + ",x" * 8_000
    data = f"{header}\n" + 'a",",b\n' * 8_000
    with folder({"t.csv": data.encode()}) as path:
        products = catalogue(path / "t.csv")
    assert products is not None
    assert len(products.rejected_rows) == 8_000


def test_parquet() -> None:
    seed = "0" if EXAMPLES < 100 else str(time.time_ns() % 10**9)
    command = [sys.executable, "-m", "tests.unit.loaders.parquet_fuzz", str(EXAMPLES), seed]
    process = subprocess.run(command, capture_output=True, text=True, check=True, cwd=HERE.parents[3])
    assert process.stdout == ""
