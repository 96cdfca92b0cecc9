"""Spoiling sound files where it hurts: not only bytes, but what stands in the members, the JSON, the tables and HDF5.

Whatever `draw` says is done: the same numbers give the same file.
"""

from __future__ import annotations

import gzip
import io
import json
import random
import tarfile
import zipfile
from collections.abc import Callable
from typing import Any

from benchmarks.fuzz_cage.hdf5 import spoil_hdf5
from benchmarks.fuzz_cage.wire import spoil_wire
from benchmarks.fuzz_static import JUNK, WAYS, spoil_json

Spoil = Callable[[bytes, random.Random], bytes]

BYTES_SHARE = 0.08
"""Of the files: spoilt without regard to what they hold. Most of these are refused by the first look at them."""


SPOKEN = ("config.json", "saved_model.pb", "keras_metadata.pb", "model.weights.h5")
SPOKEN_SHARE = 0.7
"""Of the archives: spoilt in the members that say most of what a model is."""


def spoil(name: str, content: bytes, draw: random.Random) -> bytes:
    """The content of a file of that name, spoilt."""
    way = _by_name(name)
    if way is None or draw.random() < BYTES_SHARE:
        return draw.choice(WAYS)(content, draw)
    for _ in range(draw.choice((1, 1, 1, 2, 3))):
        try:
            content = way(content, draw)
        except (OSError, ValueError, KeyError, RuntimeError, zipfile.BadZipFile, tarfile.TarError):
            break  # spoilt beyond what can be spoilt by rule: good enough
    return content


def _by_name(name: str) -> Spoil | None:
    """How files of that name are spoilt by what they hold."""
    for ending, way in ENDINGS.items():
        if name.endswith(ending):
            return way
    return None


def _zip(content: bytes, draw: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(content)) as old, zipfile.ZipFile(out, "w", draw.choice((0, 8))) as new:
        for name, member in _changed({name: old.read(name) for name in old.namelist()}, draw):
            new.writestr(zipfile.ZipInfo(name), member)
    return out.getvalue()


def _tar(content: bytes, draw: random.Random) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=io.BytesIO(content)) as old:
        members = {m.name: _extracted(old, m) for m in old.getmembers() if m.isfile()}
    # Without the time of day, which would make each file another.
    with gzip.GzipFile(fileobj=out, mode="wb", mtime=0) as packed, tarfile.open(fileobj=packed, mode="w") as new:
        for name, member in _changed(members, draw):
            entry = tarfile.TarInfo(name)
            entry.size = len(member)
            new.addfile(entry, io.BytesIO(member))
    return out.getvalue()


def _extracted(archive: tarfile.TarFile, member: tarfile.TarInfo) -> bytes:
    stream = archive.extractfile(member)
    return b"" if stream is None else stream.read()


def _changed(members: dict[str, bytes], draw: random.Random) -> list[tuple[str, bytes]]:
    """The members with one of them spoilt, left out, doubled, renamed or swapped with another."""
    spoken = [name for name in members if name.endswith(SPOKEN)] or list(members)
    chosen = draw.choice(spoken if draw.random() < SPOKEN_SHARE else list(members))
    what, found = draw.random(), list(members.items())
    at = next(number for number, (name, _) in enumerate(found) if name == chosen)
    if what < 0.03:
        del found[at]
    elif what < 0.05:
        found.append(found[at])
    elif what < 0.07:
        found[at] = (draw.choice(("x", f"assets/{chosen}", f"../{chosen}", chosen.upper())), found[at][1])
    elif what < 0.1:
        found[at] = (chosen, draw.choice(found)[1])
    else:
        found[at] = (chosen, spoil(chosen, found[at][1], draw))
    return found


def _json_text(content: bytes, draw: random.Random) -> bytes:
    return spoil_json(content, draw) if draw.random() < 0.4 else nudged_json(content, draw)


