"""The host's side of a job folder: making it ready for a guest, and reading what one left, trusting none of it.

A guest may leave links, pipes, endless files and bottomless folders. So the host holds on to its folders by
descriptor, follows no link, opens nothing but regular files, reads no more than it asked for, and lets no name of the
guest's stay behind.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
from pathlib import Path
from types import TracebackType

from app.sandbox.protocol import ProgressLine, Task

IN, OUT, SCRATCH = "in", "out", "scratch"
TASK, PROGRESS, REPORT, ERROR, LOG = "task.json", "progress.jsonl", "report.json", "error.json", "guest.log"
REHEARSAL = "rehearsal.json"
READY = "ready"
"""What a guest that waits leaves when it is warm."""

KEPT = frozenset({PROGRESS, REPORT, ERROR, LOG})
MOST_ENTRIES = 20_000
MOST_PROGRESS, LONGEST_PROGRESS = 1 << 18, 1 << 16

_READ_ONLY = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
_CREATE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


def repaired_name(model_file: str) -> str:
    """What the repaired copy of an upload is called: formats are told by suffix."""
    suffixes = Path(model_file).suffixes
    return "repaired" + "".join(suffixes[-2:] if suffixes[-2:-1] == [".tar"] else suffixes[-1:])


class JobFolder:
    """One job's folder while its guest runs and until the host has taken what it wants."""

    def __init__(self, path: Path, task: Task) -> None:
        _check_names(task)
        self.path = path.resolve()
        self.task = task
        self._progress_read = 0

    def __enter__(self) -> JobFolder:
        for name in (OUT, SCRATCH, TASK, repaired_name(self.task.model_file)):
            discard(self.path / name)
        (self.path / TASK).write_text(self.task.model_dump_json(), encoding="utf-8")
        for name in (OUT, SCRATCH):
            (self.path / name).mkdir(mode=0o700)
        self._top = os.open(self.path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        self._out = os.open(OUT, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        os.close(self._out)
        os.close(self._top)
        discard(self.path / SCRATCH)

    def assign(self, task: Task) -> None:
        """Give the guest that lives here already its task: into the file that it may read, not in place of it."""
        _check_names(task)
        self.task = task
        descriptor = os.open(TASK, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=self._top)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(task.model_dump_json())

    def tidy(self) -> None:
        """Remove all that a guest left in `out/` except files under the agreed names."""
        for entry in list(os.scandir(self._out)):
            if entry.name not in KEPT or not entry.is_file(follow_symlinks=False):
                discard(self.path / OUT / entry.name)

    def read(self, name: str, limit: int) -> bytes | None:
        """A file of the guest's, or None where there is none, it is no file, or it is longer than the limit."""
        data = self._read(name, 0, limit + 1)
        return None if data is None or len(data) > limit else data

    def _read(self, name: str, offset: int, limit: int) -> bytes | None:
        try:
            descriptor = os.open(name, _READ_ONLY, dir_fd=self._out)
        except OSError:
            return None
        try:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                return None
            with open(descriptor, "rb", closefd=False) as file:
                file.seek(offset)
                return file.read(limit)
        finally:
            os.close(descriptor)

    def new_progress(self) -> list[ProgressLine]:
        """The whole, valid progress lines that have come since the last call."""
        if self._progress_read >= MOST_PROGRESS:
            return []
        data = self._read(PROGRESS, self._progress_read, LONGEST_PROGRESS) or b""
        whole, newline, _ = data.rpartition(b"\n")
        # No line is that long: pass over it, or it would be read again and again.
        self._progress_read += len(data) if len(data) == LONGEST_PROGRESS and not newline else len(whole) + len(newline)
        return [line for text in whole.split(b"\n") if (line := _progress(text))]

    def write(self, name: str, text: str) -> None:
        """Put a file of the host's own into `out/`, whole or not at all, in place of the guest's."""
        draft = f"{name}.host"
        descriptor = os.open(draft, _CREATE, 0o600, dir_fd=self._out)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
        os.rename(draft, name, src_dir_fd=self._out, dst_dir_fd=self._out)

    def take_repaired(self, limit: int) -> str | None:
        """Move the repaired model out of the guest's folder; its new name, or None where there is no sound one."""
        name = repaired_name(self.task.model_file)
        try:
            os.rename(name, name, src_dir_fd=self._out, dst_dir_fd=self._top)
        except FileNotFoundError:
            return None
        found = os.stat(name, dir_fd=self._top, follow_symlinks=False)
        if stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and 0 < found.st_size <= limit:
            if found.st_uid != os.geteuid():
                os.chown(name, os.geteuid(), os.getegid(), dir_fd=self._top, follow_symlinks=False)
            return name
        discard(self.path / name)
        return None

    def output_bytes(self) -> int:
        """What the guest has written so far, by the files' lengths; more entries than sensible count as without
        bound.
        """
        total = entries = 0
        folders = [self.path / OUT, self.path / SCRATCH]
        while folders:
            for length, inner in _entries(folders.pop()):
                entries += 1
                total += length
                if inner is not None:
                    folders.append(inner)
                if entries > MOST_ENTRIES:
                    return 1 << 62
        return total


def let_read(uploads: Path) -> None:
    """Make uploads readable for a guest's user.

    They are links to files that the service keeps. Their owner and group are left alone: who may read them is settled
    by the folders that they lie in, which nobody else may pass.
    """
    for upload in uploads.glob("*"):
        mode = upload.stat().st_mode
        if not mode & stat.S_IROTH:
            os.chmod(upload, stat.S_IMODE(mode) | stat.S_IROTH)


def _check_names(task: Task) -> None:
    for name in (task.model_file, task.batch_file):
        if name != Path(name).name:
            raise ValueError("file names in a task are plain names inside the job's in/ folder")


def _progress(text: bytes) -> ProgressLine | None:
    try:
        return ProgressLine.model_validate_json(text)
    except ValueError:
        return None


def _entries(folder: Path) -> list[tuple[int, Path | None]]:
    """Length of each entry, and its path where it is a folder. What vanishes meanwhile is not counted."""
    found: list[tuple[int, Path | None]] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                is_folder = entry.is_dir(follow_symlinks=False)
                found.append((entry.stat(follow_symlinks=False).st_size, Path(entry.path) if is_folder else None))
                if len(found) > MOST_ENTRIES:
                    break
    except OSError:
        pass
    return found


def discard(path: Path) -> None:
    """Remove a file or folder of any shape; nothing happens where there is none."""
    try:
        os.unlink(path)
    except FileNotFoundError:
        return
    except (IsADirectoryError, PermissionError):
        try:
            shutil.rmtree(path)
        except (OSError, RecursionError):
            # Nested deeper than Python's own way reaches: rm walks any depth.
            subprocess.run(["rm", "-rf", "--", os.fspath(path)], check=False, stdin=subprocess.DEVNULL)
