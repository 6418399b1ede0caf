"""Tables of ground truth: known figures, ranks against a slow count, one sentence for each damaged file."""

from __future__ import annotations

import bz2
import gzip
import pickle
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from gdas_lite.benchmark import baselines
from gdas_lite.benchmark import files as natsbench
from gdas_lite.benchmark import files as tables
from gdas_lite.benchmark.files import NUM_CELLS, described, find_table, read_packed, read_table, write_table
from gdas_lite.benchmark.table import Table, tabular
from gdas_lite.genotypes.nasbench201 import NASBench201Genotype
from gdas_lite.genotypes.nasnet import NASNetGenotype

ROOT = Path(__file__).resolve().parents[2]
CELLS = tuple(str(cell) for cell in NASBench201Genotype.all())
ALL_SKIP = str(NASBench201Genotype(("skip_connect",) * 6))
ALL_NONE = str(NASBench201Genotype(("none",) * 6))


@pytest.fixture(scope="module")
def made_up() -> Table:
    """A table with many ties: whole percents drawn from a seed, and the number of 3x3 convolutions."""
    rng = np.random.default_rng(0)
    columns = {"toy_test_3": rng.integers(10, 95, len(CELLS)).astype(float),
               "toy_valid_3": rng.uniform(10, 95, len(CELLS)),
               "params_toy": np.array([cell.count("nor_conv_3x3") for cell in CELLS])}
    return Table("toy", CELLS, columns)


@pytest.fixture(scope="module")
def benchmark(shared_data) -> Table:
    """A user's own file."""
    return tabular("nasbench201", shared_data)


@pytest.fixture
def no_own_file(monkeypatch):
    monkeypatch.delenv("TORCH_HOME", raising=False)
    monkeypatch.delenv("GDAS_LITE_DATA", raising=False)


def csv_text(replace: dict[int, str] | None = None, rows: int = len(CELLS)) -> str:
    """A valid table file, except for the lines (1 = header) that are replaced."""
    lines = ["arch,toy_test_3,seconds", *(f"{cell},{10 + i % 80},{i}" for i, cell in enumerate(CELLS[:rows]))]
    for line, text in (replace or {}).items():
        lines[line - 1] = text
    return "\n".join(lines) + "\n"


# --- the benchmark's own figures ---------------------------------------------------------------------------

@pytest.mark.parametrize("column, index, accuracy", [
    ("c10_test_200", 6111, 94.37), ("c100_test_200", 9930, 73.51), ("in16_test_200", 857, 47.31)])
def test_the_best_cells_are_the_published_ones(benchmark, column, index, accuracy):
    best = benchmark.best(column)
    assert benchmark.query(best)["index"] == index
    assert round(benchmark.accuracy(best, column), 2) == accuracy
    assert benchmark.rank(best, column) == 1
    assert benchmark.regret(best, column) == 0


@pytest.mark.parametrize("cell, index, accuracies", [
    (ALL_SKIP, 1835, (54.30, 15.61, 16.32)), (ALL_NONE, None, (10.00, 1.00, 0.83))])
def test_the_collapsed_cells_have_the_published_accuracies(benchmark, cell, index, accuracies):
    row = benchmark.query(cell)
    assert index is None or row["index"] == index
    assert (round(row["c10_test_200"], 2), round(row["c100_test_200"], 2), round(row["in16_test_200"], 2)) == accuracies


def test_the_default_column_is_cifar10_after_200_epochs(benchmark):
    assert benchmark.default_column == "c10_test_200"
    assert benchmark.accuracy(ALL_SKIP) == benchmark.accuracy(ALL_SKIP, "c10_test_200")
    assert "params_c10" not in benchmark.accuracy_columns


