"""How large each image gets beyond its base: the wheels of its lock, as downloaded and unpacked.

    .venv/bin/python tools/image_sizes.py web worker gpu

Downloads the wheels (gpu: several GB) into a folder that is removed again. Images hold bytecode, too.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MB = 1_000_000


def weigh(lock: str) -> tuple[int, int, int]:
    """Number of wheels, bytes as downloaded, bytes unpacked."""
    with tempfile.TemporaryDirectory() as folder:
        command = [
            sys.executable,
            "-m",
            "pip",
            "download",
            "--quiet",
            "--no-deps",
            "--require-hashes",
            "--only-binary=:all:",
        ]
        subprocess.run([*command, "-d", folder, "-r", str(ROOT / f"requirements/{lock}.txt")], check=True)
        wheels = sorted(Path(folder).iterdir())
        unpacked = sum(item.file_size for wheel in wheels for item in zipfile.ZipFile(wheel).infolist())
        return len(wheels), sum(wheel.stat().st_size for wheel in wheels), unpacked


def main() -> None:
    for lock in sys.argv[1:] or ["web", "worker"]:
        count, packed, unpacked = weigh(lock)
        print(f"{lock}: {count} wheels, {packed / MB:.0f} MB, unpacked {unpacked / MB:.0f} MB", flush=True)


if __name__ == "__main__":
    main()
