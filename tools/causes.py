"""Write the reference of all causes out of the analysis: the file that `/causes` is served from.

.venv/bin/python tools/causes.py
"""

from __future__ import annotations

import json

from analyzers.reference import reference
from app.reference import FILE


def text() -> str:
    """What the file must hold."""
    return json.dumps(reference(), indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    FILE.write_text(text(), encoding="utf-8")
    print(f"wrote {FILE.relative_to(FILE.parents[1])}")