@pytest.mark.parametrize("whose", ["a user's", "the package's"])
def test_costs_of_the_table_follow_from_the_operations(whose, request, no_own_file):
    table, rng = request.getfixturevalue("benchmark") if whose == "a user's" else tabular(), np.random.default_rng(1)
    for cell in [NASBench201Genotype.random(rng) for _ in range(50)]:
        large, small = (cell.ops.count(f"nor_conv_{side}x{side}") for side in (3, 1))
        row = table.query(cell)
        assert row["params_c10"] == 73_306 + 243_040 * large + 28_000 * small
        assert row["conv_linear_macs_c10"] == 7_783_040 + 35_389_440 * large + 3_932_160 * small


def test_isomorphs_are_the_rows_of_the_same_class_in_the_table(benchmark):
    classes = benchmark.values("iso_class")
    for cell in (ALL_SKIP, ALL_NONE, benchmark.cells[0], benchmark.cells[4_321]):
        same = {benchmark.cells[row] for row in np.flatnonzero(classes == classes[benchmark.row(cell)])}
        assert {str(other) for other in benchmark.isomorphs(cell)} == same - {cell}


# --- what comes with the package ---------------------------------------------------------------------------

@pytest.mark.parametrize("column, index, best, skip", [
    ("c10_test_200", 6111, 94.37, 54.30), ("c100_test_200", 9930, 73.51, 15.61), ("in16_test_200", 857, 47.31, 16.32)])
def test_the_packages_own_table_has_the_published_figures(no_own_file, column, index, best, skip):
    table = tabular()
    assert table.default_column == "c10_test_200" and table.search_column == "c10_valid_12"
    assert table.query(table.best(column))["index"] == index
    assert round(table.accuracy(table.best(column), column), 2) == best
    assert round(table.accuracy(ALL_SKIP, column), 2) == skip
    assert tabular("nasbench201") is table      # read once


def test_every_cell_of_the_package_is_that_of_the_benchmark_to_the_last_decimal(no_own_file, benchmark):
    table = tabular()
    assert table.cells == benchmark.cells       # in the order of its index
    assert set(table.columns) == set(benchmark.columns) - {"iso_class"}
    for column in table.columns:
        np.testing.assert_array_equal(table.values(column), benchmark.values(column))


def test_the_packages_own_table_is_small_and_says_where_it_comes_from(no_own_file):
    file, about = tables.packaged("nasbench201")
    assert file.stat().st_size + file.with_suffix(".json").stat().st_size <= 350_000
    assert tabular().about == about
    assert [name in " ".join(about["citations"]) for name in ("ICLR 2020", "TPAMI 2021")] == [True, True]
    assert "MIT" in about["licence"] and len(about["sources"]) == 2
    assert set(about["columns"]) == set(about["parts"]) == set(tabular().accuracy_columns)
    for name, column in about["columns"].items():
        assert column["seeds"].startswith("mean over the seeds" if name.endswith("_200") else ("one training", "mean of two"))


def test_the_packages_own_table_is_made_from_the_csv_file_bit_for_bit(shared_data, tmp_path):
    csv = shared_data / "nasbench201" / "nasbench201.csv.gz"
    subprocess.run([sys.executable, ROOT / "benchmarks" / "nasbench201_table.py", csv, "--into", tmp_path], check=True,
                   capture_output=True)
    again = np.load(tmp_path / "nasbench201.npz", allow_pickle=False)
    with np.load(tables.FOLDER / "nasbench201.npz", allow_pickle=False) as kept:     # another zlib may pack otherwise
        assert set(again) == set(kept)
        assert all(np.array_equal(again[name], kept[name]) for name in kept)


def test_a_table_of_ones_own_wins(tmp_path, monkeypatch, no_own_file):
    (tmp_path / "nasbench201.csv").write_text(csv_text())
    assert tabular("nasbench201", tmp_path).default_column == "toy_test_3"
    monkeypatch.setenv("GDAS_LITE_DATA", str(tmp_path))
    assert tabular().default_column == "toy_test_3"
    monkeypatch.setenv("GDAS_LITE_DATA", str(tmp_path / "nothing here"))
    assert tabular().default_column == "c10_test_200"


