"""Zip archives from strangers: no member twice, none outside the archive, none that unpacks to an absurd size."""

from __future__ import annotations

import stat
import zipfile
from collections import Counter
from pathlib import PurePosixPath

from analyzers.errors import ModelUnreadable, ModelUnsafe

MAX_MEMBERS = 2000
"""Members of one archive. Keras writes three and some per vocabulary; 60 000 empty ones cost a minute to list."""

MAX_UNPACKED_BYTES = 1 << 34
"""16 GiB over all members: 4 billion float32 parameters, more than any worker here could run."""

BOMB_FLOOR_BYTES = 1 << 24
"""16 MiB. A member smaller than this may compress as well as it likes: weights of zeros do."""

MAX_EXPANSION = 100
"""How many times its stored size a member above the floor may have. Keras stores weights unpacked (1), recompressed
trained weights reach 1.2, an untrained model's zeros stay below 20 beside its kernels."""


def check_archive(archive: zipfile.ZipFile, archive_size: int) -> None:
    """Check every member before any is read; `archive_size` is the file's size in bytes.

    Raises:
        ModelUnsafe: doubled, absolute, linked, climbing, encrypted or absurdly large members, or something before them.
        ModelUnreadable: a member ends beyond the end of the file.
    """
    infos = archive.infolist()
    if len(infos) > MAX_MEMBERS:
        raise ModelUnsafe(
            f"The archive has {len(infos)} members; no Keras model has more than {MAX_MEMBERS}. Pack the model alone."
        )
    doubled = [name for name, count in Counter(info.filename for info in infos).items() if count > 1]
    if doubled:
        raise ModelUnsafe(
            f"The archive has two members named {doubled[0][:80]!r}: which one counts is not defined. Save the model "
            "again."
        )
    if infos and (ahead := min(info.header_offset for info in infos)):
        raise ModelUnsafe(
            f"The archive has {ahead} bytes before its first member, in which other readers may see another file. Save "
            "the model again, into a file of its own."
        )
    if sum(info.file_size for info in infos) > MAX_UNPACKED_BYTES:
        raise ModelUnsafe(
            f"The archive unpacks to more than {MAX_UNPACKED_BYTES >> 30} GiB, more than can be loaded here. Send a "
            "smaller version of the model."
        )
    for info in infos:
        _check_name(info)
        _check_member(info, archive_size)


def read_member(archive: zipfile.ZipFile, name: str, most: int) -> bytes:
    """The bytes of a member of at most `most` bytes. Raises ModelUnsafe where it is larger, whatever it declares."""
    with archive.open(name) as member:
        content = member.read(most + 1)
    if len(content) > most:
        raise ModelUnsafe(
            f"The archive's {name} is larger than {most >> 20} MiB, and no real model's is. Save the model again."
        )
    return content


def _check_name(info: zipfile.ZipInfo) -> None:
    name = info.filename
    parts = PurePosixPath(name.replace("\\", "/")).parts
    outside = name.startswith(("/", "\\")) or ".." in parts or ":" in (parts[0] if parts else "") or "\0" in name
    if outside:
        raise ModelUnsafe(
            f"The archive's member {name[:80]!r} would be written outside of it. Save the model with Keras."
        )
    if stat.S_ISLNK(info.external_attr >> 16):
        raise ModelUnsafe(f"The archive's member {name[:80]!r} is a link to another file. Save the model with Keras.")


def _check_member(info: zipfile.ZipInfo, archive_size: int) -> None:
    if info.flag_bits & 0x1:
        raise ModelUnsafe("The archive is encrypted. Send the model without a password.")
    if info.header_offset + info.compress_size > archive_size:
        raise ModelUnreadable("The archive is cut short: a member ends beyond the end of the file. Send it again.")
    if info.compress_type == zipfile.ZIP_STORED and info.file_size != info.compress_size:
        raise ModelUnsafe(
            f"The archive's member {info.filename[:80]!r} declares two different sizes for the same bytes. Save the "
            "model again."
        )
    if info.file_size > BOMB_FLOOR_BYTES and info.file_size > MAX_EXPANSION * info.compress_size:
        raise ModelUnsafe(
            f"The archive's member {info.filename[:80]!r} declares {info.file_size >> 20} MiB but stores "
            f"{info.compress_size >> 10} KiB: no trained weights compress like this. Save the model again with Keras."
        )