def nudged_json(content: bytes, draw: random.Random) -> bytes:
    """JSON with a value turned into another that is as likely to be believed: the same kind, another size or place."""
    root = json.loads(content)
    places = list(_places(root))
    for _ in range(draw.choice((1, 1, 2))):
        if not places:
            break
        holder, key = draw.choice(places)
        try:
            holder[key] = _other(holder[key], places, draw)
        except (KeyError, IndexError):
            continue  # gone with an earlier change
    return json.dumps(root).encode()


def _places(item: Any) -> Any:
    """Every (container, key) below an item of JSON."""
    for key, value in list(item.items()) if isinstance(item, dict) else list(enumerate(item)):
        yield item, key
        if isinstance(value, dict | list):
            yield from _places(value)


def _other(value: Any, places: list[Any], draw: random.Random) -> Any:
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return draw.choice((0, -1, 1, 2, value + 1, value * 1000, 1 << 40, float(value), str(value)))
    if isinstance(value, float):
        return draw.choice((0.0, -1.0, 1.0, 1e30, -1e-9, float("nan"), float("inf"), int(value)))
    holder, key = draw.choice(places)
    try:
        donor = json.loads(json.dumps(holder[key]))  # a copy: what holds itself cannot be written
    except (KeyError, IndexError):
        donor = None
    if isinstance(value, list) and value and draw.random() < 0.5:
        return draw.choice((value[:-1], value + value[-1:], value[::-1], [value]))
    return donor if type(donor) is type(value) or draw.random() < 0.5 else draw.choice(JUNK)


def _csv(content: bytes, draw: random.Random) -> bytes:
    """A table with cells, lines or the separator changed."""
    lines = content.split(b"\n")
    at = draw.choice((0, draw.randrange(len(lines))))
    cells = lines[at].split(b",")
    odd = (
        b"",
        b"nan",
        b"inf",
        b"1e999",
        b"x",
        b'"',
        b"=1+1",
        b"\xff\xfe",
        b"1;2",
        b"0x10",
        b"-",
        b"9" * 400,
        b"y",
        b"a",
    )
    cells[draw.randrange(len(cells))] = draw.choice(odd)
    lines[at] = b",".join(cells if draw.random() < 0.7 else draw.choice((cells[:-1], cells * 2, [])))
    text = b"\n".join(lines if draw.random() < 0.8 else lines[: draw.choice((0, 1, 2, 5))])
    return text.replace(b",", draw.choice((b";", b"\t", b"\x00"))) if draw.random() < 0.1 else text


def _npy(content: bytes, draw: random.Random) -> bytes:
    """An array with another header: another shape, kind, order, or a length that lies."""
    length = int.from_bytes(content[8:10], "little")
    header = content[10 : 10 + length].decode("latin-1")
    kinds = ("<f2", "<f8", ">f4", "|b1", "<i8", "<u2", "<c8", "|S4", "<U4", "<M8[s]", "|O", "|V7", "<f16")
    changes: list[tuple[str, str]] = [
        ("'descr': '", f"'descr': '{draw.choice(kinds)}', 'was': '"),
        ("'shape': (", f"'shape': ({draw.choice((0, 1, -1, 1 << 62, 3))}, "),
        ("'shape': (40", f"'shape': ({draw.choice((0, 1, 2, 39, 41, 1 << 40))}"),
        ("False", "True"),
        ("'fortran_order': False, ", ""),
    ]
    header = header.replace(*draw.choice(changes))
    if draw.random() < 0.3:
        header = header.replace(header.partition("'descr': ")[2].partition(",")[0], repr(draw.choice(kinds)), 1)
    encoded = header.encode("latin-1")
    size = len(encoded) if draw.random() < 0.9 else draw.choice((0, 1, 65535))
    return content[:8] + size.to_bytes(2, "little") + encoded + content[10 + length :]


ENDINGS: dict[str, Spoil] = {
    ".keras": _zip,
    ".zip": _zip,
    ".npz": _zip,
    ".tar.gz": _tar,
    ".json": _json_text,
    ".h5": spoil_hdf5,
    ".csv": _csv,
    ".npy": _npy,
    ".pb": spoil_wire,
}
"""By the end of a file's or a member's name. Parquet files and checkpoints are spoilt by bytes."""