@pytest.mark.parametrize("spoil, message", [
    (lambda data: data[:-1], "nasbench201.npz: the checksum is not the expected one"),
    (lambda data: data[:1000] + b"x" + data[1001:], "nasbench201.npz: the checksum is not the expected one")])
def test_a_changed_table_of_the_package_gets_one_sentence(tmp_path, monkeypatch, no_own_file, spoil, message):
    module = sys.modules["gdas_lite.benchmark.table"]
    for name in ("nasbench201.npz", "nasbench201.json"):
        data = (tables.FOLDER / name).read_bytes()
        (tmp_path / name).write_bytes(spoil(data) if name.endswith("npz") else data)
    monkeypatch.setattr(module, "packaged", lambda name: tables.packaged(name, tmp_path))
    module._packaged_table.cache_clear()
    with pytest.raises(ValueError, match=message) as caught:
        tabular()
    module._packaged_table.cache_clear()
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("write, says", [
    (lambda path: path.write_bytes(b"PK\x03\x04 cut off"), "not a packed table"),
    *((lambda path, kind=kind: np.savez(path, index=np.arange(NUM_CELLS), c10_test_200=np.full(NUM_CELLS, 1).astype(kind)),
       "not a packed table .*a whole one") for kind in ("S3", "U3", "f4", "c8", "?", "M8[s]")),
    (lambda path: np.savez(path, index=np.arange(NUM_CELLS)), "not a packed table .*c10_test_200"),
    (lambda path: np.savez(path, index=np.arange(3), c10_test_200=np.arange(NUM_CELLS)), "one number a column"),
    (lambda path: np.savez(path, index=np.arange(NUM_CELLS), c10_test_200=np.arange(3)), "one number a column"),
    (lambda path: np.savez(path, index=np.arange(NUM_CELLS), c10_test_200=np.full(NUM_CELLS, 101)), "percentages 0..100")])
def test_a_packed_file_that_holds_something_else_gets_one_sentence(tmp_path, write, says):
    write(tmp_path / "t.npz")
    with pytest.raises(ValueError, match=says) as caught:
        read_packed(tmp_path / "t.npz", {"c10_test_200": 1})
    assert "\n" not in str(caught.value)


def test_columns_in_words():
    assert described("c10_test_200") == "CIFAR-10 (test, 200 epochs)"
    assert described("in16_valid_12") == "ImageNet16-120 (valid, 12 epochs)"
    assert described("digits_test_6") == "digits (test, 6 epochs)"
    assert described("mine_test_6") == "mine_test_6"


# --- look-ups against slow counts --------------------------------------------------------------------------

def test_rank_and_regret_equal_slow_counts(made_up):
    for column in ("toy_test_3", "toy_valid_3"):
        values = made_up.values(column).tolist()
        for row in (0, 1, 777, 15_624, values.index(max(values)), values.index(min(values))):
            cell = made_up.cells[row]
            assert made_up.rank(cell, column) == 1 + sum(value > values[row] for value in values)
            assert made_up.regret(cell, column) == max(values) - values[row]


def test_top_is_sorted_and_ties_keep_the_order_of_the_rows(made_up):
    values = made_up.values("toy_test_3").tolist()
    slow = sorted(range(len(CELLS)), key=lambda row: (-values[row], row))[:300]
    assert [str(cell) for cell in made_up.top(300)] == [CELLS[row] for row in slow]
    assert made_up.best() == made_up.top(1)[0]
    for k in (0, 15_626):
        with pytest.raises(ValueError, match=f"k must be 1..15625, got {k}"):
            made_up.top(k)


