import pytest

from aigc_jax.data.pairs import Pairs, load_pairs, read_parallel, read_tsv, tenth
from aigc_jax.errors import InputError


@pytest.fixture
def write(tmp_path):
    """`write(name, content)` makes a file and returns its path."""

    def make(name, content):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return make


def numbered(count):
    return "".join(f"word {i}\tWort {i}\n" for i in range(count))


def test_pairs_of_a_file(write):
    pairs = read_tsv(write("p.tsv", "one\teins\ntwo words\tzwei Wörter\none\tein\n"))
    assert pairs == [("one", "eins"), ("two words", "zwei Wörter"), ("one", "ein")]


def test_pairs_of_two_files(write):
    pairs = read_parallel(write("en", "one\ntwo\tand a half\n"), write("de", "eins\nzweieinhalb"))
    assert pairs == [("one", "eins"), ("two\tand a half", "zweieinhalb")]


UNUSUAL = "a\u2028b\x0bc\x0cd\x85e\x1cf\rg"  # str.splitlines would cut it six times


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("last", [True, False], ids=["ended", "not ended"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "mark"])
def test_only_line_feeds_end_lines(write, end, last, mark):
    def content(*lines):
        return mark + (end.join(lines) + end * last).encode()

    expected = [(UNUSUAL, "x\u2029y"), ("é", "\U0001f600")]
    tsv = write("p.tsv", content(f"{UNUSUAL}\tx\u2029y", "é\t\U0001f600"))
    assert read_tsv(tsv) == expected
    sources, targets = content(UNUSUAL, "é"), content("x\u2029y", "\U0001f600")
    assert read_parallel(write("en", sources), write("de", targets)) == expected


def test_white_space_around_texts_is_stripped(write):
    assert read_tsv(write("p.tsv", " a  b \t\u3000c \n")) == [("a  b", "c")]
    assert read_parallel(write("en", " a\t\n"), write("de", "\tb \n")) == [("a", "b")]


def test_blank_lines_without_a_side_are_passed_over(write):
    assert read_tsv(write("p.tsv", "\na\tb\n \n\nc\td\n\n")) == [("a", "b"), ("c", "d")]
    pairs = read_parallel(write("en", "\na\n \nc\n\n"), write("de", "\nb\n\t\nd\n \n"))
    assert pairs == [("a", "b"), ("c", "d")]


@pytest.mark.parametrize(
    ("content", "place", "reason"),
    [
        ("a\tb\nc d\n", ":2: ", "has 0 tabs"),
        ("\na\tb\tc\n", ":2: ", "has 2 tabs"),
        ("a\tb\nc\t \n", ":2: ", "the target is blank"),
        ("a\tb\r\n\r\n\td\r\n", ":3: ", "the source is blank"),
        (b"a\tb\nc\t\xe0\n", ":2: ", "not UTF-8 (byte 0xe0)"),
        ("a\tb\n".encode("utf-16"), ":1: ", "not UTF-8"),
        (b"\xed\xa0\x80\tb", ":1: ", "not UTF-8"),
        ("", ": ", "holds no text"),
        (" \n\r\n", ": ", "holds no text"),
        (b"\xef\xbb\xbf", ": ", "holds no text"),
    ],
)
def test_an_unusable_line_is_named_with_what_is_wrong(write, content, place, reason):
    path = write("p.tsv", content)
    with pytest.raises(InputError) as caught:
        load_pairs(path)
    assert str(caught.value).startswith(path + place)
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("sources", "targets", "reason"),
    [
        ("a\nb\n", "c\nd\ne\n", "{en} has 2 lines and {de} 3"),
        ("a\n\n", "b\n", "{en} has 2 lines and {de} 1"),
        ("a\nb\n", "c\n \n", "{de}:2: is blank, and {en}:2 is not"),
        ("a\n\nc\n", "b\nc\nd\n", "{en}:2: is blank, and {de}:2 is not"),
        ("a\n", b"b\xff\n", "{de}:1: not UTF-8 (byte 0xff)"),
        ("", "", "{en}: holds no text"),
        ("", "a\n", "{en}:1: is blank, and {de}:1 is not"),
        ("\n \n", "\n\n", "{en}: holds no text"),
    ],
)
def test_files_that_are_not_parallel_are_named(write, sources, targets, reason):
    en, de = write("en", sources), write("de", targets)
    with pytest.raises(InputError) as caught:
        load_pairs(source_file=en, target_file=de)
    assert str(caught.value).startswith(reason.format(en=en, de=de))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["gone.tsv", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path, name):
    path = str(tmp_path / name)
    with pytest.raises(InputError, match="cannot be read") as caught:
        load_pairs(path)
    assert str(caught.value).startswith(f"{path}: ")
    with pytest.raises(InputError, match="'': cannot be read"):
        load_pairs("")


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ([], "pass either --pairs, or --source_file and --target_file"),
        (["pairs", "source_file", "target_file"], "pass either --pairs, or"),
        (["heldout_source", "heldout_target"], "pass either --pairs, or"),
        (["source_file"], "--source_file needs --target_file"),
        (["pairs", "target_file"], "--target_file needs --source_file"),
        (["pairs", "heldout_source"], "--heldout_source needs --heldout_target"),
        (["pairs", "heldout_target"], "--heldout_target needs --heldout_source"),
    ],
)
def test_files_too_few_or_too_many_are_refused(files, reason):
    with pytest.raises(InputError, match=reason):
        load_pairs(**dict.fromkeys(files, "file"))


