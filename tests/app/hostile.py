"""Models whose names are attacks: real ones, their configuration rewritten."""

from __future__ import annotations

import io
import json
import zipfile

NAMES = {
    "markup": "<img src=x onerror=\"document.title='hit'\"><script>document.title='hit'<script>",
    "attribute": "\" onmouseover=\"document.title='hit'\" x='` {{7*7}} ${7*7} %s",
    "path": "../../../../etc/passwd",
    "direction": "\u202egnp.rettel\u2066\u200b",
    "terminal": "a\x00b\x1b[2J\x9b2J\r\nX-Injected: y\u2028",
    "emoji": "😀é\u0301中",
    "half": "a\ud800b",
    "long": "y" * 1_000_000,
    "metrics": 'x"} 1\nphasegap_jobs{a="',
}
SEEN_AS_TEXT = ("markup", "attribute", "direction", "emoji", "metrics")
"""Those that Keras takes: they come as far as the report. The others are refused with words that hold them."""


def renamed(model: bytes, name: str) -> bytes:
    """A `.keras` file whose model and batch-normalizing layers have this name."""
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(model)) as source, zipfile.ZipFile(out, "w") as target:
        for member in source.namelist():
            content = source.read(member)
            if member == "config.json":
                config = json.loads(content)
                config["config"]["name"] = name
                for layer in config["config"]["layers"]:
                    if layer["class_name"] == "BatchNormalization":
                        layer["config"]["name"] = name
                content = json.dumps(config).encode()
            target.writestr(member, content)
    return out.getvalue()
