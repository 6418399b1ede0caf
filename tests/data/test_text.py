"""Texts: counts of the published corpora, own files, windows, and a sentence for everything that is no text."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import gdas_lite as gl
from gdas_lite.data.text import Streams, TextData, WindowLengths, load_text_file, text_data, tokens_of


@pytest.mark.parametrize("name, words, train, valid, test", [
    ("ptb", 10_000, 929_589, 73_760, 82_430), ("wikitext-2", 33_278, 2_088_628, 217_646, 245_569),
])
def test_published_token_counts(shared_data, name, words, train, valid, test):
    data = gl.load_data(name, root=shared_data)
    assert (data.vocabulary, len(data.train), len(data.valid), len(data.test)) == (words, train, valid, test)
    assert data.name == name and data.perplexity_floor is None
    assert sorted(set(data.train.tolist()) | set(data.valid.tolist()) | set(data.test.tolist())) == list(range(words))


def test_lines_of_the_real_file_come_back(shared_data):
    data = gl.load_data("ptb", root=shared_data)
    lines = (shared_data / "ptb" / "ptb.valid.txt").read_text(encoding="utf-8").split("\n")[:20]
    assert data.decode(data.valid[:2000]).split("\n")[:20] == [" ".join(line.split()) for line in lines]


def test_a_missing_corpus_says_where_it_was_looked_for(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"Penn Treebank was not found\. Looked for ptb in: .*the argument root"):
        gl.load_data("ptb", root=tmp_path)


def test_own_file_is_split_in_order(tmp_path):
    file = tmp_path / "tale.txt"
    file.write_text("\n".join(f"word{i} and word{i + 1}" for i in range(100)) + "\n", encoding="utf-8")
    data = gl.load_data(file, held_out=0.2)
    tokens = tokens_of(file)
    assert len(tokens) == 400 and tokens[:4] == ["word0", "and", "word1", "<eos>"]
    joined = [data.words[i] for part in (data.train, data.valid, data.test) for i in part.tolist()]
    assert joined == tokens
    assert (len(data.train), len(data.valid), len(data.test)) == (320, 40, 40)


def test_blank_lines_count_as_lines_and_a_last_line_break_does_not(tmp_path):
    file = tmp_path / "a.txt"
    file.write_bytes(b"a b\n\nc\n")
    assert tokens_of(file) == ["a", "b", "<eos>", "<eos>", "c", "<eos>"]
    data = text_data("x", [tokens_of(file)] * 3)
    assert data.decode(data.train) == "a b\n\nc"
    file.write_bytes("ä ß\r\nc".encode())
    assert tokens_of(file) == ["ä", "ß", "<eos>", "c", "<eos>"]


def test_rare_words_become_unk(tmp_path):
    file = tmp_path / "a.txt"
    file.write_text("a a a b b c d e\n" * 30)
    data = load_text_file(file, max_words=4)
    assert set(data.words) == {"a", "b", "<unk>", "<eos>"}
    assert sum(data.words[i] == "<unk>" for i in data.train.tolist()) > 0
    assert load_text_file(file, max_words=6).words == load_text_file(file).words == ("a", "b", "c", "d", "e", "<eos>")
    assert set(load_text_file(file, max_words=3).words) == {"a", "<unk>", "<eos>"}
    file.write_text("a\na\nb <unk>\nc\n" * 30)       # neither line ends nor <unk>, however many, take the place of a word
    assert set(load_text_file(file, max_words=4).words) == {"a", "b", "<unk>", "<eos>"}


@pytest.mark.parametrize("names", [("train.txt", "valid.txt", "test.txt"),
                                   ("wiki.train.tokens", "wiki.valid.tokens", "wiki.test.tokens"),
                                   ("wiki.train.raw", "wiki.valid.raw", "wiki.test.raw"),
                                   ("train.txt", "val.txt", "test.txt"), ("train.txt", "validation.txt", "test.txt"),
                                   ("train.txt", "dev.txt", "test.txt")])
def test_own_folder_of_three_files(tmp_path, names):
    for name, text in zip(names, ("a b c\n", "a d\n", "e\n"), strict=True):
        (tmp_path / name).write_text(text)
    data = gl.load_data(tmp_path)
    assert data.words == ("a", "b", "c", "<eos>", "d", "e") and data.test.tolist() == [5, 3] and data.name == str(tmp_path)


def test_a_path_is_not_the_corpus_of_that_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("ptb").mkdir()
    for part in ("train", "valid", "test"):
        (Path("ptb") / f"{part}.txt").write_text("own words\n")
    assert gl.load_data(Path("ptb")).words == ("own", "words", "<eos>")
    for part in ("train", "valid", "test"):
        (Path("ptb") / f"ptb.{part}.txt").write_text("corpus\n")
    corpus = gl.load_data("ptb", root=tmp_path)
    assert (corpus.name, corpus.words) == ("ptb", ("corpus", "<eos>"))       # by which a run folder finds it again


@pytest.mark.parametrize("content, sentence", [
    (b"", "is empty: it holds no word"), (b" \n\t\n", "is empty"), (b"ab\0c" * 99, "no text: it holds zero bytes"),
    (b"\xff\xfe\xfa\x80abc", r"no text in UTF-16-LE \(byte 6\)"), (b"a\xfa\x80", r"no text in UTF-8 \(byte 1\)"), (b"one word\n", "has 3 tokens, so valid and test would have 0"),
])
def test_what_is_no_text_gets_a_sentence(tmp_path, content, sentence):
    file = tmp_path / "bad.txt"
    file.write_bytes(content)
    with pytest.raises(ValueError, match=sentence):
        gl.load_data(str(file))


@pytest.mark.parametrize("name", ["a.txt", "a.md", "wiki.train.tokens", "a.raw", "A.TXT"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "BOM"])
def test_texts_of_other_suffixes_with_and_without_a_byte_order_mark(tmp_path, name, mark):
    (tmp_path / name).write_bytes(mark + "the cat sät\n".encode() * 30)
    assert gl.load_data(tmp_path / name).words == ("the", "cat", "sät", "<eos>")


def test_marks_in_three_files_make_no_words(tmp_path):
    for name in ("train", "val", "test"):
        (tmp_path / f"{name}.txt").write_bytes(b"\xef\xbb\xbf" + b"a b\n")
    data = gl.load_data(tmp_path)
    assert data.words == ("a", "b", "<eos>") and data.valid.tolist() == [0, 1, 2]


@pytest.mark.parametrize("end", ["\r\n", "\r", "\n"], ids=repr)
def test_lines_end_as_python_reads_them_and_marks_of_joined_files_make_no_words(tmp_path, end):
    lines = ["the cat\ufeff sat", "", "on\u2028the mat"] * 20      # a mark within a word is kept, as WikiText-2 has them
    (tmp_path / "a.txt").write_bytes(end.join(["\ufeff" + line for line in lines]).encode())
    assert tokens_of(tmp_path / "a.txt") == [word for line in lines for word in (*line.split(), "<eos>")]


@pytest.mark.parametrize("content", ["a cat".encode("utf-16"), "a cat".encode("utf-16-be")])
def test_utf16_with_its_mark_is_read_and_without_said(tmp_path, content):
    file, mark = tmp_path / "a.txt", b"\xfe\xff" * (content[:1] == b"\0")
    file.write_bytes(mark + content)
    assert tokens_of(file) == ["a", "cat", "<eos>"]
    file.write_bytes(mark + content[:-1])
    with pytest.raises(ValueError, match="is no text in UTF-16-.E .byte .*; convert it to UTF-8 first"):
        tokens_of(file)
    file.write_bytes(content.removeprefix(b"\xff\xfe"))
    with pytest.raises(ValueError, match="it holds zero bytes; give a plain text file in UTF-8"):
        tokens_of(file)


@pytest.mark.parametrize("encoding", ["utf-32-le", "utf-32-be"])
def test_utf32_with_its_mark_is_read(tmp_path, encoding):
    (tmp_path / "a.txt").write_bytes("\ufeffa cät\n".encode(encoding))
    assert tokens_of(tmp_path / "a.txt") == ["a", "cät", "<eos>"]


def test_a_folder_that_lacks_one_of_the_three_is_told_so_and_lists_of_pictures_are_no_text(tmp_path):
    (tmp_path / "train.txt").write_text("a b c\n")
    with pytest.raises(FileNotFoundError, match=r"lacks one of the three files of a text: .*train\.txt, val\.txt, test\.txt"):
        gl.load_data(tmp_path)
    (tmp_path / "val.txt").write_text("n01440764/1.JPEG 0\n")
    (tmp_path / "test.txt").write_text("n01440764/2.JPEG 0\n")
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match="has only one class folder, 'cat'"):
        gl.load_data(tmp_path)


def test_wikitext_by_its_name_is_not_the_raw_text(tmp_path):
    """It has another vocabulary, so other numbers."""
    for part in ("train", "valid", "test"):
        (tmp_path / f"wiki.{part}.raw").write_text("a b\n")
    with pytest.raises(FileNotFoundError, match="WikiText-2 was not found"):
        gl.load_data("wikitext-2", tmp_path)
    assert gl.load_data(tmp_path).words == ("a", "b", "<eos>")


@given(st.binary(max_size=300))
def test_any_bytes_are_read_or_refused_with_a_value_error(tmp_path_factory, content):
    file = tmp_path_factory.mktemp("fuzz") / "f.txt"
    file.write_bytes(content)
    try:
        assert all(tokens_of(file))
    except ValueError as problem:
        assert str(file) in str(problem)


@pytest.mark.parametrize("call, error, sentence", [
    (lambda: gl.load_data("there/is/none.txt"), FileNotFoundError, "no text file there/is/none.txt"),
    (lambda: gl.load_data("ptb", held_out=0.3), TypeError, "held_out is an option for a .txt file"),
    (lambda: gl.load_data("pbt"), ValueError, "no data set and no folder 'pbt'"),
    (lambda: text_data("x", [["a"], [], ["a"]]), ValueError, "x, valid: expected a row of int64 numbers that is not empty"),
    (lambda: TextData("x", ("a",), *[torch.tensor([0, 1])] * 3), ValueError, r"numbers must be 0\.\.0.*got 0\.\.1"),
])
def test_other_bad_requests(call, error, sentence):
    with pytest.raises(error, match=sentence):
        call()


def test_the_shortest_texts_that_there_can_be(tmp_path):
    (tmp_path / "a.txt").write_text("a b c\n" * 10)
    parts = load_text_file(tmp_path / "a.txt")
    assert (len(parts.train), len(parts.valid), len(parts.test)) == (36, 2, 2)
    assert len(Streams(torch.arange(72), 2, 35)) == 36


def test_streams_are_columns_of_the_text_and_windows_follow_each_other():
    text = torch.arange(103)
    streams = Streams(text, 4, bptt=6)
    assert streams.rows.shape == (25, 4) and streams.rows[:, 1].tolist() == list(range(25, 50))
    windows = list(streams.in_order(6))
    assert torch.equal(torch.cat([window.words for window in windows]), streams.rows[:-1])
    assert torch.equal(torch.cat([window.targets for window in windows]), streams.rows[1:])


def test_search_windows_are_35_or_17_words_and_training_windows_jitter():
    generator = torch.Generator().manual_seed(0)
    drawn = [WindowLengths().draw(generator) for _ in range(4000)]
    assert set(drawn) == {35, 17} and 0.035 < drawn.count(17) / 4000 < 0.065
    drawn = [WindowLengths(jitter=5.0).draw(generator) for _ in range(4000)]
    assert min(drawn) >= 5 and max(drawn) <= 55 and len(set(drawn)) > 20
    assert 32 < sum(drawn) / 4000 < 35
    long = [WindowLengths(bptt=4, jitter=30.0).draw(generator) for _ in range(1000)]
    assert min(long) == 5 and max(long) == 24
    assert max(WindowLengths(4, 1.0, 30.0).draw(generator) for _ in range(200)) == 24        # of half a window, too


def test_positions_cover_the_text_but_for_its_last_two_rows():
    streams = Streams(torch.arange(4000), 4, bptt=35)
    positions = streams.positions(WindowLengths(), torch.Generator().manual_seed(1))
    assert all(a + length == b for (a, length), (b, _) in zip(positions, positions[1:], strict=False))
    assert positions[0][0] == 0 and positions[-1][0] < 998 <= sum(positions[-1])
    assert len(streams.window(990, 35).words) == 9
    words = Streams(torch.arange(10), 1, bptt=1).positions(WindowLengths(1, 0.0), torch.Generator())
    assert words == [(start, 1) for start in range(8)]      # quark0/darts: while start < rows - 1 - 1


@pytest.mark.parametrize("make, sentence", [
    (lambda: Streams(torch.arange(70), 2, 35, name="the test text of tale"),
     "the test text of tale has 70 tokens, that is 35 for each of 2 streams, but a window needs 36"),
    (lambda: Streams(torch.arange(70), 0, 35), "batch_size must be at least 1"),
    (lambda: WindowLengths(bptt=0), "at least 1"), (lambda: WindowLengths(jitter=float("nan")), "jitter must be"),
    (lambda: WindowLengths(short_probability=2), "short_probability must be at least 0 and at most 1"),
])
def test_texts_that_are_too_short_and_bad_lengths(make, sentence):
    with pytest.raises(ValueError, match=sentence):
        make()