def test_a_tenth_of_the_sources_is_held_out(write):
    data = load_pairs(write("p.tsv", numbered(95)))
    assert (data.name, data.unit) == ("p.tsv", "pairs")
    assert (len(data.train), len(data.heldout)) == (85, 10)
    every = [(f"word {i}", f"Wort {i}") for i in range(95)]
    assert sorted(data.train + data.heldout) == sorted(every)
    assert data.train == [pair for pair in every if pair in data.train]
    assert data.heldout == [pair for pair in every if pair in data.heldout]


def test_the_two_forms_of_a_data_set_are_split_alike(write):
    one = load_pairs(write("p.tsv", numbered(40)))
    lines = [line.split("\t") for line in numbered(40).splitlines()]
    en, de = ("\n".join(side) for side in zip(*lines, strict=True))
    two = load_pairs(source_file=write("x.en", en), target_file=write("x.de", de))
    assert two == one._replace(name="x.en-x.de")


def test_repeated_sources_are_never_on_both_sides(write):
    content = "".join(f"s{i % 30}\tt{i}\n" for i in range(300))
    data = load_pairs(write("p.tsv", content))
    assert (len(data.train), len(data.heldout)) == (270, 30)
    assert not {source for source, _ in data.train} & {source for source, _ in data.heldout}


def test_held_out_files_are_taken_as_they_are(write):
    held = {"heldout_source": write("v.en", "a\nb\n"), "heldout_target": write("v.de", "c\nd\n")}
    data = load_pairs(write("p.tsv", "a\tb\n"), **held)
    assert data == Pairs("p.tsv", [("a", "b")], [("a", "c"), ("b", "d")])
    en, de = write("t.en", "a\n"), write("t.de", "b\n")
    data = load_pairs(source_file=en, target_file=de, **held)
    assert data == Pairs("t.en-t.de", [("a", "b")], [("a", "c"), ("b", "d")])


def test_too_few_sources_to_split_are_refused(write):
    path = write("p.tsv", numbered(9) * 3)
    with pytest.raises(
        InputError, match="has 9 distinct sources; at least 10 are needed"
    ) as caught:
        load_pairs(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert len(load_pairs(write("p.tsv", numbered(10))).heldout) == 1


def test_a_tenth_is_a_choice_blind_to_order_and_number():
    groups = [f"group {i}" for i in range(1001)]
    chosen = tenth(groups)
    assert len(chosen) == 101
    assert chosen == tenth([*reversed(groups), "group 7"])
    # SHA-256 of "1", "2", "3" begins with 6b, d4, 4e.
    assert tenth("123") == {"3"}
    # Most of what is held out of a part is held out of the whole.
    assert len(tenth(groups[:900]) & chosen) >= 80


def test_fingerprint_sees_every_text_the_kinds_and_the_split():
    data = Pairs("name", [("a", "b"), ("c", "d")], [("e", "f")])
    assert data.fingerprint() == data._replace(name="other").fingerprint()
    variants = [
        data,
        data._replace(train=[("a", "b"), ("c", "x")]),
        data._replace(train=[("c", "d"), ("a", "b")]),
        data._replace(train=[("ab", ""), ("c", "d")]),
        data._replace(train=[("a", "b")], heldout=[("c", "d"), ("e", "f")]),
        data._replace(heldout=[("f", "e")]),
        data._replace(train_kinds=("x", "y")),
        data._replace(heldout_kinds=("x",)),
    ]
    assert len({variant.fingerprint() for variant in variants}) == len(variants)
