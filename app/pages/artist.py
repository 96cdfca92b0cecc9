"""The process that draws: specifications in, drawings out, one JSON document a line.

The renderer brings a JavaScript engine of 100 MB along and holds up whatever runs beside it, so it has a process of its
own. It starts with the first drawing and goes when there is nothing to draw, or nobody left to draw for: then its
standard input ends.
"""

from __future__ import annotations

import json
import select
import subprocess
import sys
import threading
from typing import Any

VEGA_LITE = "6.4"
IDLE_SECONDS = 120
PATIENCE_SECONDS = 30.0
"""A drawing takes a tenth of a second, the first a whole one; on a crowded machine ten times that."""


class NoDrawingError(Exception):
    """The renderer gave none."""


class Artist:
    """The process as seen from the one that wants drawings; one drawing at a time."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[str] | None = None

    def draw(self, spec: str) -> str:
        """The drawing of a Vega-Lite specification, both as text. Raises NoDrawingError."""
        with self._lock:
            # A process that went while it was idle is found out by its silence.
            told = self._ask(spec) or self._ask(spec)
        if not told:
            raise NoDrawingError("the renderer does not answer")
        answer: dict[str, Any] = json.loads(told)
        if "svg" not in answer:
            raise NoDrawingError(str(answer.get("error", ""))[:500])
        return str(answer["svg"])

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()

    def _ask(self, spec: str) -> str:
        process = self._running()
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(PATIENCE_SECONDS, process.kill)
        timer.start()
        try:
            process.stdin.write(spec + "\n")
            process.stdin.flush()
            told = process.stdout.readline()
        except OSError:
            told = ""
        finally:
            timer.cancel()
        if not told:
            self._end()
        return told

    def _running(self) -> subprocess.Popen[str]:
        if self._process is None or self._process.poll() is not None:
            self._end()
            command = [sys.executable, "-m", "app.pages.artist"]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
            )
        return self._process

    def _end(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None


def main() -> None:
    """Draw until there is nothing more to draw."""
    import vl_convert

    while select.select([sys.stdin.buffer], [], [], IDLE_SECONDS)[0]:
        line = sys.stdin.buffer.readline()
        if not line:
            return
        try:
            drawing = vl_convert.vegalite_to_svg(line.decode(), vl_version=VEGA_LITE, allowed_base_urls=[])
            answer = {"svg": drawing}
        except ValueError as error:
            answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
