"""Which files are accepted, told by name and first bytes. Contents are only ever parsed in the guest."""

from __future__ import annotations

import re

from app.errors import InputProblem
from app.inert import is_seen
from app.jobs.needs import BATCH_SUFFIXES, MODEL_SUFFIXES

MODEL_ADVICE = "Send a .keras file, a full model as .h5 or .hdf5, or a SavedModel folder as .zip, .tar or .tar.gz."
BATCH_ADVICE = "Send .npz, .npy (inputs only), .h5, .hdf5, .json, .csv or .parquet."

ZIP_MAGIC = (b"PK\x03\x04", b"PK\x05\x06")
HDF5_MAGIC = (b"\x89HDF\r\n\x1a\n",)
MAGIC = {
    ".keras": ZIP_MAGIC,
    ".zip": ZIP_MAGIC,
    ".npz": ZIP_MAGIC,
    ".tar.gz": (b"\x1f\x8b",),
    ".tgz": (b"\x1f\x8b",),
    ".npy": (b"\x93NUMPY",),
    ".parquet": (b"PAR1",),
}
"""How a file of each kind begins. HDF5 may begin later (a user block), so its absence is judged in the guest."""

LOOKS_LIKE = (
    (ZIP_MAGIC, "a zip archive (.keras, .zip and .npz are such)"),
    (HDF5_MAGIC, "an HDF5 file (.h5)"),
    ((b"\x93NUMPY",), "a NumPy array (.npy)"),
    ((b"\x1f\x8b",), "a gzip archive"),
    ((b"version https://git-lfs",), "a Git LFS pointer: the file itself was never downloaded"),
    ((b"<!DOCTYPE", b"<!doctype", b"<html", b"<HTML"), "a web page"),
    ((b"\x80\x02", b"\x80\x03", b"\x80\x04", b"\x80\x05"), "a Python pickle, which is never read here"),
    ((b"%PDF",), "a PDF document"),
    ((b"\x89PNG", b"\xff\xd8\xff", b"GIF8"), "an image"),
)
MAGIC_BYTES = 24
STEM_LIMIT = 120


def suffix_of(file_name: str, role: str) -> str:
    """The accepted suffix that the file's name ends with.

    Raises:
        InputProblem: none does; the answer names those that are accepted.
    """
    accepted, advice = (MODEL_SUFFIXES, MODEL_ADVICE) if role == "model" else (BATCH_SUFFIXES, BATCH_ADVICE)
    lowered = file_name.lower()
    for suffix in accepted:
        if lowered.endswith(suffix):
            return suffix
    shown = display_name(file_name)
    raise InputProblem(f"unsupported_{role}_format", f"The file name {shown!r} has no supported ending. {advice}")


def check_magic(head: bytes, size_bytes: int, suffix: str, role: str) -> None:
    """Refuse a file that does not begin as its ending promises.

    Raises:
        InputProblem: it is empty or something else; the answer says what it looks like.
    """
    code = f"{role}_unreadable"
    if size_bytes == 0:
        raise InputProblem(code, f"The {role} file is empty (0 bytes).")
    expected = MAGIC.get(suffix)
    if expected is None or head.startswith(expected):
        return
    look = next((name for magics, name in LOOKS_LIKE if head.startswith(magics)), None)
    hint = f"; it looks like {look}" if look else ""
    detail = f"The {role} file does not begin like a {suffix} file{hint}. It may be damaged or misnamed."
    raise InputProblem(code, detail)


def display_name(file_name: str) -> str:
    """A file name that is safe to show: no path, no control or direction characters, not too long."""
    base = re.split(r"[/\\]", file_name)[-1]
    kept = "".join(char for char in base if is_seen(char))
    return kept.strip()[:STEM_LIMIT]


def safe_stem(file_name: str, suffix: str) -> str:
    """The name without its ending, fit for a download's name later on."""
    shown = display_name(file_name)
    stem = shown[: -len(suffix)] if shown.lower().endswith(suffix) else shown
    return re.sub(r"[^\w .()+-]", "_", stem).strip(" .") or "model"
