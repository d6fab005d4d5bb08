"""Opening files safely: listing, plain or gz, zst, zip, bounded sizes, text in any encoding.

Nothing is ever unpacked to disk. What a file is, its first bytes say, not its name.
"""

import sys
import zipfile
import zlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import polars as pl

from openbell.market.counted import counted
from openbell.market.errors import BadDataError, UsageError
from openbell.ports import Parsed

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

MAX_BYTES = 2 * 1024**3  # of one file or archive, unpacked
MAX_MEMBERS = 20_000

_CHUNK = 1 << 20
_GZIP, _ZSTD, _ZIP = b"\x1f\x8b", b"\x28\xb5\x2f\xfd", (b"PK\x03\x04", b"PK\x05\x06")
_PACKED = (".gz", ".zst", ".zip")
_PARQUET, _ARROW = b"PAR1", b"ARROW1"
_BOMS = (
    (b"\xef\xbb\xbf", "utf-8-sig"),
    (b"\xff\xfe\x00\x00", "utf-32"),
    (b"\x00\x00\xfe\xff", "utf-32"),
    (b"\xff\xfe", "utf-16"),
    (b"\xfe\xff", "utf-16"),
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A file to read.

    Attributes
    ----------
    path
        Where it is.
    name
        What reports call it: its name, or its path below the folder that was given.
    """

    path: Path
    name: str


@dataclass(frozen=True, slots=True)
class Member:
    """The unpacked content of a file, or of one member of an archive (``a.zip!b.csv``)."""

    name: str
    content: bytes


def require_one_of(what: str, value: str, known: Sequence[str]) -> None:
    """Raise `UsageError` unless `value` is one of the words known."""
    if value not in known:
        said = ", ".join(word for word in known if word)
        raise UsageError(f"unknown {what} `{value}`", hint=f"use one of {said}")


def list_files(
    given: Path | str | Sequence[Path | str], suffixes: Sequence[str]
) -> tuple[list[Listed], list[str]]:
    """The files that are meant, in order of their names, and the names of those left aside.

    Files given by name are always taken; of folders, at any depth, those that end in one of
    `suffixes`, packed or not.

    Raises
    ------
    UsageError
        If a path does not exist.
    """
    taken: list[Listed] = []
    aside: list[str] = []
    for path in [Path(given)] if isinstance(given, Path | str) else [Path(p) for p in given]:
        if not path.exists():
            raise UsageError(f"there is no file or folder `{path}`", hint="look at the path")
        if path.is_file():
            taken.append(Listed(path, path.name))
            continue
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            name = file.relative_to(path).as_posix()
            if plain_name(name).lower().endswith(tuple(suffixes)):
                taken.append(Listed(file, name))
            else:
                aside.append(name)
    return taken, aside


def plain_name(name: str) -> str:
    """A file's name without the suffix of its packing: ``spy.csv`` for ``spy.csv.gz``."""
    while name.lower().endswith(_PACKED):
        name = name[: name.rindex(".")]
    return name


def aside_note(aside: Sequence[str]) -> list[str]:
    """The note that says which files of a folder were left aside; empty when none was."""
    if not aside:
        return []
    shown = ", ".join(aside[:5]) + (", …" if len(aside) > 5 else "")
    return [f"{counted(len(aside), 'file')} not taken: {shown}"]


def with_first(notes: Sequence[str], parsed: Iterable[Parsed]) -> Iterator[Parsed]:
    """What was parsed, as it is; the first says these notes before its own."""
    for one in parsed:
        yield replace(one, notes=(*notes, *one.notes))
        notes = ()


def members(file: Listed, *, max_bytes: int = MAX_BYTES) -> Iterator[Member]:
    """What a file holds, unpacked: one member, or those of a zip archive in order of their names.

    Raises
    ------
    BadDataError
        If it cannot be read or unpacked, is larger than `max_bytes` when unpacked, or is an
        archive with too many members or with names that lead out of it.
    """
    try:
        raw = _read_bounded(file, max_bytes)
        if raw.startswith(_ZIP):
            yield from _zip_members(file.name, raw, max_bytes)
        else:
            yield Member(file.name, _unpacked(file.name, raw, max_bytes))
    except OSError as error:
        raise BadDataError(f"{file.name} cannot be read: {error.strerror or error}") from error


def member_names(file: Listed) -> list[str]:
    """The names `members` would give, without unpacking anything."""
    try:
        with zipfile.ZipFile(file.path) as archive:
            return [f"{file.name}!{i.filename}" for i in _checked(file.name, archive, MAX_BYTES)]
    except (zipfile.BadZipFile, OSError) as error:
        raise BadDataError(f"{file.name} is cut short or damaged: {error}") from error


def _read_bounded(file: Listed, max_bytes: int) -> bytes:
    with file.path.open("rb") as stream:
        return _bounded(file.name, stream, max_bytes)


def _bounded(name: str, stream: Any, max_bytes: int) -> bytes:
    chunks = []
    left = max_bytes
    while chunk := stream.read(_CHUNK):
        left -= len(chunk)
        if left < 0:
            raise BadDataError(
                f"{name} is larger than {max_bytes:,} bytes when unpacked",
                hint="split it, or allow more with max_bytes",
            )
        chunks.append(chunk)
    return b"".join(chunks)


def _unpacked(name: str, raw: bytes, max_bytes: int) -> bytes:
    if raw.startswith(_GZIP):
        import gzip  # only where a file is packed so

        stream: Any = gzip.GzipFile(fileobj=BytesIO(raw))
    elif raw.startswith(_ZSTD):
        stream = zstd.ZstdFile(BytesIO(raw))
    else:
        return raw
    try:
        return _bounded(name, stream, max_bytes)
    except (EOFError, OSError, zlib.error, zstd.ZstdError) as error:
        raise BadDataError(
            f"{name} is cut short or damaged: {error}", hint="fetch the file again"
        ) from error


def _zip_members(name: str, raw: bytes, max_bytes: int) -> Iterator[Member]:
    try:
        with zipfile.ZipFile(BytesIO(raw)) as archive:
            for info in _checked(name, archive, max_bytes):
                inner = f"{name}!{info.filename}"
                with archive.open(info) as stream:
                    content = _bounded(inner, stream, max_bytes)
                yield Member(inner, _unpacked(inner, content, max_bytes))
    except NotImplementedError as error:  # zipfile's word for a compression it does not know
        raise BadDataError(
            f"{name} is packed in a way that is not read: {error}",
            hint="unpack it, and give the files or an ordinary zip of them",
        ) from error
    except (zipfile.BadZipFile, EOFError, zlib.error) as error:
        raise BadDataError(
            f"{name} is cut short or damaged: {error}", hint="fetch the file again"
        ) from error


def _checked(name: str, archive: zipfile.ZipFile, max_bytes: int) -> list[zipfile.ZipInfo]:
    """The members that are files, in order of their names, after all limits were checked."""
    infos = [i for i in archive.infolist() if not i.is_dir() and not _is_litter(i.filename)]
    if len(infos) > MAX_MEMBERS:
        raise BadDataError(f"{name} has {len(infos):,} members; at most {MAX_MEMBERS:,} are read")
    for info in infos:
        if _is_unsafe(info.filename):
            raise BadDataError(f"{name} has a member that leads out of it: `{info.filename}`")
        if info.flag_bits & 1:
            raise BadDataError(f"{name} is encrypted", hint="unpack it first")
    if (total := sum(i.file_size for i in infos)) > max_bytes:
        raise BadDataError(
            f"{name} holds {total:,} bytes when unpacked; at most {max_bytes:,} are read",
            hint="split it, or allow more with max_bytes",
        )
    return sorted(infos, key=lambda info: info.filename)


def _is_litter(name: str) -> bool:
    """Whether an operating system put it there: resource forks, folder views."""
    return name.startswith("__MACOSX/") or PurePosixPath(name).name.startswith(".")


def _is_unsafe(name: str) -> bool:
    return (
        name.startswith("/")
        or "\\" in name
        or ":" in name
        or "\0" in name
        or ".." in PurePosixPath(name).parts
    )


def is_columnar(content: bytes) -> bool:
    """Whether a content is Parquet, Arrow IPC or feather (version 2)."""
    return content.startswith((_PARQUET, _ARROW))


def columnar(member: Member, max_bytes: int) -> pl.DataFrame:
    """All columns of a columnar file, once it is known that they are no more than `max_bytes`.

    Raises
    ------
    BadDataError
        If it is damaged, or holds more.
    """
    scan = pl.scan_parquet if member.content.startswith(_PARQUET) else pl.scan_ipc
    try:
        lazy = scan(BytesIO(member.content))
        cells = lazy.select(pl.len()).collect().item() * len(lazy.collect_schema())
        if cells * 8 > max_bytes:
            raise BadDataError(
                f"{member.name} holds {cells:,} cells, more than {max_bytes:,} bytes",
                hint="split it, or allow more with max_bytes",
            )
        return lazy.collect()
    except pl.exceptions.PolarsError as error:
        raise BadDataError(
            f"{member.name} is cut short or damaged: {error}", hint="fetch the file again"
        ) from error


def utf8(member: Member) -> tuple[bytes, list[str]]:
    """A member's text as UTF-8 without byte order mark, and notes on any other encoding found.

    UTF-8, UTF-16 and UTF-32 are recognised; what is none of them is read as Latin-1, which is
    noted.

    Raises
    ------
    BadDataError
        If it is empty, or no text.
    """
    raw = member.content
    if not raw.strip(b" \t\r\n"):
        raise BadDataError(f"{member.name} is empty")
    encoding = _encoding(raw)
    try:
        text = raw.decode(encoding)
    except UnicodeDecodeError as error:
        if encoding != "utf-8":
            raise BadDataError(
                f"{member.name} is damaged {encoding} text: {error.reason}"
            ) from error
        encoding, text = "latin-1", raw.decode("latin-1")
    if "\0" in text[:4096]:
        raise BadDataError(f"{member.name} is no text file")
    if encoding == "utf-8":
        return raw, []
    notes = [] if encoding == "utf-8-sig" else [f"text read as {encoding}"]
    return text.encode(), notes


def _encoding(raw: bytes) -> str:
    for mark, encoding in _BOMS:
        if raw.startswith(mark):
            return encoding
    # Text in a Western alphabet has a zero in every second byte when it is UTF-16.
    head = raw[:512]
    if head.count(0) * 3 > len(head):
        return "utf-16-le" if head[1::2].count(0) > head[0::2].count(0) else "utf-16-be"
    return "utf-8"
