"""The zygote as shipped, but its guests run a payload of these tests in place of a diagnosis."""

from __future__ import annotations

import payloads

from app.sandbox import rehearsal, zygote

if __name__ == "__main__":
    zygote.main({"diagnose": payloads.act, "rehearse": rehearsal.rehearse, "try_device": rehearsal.try_device})
