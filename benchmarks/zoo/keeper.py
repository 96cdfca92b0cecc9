"""Each model in a process of its own, with limits on memory and time, so that a failure costs one row.

Processes are forked from a server that has imported TensorFlow and run nothing: a second each instead of ten.
"""

from __future__ import annotations

import multiprocessing
import os
import resource
import tempfile
import time
import traceback
from dataclasses import asdict
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from benchmarks.zoo.exhibit import Exhibit, Row

MEMORY_LIMIT_BYTES = 14 << 30
"""Of data of one process. A diagnosis by the service has 4 GiB; here the model is built and trained there too: the
largest, ConvNeXtXLarge with 350 million parameters, takes more than 8 GiB."""

GRACE_SECONDS = 5.0  # For a process that has said all to end by itself.


def kept(exhibit: Exhibit) -> Row:
    """The row of one exhibit, whatever happens to its process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["benchmarks.zoo.visit"])
    with tempfile.TemporaryDirectory(prefix="zoo-") as folder:
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_inside, args=(exhibit, folder, writer))
        began = time.perf_counter()
        process.start()
        writer.close()
        try:
            return _heard(exhibit, reader, process, Path(folder), began)
        finally:
            process.join(GRACE_SECONDS)
            process.kill()
            process.join()


def _heard(exhibit: Exhibit, reader: Connection, process: Any, folder: Path, began: float) -> Row:
    try:
        if reader.poll(exhibit.limit_seconds):
            return Row(**reader.recv())
        said = f"not done in {exhibit.limit_seconds:.0f} s"
    except EOFError:
        process.join()
        output = folder / "output"
        last = output.read_text(errors="replace").strip().splitlines()[-1:] if output.exists() else []
        said = " ".join([f"the process ended with status {process.exitcode}", *last])
    return _crash(exhibit, time.perf_counter() - began, said)


def _crash(exhibit: Exhibit, seconds: float, said: str) -> Row:
    return Row(
        exhibit.part, exhibit.name, exhibit.version, exhibit.family, "crash", seconds, said=said, broken=["crash"]
    )


def _inside(exhibit: Exhibit, folder: str, writer: Connection) -> None:
    began = time.perf_counter()
    _settle(Path(folder))
    from benchmarks.zoo.visit import visit

    try:
        row = visit(exhibit, Path(folder))
    except Exception as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        said = (
            f"{type(error).__name__}: {' '.join(str(error).split())[:300]} ({Path(frame.filename).name} {frame.lineno})"
        )
        row = _crash(exhibit, time.perf_counter() - began, said)
        traceback.print_exc()
    writer.send(asdict(row))
    writer.close()


def _settle(folder: Path) -> None:
    """Speak into a file, and take no more memory than allowed."""
    with (folder / "output").open("wb") as file:
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _, most = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_LIMIT_BYTES, most))