def test_a_cell_is_looked_up_by_genotype_by_string_and_by_sparse_string(made_up):
    sparse = "|nor_conv_3x3~0|+|nor_conv_3x3~1|+|skip_connect~0|skip_connect~2|"
    full = NASBench201Genotype.parse(sparse)
    assert made_up.query(sparse) == made_up.query(full) == made_up.query(str(full))
    assert made_up.query(full)["params_toy"] == 2
    assert made_up.query(full)["arch"] == str(full)
    assert len(made_up) == 15_625


def test_values_cannot_be_changed_by_accident(tmp_path):
    (tmp_path / "nasbench201.csv").write_text(csv_text())
    table = tabular("nasbench201", tmp_path)
    with pytest.raises(ValueError, match="read-only"):
        table.values("toy_test_3")[0] = 99


# --- bad questions -----------------------------------------------------------------------------------------

def test_an_unknown_column_names_the_nearest(made_up):
    for ask in (made_up.values, made_up.best, lambda name: made_up.rank(ALL_SKIP, name)):
        with pytest.raises(KeyError, match="Table toy: unknown column 'toy_tst_3', did you mean toy_test_3"):
            ask("toy_tst_3")


def test_only_accuracies_are_ranked(made_up):
    with pytest.raises(ValueError, match="params_toy is no accuracy; choose one of toy_test_3, toy_valid_3"):
        made_up.rank(ALL_SKIP, "params_toy")


def test_a_cell_of_another_space_or_a_bad_string_is_refused(made_up):
    skips = [[["skip_connect", 0], ["skip_connect", 1]]] * 4
    with pytest.raises(ValueError, match="expected a cell of the NAS-Bench-201 space, got NASNetGenotype"):
        made_up.query(NASNetGenotype(skips, skips))
    with pytest.raises(ValueError, match="node 3: unknown operation 'sep_conv_3x3'"):
        made_up.query(ALL_SKIP.replace("skip_connect~2", "sep_conv_3x3~2"))


def test_an_unknown_table_names_the_known_ones():
    with pytest.raises(ValueError, match="unknown table 'nasbench301', did you mean nasbench201"):
        tabular("nasbench301")


@pytest.mark.parametrize("cells, columns, message", [
    (CELLS[:-1], {"toy_test_3": np.zeros(15_624)}, "expected each of the 15,625 cells once, got 15,624 rows"),
    ((*CELLS[:-1], CELLS[0]), {"toy_test_3": np.zeros(15_625)}, "got 15,625 rows with 15,624 of them"),
    (CELLS, {"toy_test_3": np.zeros(3)}, "every column must have one number for each"),
    (CELLS, {"params": np.zeros(15_625)}, "no accuracy column among params"),
])
def test_a_table_must_be_complete(cells, columns, message):
    with pytest.raises(ValueError, match=message):
        Table("toy", cells, columns)


# --- files -------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name", ["a.csv", "a.csv.gz"])
def test_a_written_table_reads_back_equal(tmp_path, made_up, name):
    made_up.write_csv(tmp_path / name)
    cells, columns = read_table(tmp_path / name)
    assert cells == made_up.cells
    for column in made_up.columns:
        np.testing.assert_array_equal(columns[column], made_up.values(column))
    first = (tmp_path / name).read_bytes()
    write_table(tmp_path / name, cells, columns)
    assert (tmp_path / name).read_bytes() == first


@pytest.mark.parametrize("change", [
    lambda text: text.replace("\n", "\r\n"), lambda text: text.replace("\n", "\r"), lambda text: text.replace(",", " , "),
    lambda text: text.replace("\n", "\n\n"), lambda text: text.rstrip("\n"), lambda text: text + "\r\n\n",
    lambda text: "\n".join(",".join(f'"{value}"' for value in line.split(",")) for line in text.split("\n")[:-1])])
def test_a_table_with_other_line_ends_quotes_spaces_and_empty_lines_is_the_same(tmp_path, change):
    for name, text in (("a.csv", csv_text()), ("b.csv", change(csv_text()))):
        (tmp_path / name).write_bytes(text.encode())
    (cells, columns), (expected, same) = read_table(tmp_path / "b.csv"), read_table(tmp_path / "a.csv")
    assert cells == expected and columns.keys() == same.keys()
    assert all(np.array_equal(values, same[name]) for name, values in columns.items())


