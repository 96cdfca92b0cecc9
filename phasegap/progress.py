"""Shows how far a diagnosis has come: a bar on a terminal or in a notebook, nothing where a program reads along."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from phasegap.texts import plain

Tell = Callable[[str, float], None]
"""Called with a stage (upload, queued, load, measure, explain, verify) and the fraction of the whole that is done."""

SCALE = 100  # the bar counts per cent
STAGE_WIDTH = 10


@contextmanager
def shown(progress: bool | Tell) -> Iterator[Tell]:
    """What to call with stages: the caller's own function, a bar, or nothing.

    `True` draws a bar where somebody can see it, `False` never does.
    """
    if callable(progress):
        yield progress
    elif not (progress and somebody_looks()):
        yield lambda stage, fraction: None
    else:
        with bar() as tell:
            yield tell


@contextmanager
def bar() -> Iterator[Tell]:
    """A tqdm bar on standard error, or tqdm's widget in a notebook that has widgets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # tqdm complains where a notebook has no widgets, and draws text then
        from tqdm.auto import tqdm
    form = "{desc} {percentage:3.0f}%|{bar}| {elapsed}"
    # Without tqdm's monitor thread: it refreshes bars that nobody updates, and it outlives them.
    tqdm.monitor_interval = 0
    with tqdm(total=SCALE, bar_format=form, leave=False, file=sys.stderr) as drawn:
        yield lambda stage, fraction: _draw(drawn, stage, fraction)


def line(text: str) -> None:
    """A line above the bar, where somebody looks; else nothing."""
    if somebody_looks():
        from tqdm import tqdm

        tqdm.write(plain(text), file=sys.stderr)


def _draw(drawn: Any, stage: str, fraction: float) -> None:
    drawn.set_description_str(f"{plain(stage):<{STAGE_WIDTH}}", refresh=False)
    drawn.n = round(SCALE * min(max(fraction, 0.0), 1.0))
    drawn.refresh()


def somebody_looks() -> bool:
    """Whether standard error is a terminal, or a notebook's cell stands below."""
    return sys.stderr.isatty() or _in_notebook()


def _in_notebook() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config
