"""Runs payloads in a sandbox whose service is nobody in particular: `unprivileged.py FOLDER PAYLOAD...`, as that user.

Prints what holds its guests, and what each payload left as its headline, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from app.sandbox.protocol import Limits

LIMITS = Limits(memory_bytes=1500 << 20, wall_seconds=30, output_bytes=1 << 26, cpu_seconds=60, threads=1)


def main() -> None:
    from tests.sandbox.harness import BareSandbox, HostileSandbox, Run, waiting

    home, kind, *payloads = sys.argv[1:]
    sandbox = BareSandbox() if kind == "bare" else HostileSandbox(folder=Path(home), spare=LIMITS)
    sandbox.start()
    said = {"isolation": sandbox.isolation}
    for payload in payloads:
        if kind != "bare":
            waiting(sandbox)  # so that each is run by a guest that waited for it
        folder = Path(home, payload)
        outcome = Run(sandbox, folder, payload, LIMITS)()
        assert outcome.kind == "succeeded", outcome
        said[payload] = json.loads((folder / "out" / "report.json").read_text())["headline"]
    sandbox.close()
    print(json.dumps(said))


if __name__ == "__main__":
    main()