@pytest.mark.parametrize("text, message", [
    (csv_text(rows=15_000), "t.csv: expected one row for each of the 15,625 cells, 625 are missing; fetch"),
    (csv_text({3: CELLS[0] + ",50,1"}), r"t.csv, line 3: the cell .* stands twice, first in line 2"),
    (csv_text({7: CELLS[5] + ",fifty,1"}), "t.csv, line 7: could not convert string to float: 'fifty'"),
    (csv_text({7: CELLS[5] + ",,1"}), "t.csv, line 7: could not convert string to float: ''"),
    (csv_text({7: CELLS[5] + ",50"}), "t.csv, line 7: expected 3 values as in the header, got 2"),
    (csv_text({7: CELLS[5] + ",943.7,1"}), "column toy_test_3 must hold percentages 0..100, it has 10 to 943.7"),
    (csv_text({7: CELLS[5] + ",nan,1"}), "column toy_test_3 has values that are not finite"),
    (csv_text({7: CELLS[5].replace("~2", "~7") + ",50,1"}), "t.csv, line 7: NAS-Bench-201 cell, node 3: input 7"),
    (csv_text({1: "architecture,toy_test_3,seconds"}), "first line must be a header with the column arch, got 'archit"),
    (csv_text({1: "arch,accuracy,seconds"}), "no accuracy column; expected one such as c10_test_200"),
    (csv_text({1: "arch,toy_test_3,toy_test_3"}), "a column stands twice in the header"),
    ("", "first line must be a header with the column arch, got ''"),
    ("arch,toy_test_3\n" + "x" * 200_000, "t.csv, line 2: not a CSV file"),
])
def test_a_bad_table_file_gets_one_sentence(tmp_path, text, message):
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as caught:
        read_table(path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("damage, message", [
    (lambda data: data[:len(data) // 2], "t.csv.gz: the gzip file is cut off; fetch it again"),
    (lambda data: data[:500] + bytes(500) + data[1000:], "t.csv.gz: the gzip file is damaged"),
    (lambda data: b"\x1f\x8b" + b"no gzip", "t.csv.gz: the gzip file is (damaged|cut off)"),
    (lambda data: b"\x80\x04\x95" + data, "t.csv.gz: not a text file; expected CSV, plain or gzip"),
])
def test_a_damaged_gzip_file_gets_one_sentence(tmp_path, damage, message):
    path = tmp_path / "t.csv.gz"
    path.write_bytes(damage(gzip.compress(csv_text().encode(), mtime=0)))
    with pytest.raises(ValueError, match=message):
        read_table(path)


def test_a_wrong_checksum_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text(csv_text())
    with pytest.raises(ValueError, match=r"t.csv: the checksum is not the expected one"):
        read_table(path, sha256="0" * 64)


def test_the_table_is_searched_in_the_path_then_gdas_lite_data_then_torch_home(tmp_path, monkeypatch):
    first, second, third = (tmp_path / name for name in "abc")
    for folder in (first, second, third):
        (folder / "nasbench201").mkdir(parents=True)
    monkeypatch.setenv("GDAS_LITE_DATA", str(second))
    monkeypatch.setenv("TORCH_HOME", str(third))
    (third / "nasbench201.csv").write_text("x")
    assert find_table() == third / "nasbench201.csv"
    (second / "nasbench201" / "nasbench201.csv.gz").write_text("x")
    assert find_table() == second / "nasbench201" / "nasbench201.csv.gz"
    with pytest.raises(FileNotFoundError, match=str(first)):        # a given path is the only place
        find_table(first)
    (first / "my.csv").write_text("x")
    assert find_table(first / "my.csv") == first / "my.csv"


def test_a_place_without_a_table_says_what_it_may_hold(tmp_path, no_own_file):
    assert find_table() is None
    with pytest.raises(FileNotFoundError) as caught:
        tabular("nasbench201", tmp_path)
    message = str(caught.value)
    assert all(part in message for part in (str(tmp_path), "NATS-tss-v1_0-3ffb9-simple.tar", "nats_bench", "nasbench201.csv",
                                            "without a path"))
    assert "\n" not in message


def test_a_table_with_other_columns_names_them(tmp_path):
    (tmp_path / "nasbench201.csv").write_text(csv_text())
    table = tabular("nasbench201", tmp_path)
    with pytest.raises(KeyError, match="unknown column 'c10_test_200', known are toy_test_3, seconds"):
        table.accuracy(ALL_SKIP, "c10_test_200")
    with pytest.raises(ValueError, match="has no validation accuracy, by which a search could choose"):
        baselines.random_search(table, 3)


def test_the_table_works_without_torch(tmp_path):
    (tmp_path / "nasbench201.csv").write_text(csv_text())
    code = ("import sys; sys.modules['torch'] = None\n"
            "from gdas_lite.benchmark.table import tabular\n"
            f"table = tabular('nasbench201', {str(tmp_path)!r})\n"
            "print(table.rank(table.best()))")
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "1\n"


# --- NATS-Bench's own files --------------------------------------------------------------------------------

class FakeNATS:
    """What is used of nats_bench 1.8's NATStopology, with made-up numbers; row 5 lacks one result."""

    def __len__(self):
        return len(CELLS)

    def arch(self, index):
        return CELLS[index]

    def get_more_info(self, index, dataset, iepoch=None, hp="12", is_random=True):
        assert is_random is False
        if index == 5 and dataset == "ImageNet16-120" and hp == "200":
            raise KeyError("ImageNet16-120")
        base = {"cifar10": 60, "cifar10-valid": 50, "cifar100": 40, "ImageNet16-120": 20}[dataset]
        info = {"train-all-time": 100.0 + index, "test-accuracy": base + (20 if hp == "200" else 0) + index / 1e4,
                "train-loss": 1.0}
        return info | ({"valid-accuracy": base - 5 + index / 1e4} if dataset != "cifar10" else {})


@pytest.fixture
def nats_folder(tmp_path, monkeypatch):
    """A folder that looks like NATS-Bench's, and a module nats_bench that opens it."""
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    folder.mkdir()
    (folder / "meta.pickle.pbz2").touch()
    calls = []

    def create(file_path_or_dict, search_space, fast_mode=False, verbose=True):
        print("chatter that must not reach stdout")
        calls.append((file_path_or_dict, search_space, fast_mode, verbose))
        return FakeNATS()

    module = types.ModuleType("nats_bench")
    module.create = create
    monkeypatch.setitem(sys.modules, "nats_bench", module)
    return folder, calls


def test_nats_bench_files_answer_the_same_questions(nats_folder, capsys):
    folder, calls = nats_folder
    table = tabular("nasbench201", folder.parent)
    assert calls == [(str(folder), "tss", True, False)]
    row = table.query(CELLS[7])
    assert (row["index"], row["c10_test_200"], row["c10_valid_12"]) == (7, 80 + 7e-4, 45 + 7e-4)
    assert (row["c100_valid_200"], row["c10_train_seconds_12"]) == (35 + 7e-4, 107.0)
    assert capsys.readouterr().out == ""
    with pytest.raises(ValueError, match="NATS-Bench, cell 5: no in16_test_200"):
        table.rank(CELLS[7])        # a rank needs every cell


def test_nats_bench_ranks_and_keeps_a_table_file(nats_folder, tmp_path, monkeypatch, capsys):
    folder, _ = nats_folder
    monkeypatch.setattr(FakeNATS, "get_more_info", lambda self, index, dataset, iepoch=None, hp="12", is_random=True:
                        dict.fromkeys(("test-accuracy", "valid-accuracy", "train-all-time"), index / 200))
    table = tabular("nasbench201", folder)
    assert table.rank(CELLS[15_624]) == 1 and table.rank(CELLS[0]) == 15_625
    captured = capsys.readouterr()
    assert captured.out == "" and "15,500 of 15,625 cells read" in captured.err
    table.write_csv(tmp_path / "kept.csv.gz")
    kept = tabular("nasbench201", tmp_path / "kept.csv.gz")
    assert kept.query(CELLS[3]) == table.query(CELLS[3])


def test_without_the_package_the_sentence_says_what_to_install(tmp_path, monkeypatch):
    (tmp_path / "NATS-tss-v1_0-3ffb9-simple").mkdir()
    monkeypatch.setitem(sys.modules, "nats_bench", None)
    with pytest.raises(ImportError, match="pip install nats_bench"):
        tabular("nasbench201", tmp_path)


def test_files_that_nats_bench_refuses_are_named(tmp_path, monkeypatch):
    module = types.ModuleType("nats_bench")
    module.create = lambda *args, **kwargs: {}["meta_archs"]
    monkeypatch.setitem(sys.modules, "nats_bench", module)
    (tmp_path / "NATS-tss-v1_0-3ffb9.pickle.pbz2").write_bytes(b"cut")
    with pytest.raises(ValueError, match="pbz2: nats_bench cannot open it .KeyError: 'meta_archs'"):
        tabular("nasbench201", tmp_path)


def _archive(folder: Path, nats_bench, cells: dict[int, float]) -> None:
    """Files as NATS-Bench ships them (fast mode), made with the package's own classes, for a few cells."""
    folder.mkdir()
    pack = lambda value, name: (folder / name).write_bytes(bz2.compress(pickle.dumps(value)))  # noqa: E731
    pack({"meta_archs": list(CELLS)}, "meta.pickle.pbz2")
    sets = {"cifar10-valid": ("x-valid", "ori-test"), "cifar10": ("ori-test",),
            "cifar100": ("x-valid", "x-test", "ori-test"), "ImageNet16-120": ("x-valid", "x-test", "ori-test")}
    for index, base in cells.items():
        by_epochs = {}
        for hp, epochs in (("12", 12), ("200", 200)):
            results = nats_bench.ArchResults(index, CELLS[index])
            for dataset, evaluations in sets.items():
                for seed in (777, 888):
                    curve = dict.fromkeys(range(epochs), base + (seed == 888))
                    trial = nats_bench.ResultsCount(dataset, None, curve, curve, 1.0, 1.0, None, seed, epochs, 0.1)
                    trial.update_train_info(curve, curve, curve, dict.fromkeys(range(epochs), 2.0))
                    for name in evaluations:
                        every = {f"{name}@{epoch}": base + (seed == 888) for epoch in range(epochs)}
                        trial.update_eval(every, every, dict.fromkeys(every, 1.0))
                    results.update(dataset, seed, trial)
            by_epochs[hp] = results.state_dict()
        pack(by_epochs, f"{index:06d}.pickle.pbz2")


def test_the_real_nats_bench_package_reads_an_archive_of_its_own_make(tmp_path):
    nats_bench = pytest.importorskip("nats_bench", reason="the package nats_bench is not installed")
    folder = tmp_path / "NATS-tss-v1_0-3ffb9-simple"
    _archive(folder, nats_bench, {3: 50.0, 8: 60.0})
    columns = natsbench.NATSColumns(natsbench.open_api(folder))
    assert columns.cells == CELLS
    for name in natsbench.NATS_COLUMNS:
        expected = 2.0 * 12 if name == "c10_train_seconds_12" else 60.5      # mean of the two seeds
        assert columns.at(name, 8) == pytest.approx(expected)
    with pytest.raises(ValueError, match="NATS-Bench, cell 4: no c10_test_200"):
        columns.at("c10_test_200", 4)
