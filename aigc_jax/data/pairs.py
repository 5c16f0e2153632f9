"""Pairs of texts, to learn the second from the first: a file of pairs, or two parallel files."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from aigc_jax.errors import InputError

FEWEST = 10  # distinct sources, so that one is held out

Pair = tuple[str, str]  # source, target


class Pairs(NamedTuple):
    """Pairs to train on, and others that are held out."""

    name: str
    train: list[Pair]
    heldout: list[Pair]
    train_kinds: tuple[str, ...] = ()  # of each pair; none where all are of one kind
    heldout_kinds: tuple[str, ...] = ()

    @property
    def unit(self) -> str:
        """What the data set is counted in."""
        return "pairs"

    def fingerprint(self) -> str:
        """SHA-256 of all pairs, their kinds, and where they are split."""
        digest = hashlib.sha256()
        parts = (self.train, self.heldout, self.train_kinds, self.heldout_kinds)
        for part in parts:
            digest.update(f"{len(part)} ".encode())
            for item in part:
                for text in (item,) if isinstance(item, str) else item:
                    content = text.encode()
                    digest.update(f"{len(content)} ".encode() + content)
        return digest.hexdigest()


def load_pairs(
    pairs: str | None = None,
    source_file: str | None = None,
    target_file: str | None = None,
    heldout_source: str | None = None,
    heldout_target: str | None = None,
) -> Pairs:
    """Loads the user's own pairs: from one file, or from two whose lines correspond.

    The held-out pairs come from files of their own, as they are, or else are a tenth, chosen by
    source (see `tenth`), so that a source that occurs twice is never on both sides.

    Args:
      pairs: a file as `read_tsv` takes it.
      source_file, target_file: instead of it, two files as `read_parallel` takes them.
      heldout_source, heldout_target: two more, to hold out.

    Returns:
      The pairs in the order of the files; named after the file, or the two files, to train on.

    Raises:
      InputError: the files named are too many or too few, or one of them cannot be used.
    """
    files = _twins("source_file", source_file, "target_file", target_file)
    heldout_files = _twins("heldout_source", heldout_source, "heldout_target", heldout_target)
    if pairs is not None and files is None:
        name, found = Path(pairs).name, read_tsv(pairs)
    elif files is not None and pairs is None:
        name, found = "-".join(Path(file).name for file in files), read_parallel(*files)
    else:
        raise InputError("pass either --pairs, or --source_file and --target_file")
    if heldout_files is not None:
        return Pairs(name, found, read_parallel(*heldout_files))
    sources = {source for source, _ in found}
    if len(sources) < FEWEST:
        message = f"{pairs or source_file}: has {len(sources)} distinct sources"
        raise InputError(f"{message}; at least {FEWEST} are needed, or held-out files")
    heldout = tenth(sources)
    return Pairs(
        name,
        [pair for pair in found if pair[0] not in heldout],
        [pair for pair in found if pair[0] in heldout],
    )


def _twins(first: str, one: str | None, second: str, other: str | None) -> tuple[str, str] | None:
    if one is not None and other is not None:
        return one, other
    if one is None and other is None:
        return None
    given, missing = (first, second) if other is None else (second, first)
    raise InputError(f"--{given} needs --{missing} as well")


def tenth(groups: Iterable[str]) -> set[str]:
    """The ⌈n / 10⌉ of n distinct groups whose SHA-256 is lowest: a choice blind to their order."""
    ranked = sorted(set(groups), key=lambda group: hashlib.sha256(group.encode()).digest())
    return set(ranked[: -(-len(ranked) // 10)])


def read_tsv(path: str) -> list[Pair]:
    """The pairs of a file with one on each line: source, tab, target.

    Lines end at line feeds alone, or carriage return and line feed. White space around a text is
    stripped. Blank lines are skipped.

    Args:
      path: a UTF-8 file.

    Raises:
      InputError: names the file, and the line that has no tab, or several, or a side left blank.
    """
    pairs = []
    for number, line in enumerate(_lines(path), 1):
        if not line.strip():
            continue
        texts = [text.strip() for text in line.split("\t")]
        if len(texts) != 2:
            message = f"{path}:{number}: has {len(texts) - 1} tabs"
            raise InputError(f"{message}; a line is source, one tab, target")
        if not all(texts):
            side = "source" if not texts[0] else "target"
            raise InputError(f"{path}:{number}: the {side} is blank; fill it in or delete the line")
        pairs.append((texts[0], texts[1]))
    return _some(pairs, path)


def read_parallel(source_path: str, target_path: str) -> list[Pair]:
    """The pairs of two files: line i of the one is translated by line i of the other.

    Lines end and texts are stripped as in `read_tsv`. Lines that are blank in both files are
    skipped; a line that is blank in one of them is refused, as it may mean that the files have gone
    out of step.

    Args:
      source_path, target_path: UTF-8 files.

    Raises:
      InputError: the files differ in their number of lines, or names the line without translation.
    """
    sources, targets = _lines(source_path), _lines(target_path)
    if len(sources) != len(targets):
        counts = f"{source_path} has {len(sources)} lines and {target_path} {len(targets)}"
        raise InputError(f"{counts}; line i of one must translate line i of the other")
    pairs = []
    for number, texts in enumerate(zip(sources, targets, strict=True), 1):
        source, target = (text.strip() for text in texts)
        if bool(source) != bool(target):
            path, other = (target_path, source_path) if source else (source_path, target_path)
            message = f"{path}:{number}: is blank, and {other}:{number} is not"
            raise InputError(f"{message}; fill it in or delete both lines")
        if source:
            pairs.append((source, target))
    return _some(pairs, source_path)


def _some(pairs: list[Pair], path: str) -> list[Pair]:
    if not pairs:
        raise InputError(f"{path}: holds no text")
    return pairs


def _lines(path: str) -> list[str]:
    # Not str.splitlines, which ends a line at U+2028, U+0085 and form feeds too.
    try:
        content = Path(path).read_bytes()
        text = content.decode("utf-8-sig")
    except OSError as error:
        raise InputError(f"{path or repr(path)}: cannot be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        number = error.object.count(b"\n", 0, error.start) + 1
        message = f"{path}:{number}: not UTF-8 (byte {error.object[error.start]:#04x})"
        raise InputError(f"{message}; convert it with iconv -t UTF-8") from error
    return [line.removesuffix("\r") for line in text.removesuffix("\n").split("\n")]
