"""Run the phases, write down what the layers saw, and leave the model bit for bit as it was.

An `Observer` owns the switchboard, the batch and the model's state for the length of a diagnosis. Every pass starts
from the uploaded state and the same random draws (for the same repeat), so passes differ only in their `Setting`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Any

import numpy as np

from analyzers.batches.lazy import Samples
from analyzers.batches.spec import Batch
from analyzers.outputs import Outputs, Rows, joined
from analyzers.statistics import Moments, SampleMoments, average, concatenate, mixed
from analyzers.subjects.families import path_of
from analyzers.subjects.keras_model import State
from analyzers.subjects.normalizing import Constants
from analyzers.switchboard import Reached, Setting, SiteCall
from analyzers.traced import Subject, board_of

CALIBRATION_BYTES = 1 << 30  # Activations of one calibration batch stay near 1 GiB, which a default guest has to spare.
ACTIVATIONS_PER_INPUT = (
    20  # Live activations of the convolutional nets measured take 10 to 20 times their input's bytes.
)
CALIBRATION_SAMPLES = (
    1024  # Beyond this the error of one batch's statistics is far below the sampling error of the batch.
)


MERGED_BYTES = 1 << 26  # Of activations in one merged batch: beyond 64 MiB arithmetic takes the time, not its start.
MERGED_WINDOWS = 8  # At most so many in one: activations are only guessed from the inputs, and may be far more.


@dataclass(frozen=True)
class Pass:
    """One pass over the whole batch.

    `outputs`: one array (samples, ...) an output. `calls`: per window and site what its calls applied. `seen`: per site
    and call of the site the moments of its input, (samples, channels), in the batch's order. `penalty`: added losses.
    """

    outputs: Outputs
    calls: list[dict[str, list[SiteCall]]]
    seen: dict[str, list[SampleMoments]]
    penalty: float
    flags: dict[str, set[bool]]

    def constants(self, window: int) -> dict[str, list[Constants]]:
        """What each site applied in one window, for replaying it."""
        return {path: [c.applied for c in calls] for path, calls in self.calls[window].items()}


def windows(samples: int, batch_size: int) -> list[tuple[Rows, Rows]]:
    """Batches of exactly `batch_size` that cover all samples in order: (rows to run, positions to keep) each.

    The last window is filled up with the samples before it, which are run again but not kept: statistics of a short
    last batch would be noisier than those that the model was trained on.
    """
    size = min(batch_size, samples)
    result = []
    for start in range(0, samples, size):
        first = min(start, samples - size)
        result.append((np.arange(first, first + size), np.arange(start - first, size)))
    return result


def slices(samples: int, most: int) -> list[tuple[Rows, Rows]]:
    """The same in batches of at most so many, the last as short as it comes: where samples do not see each other."""
    parts = [np.arange(start, min(start + most, samples)) for start in range(0, samples, most)]
    return [(part, np.arange(len(part))) for part in parts]


class Observer:
    """Runs passes over one batch. A context manager: leaving it restores the model, and the process's generators."""

    def __init__(self, subject: Subject, batch: Batch, batch_size: int, seed: int) -> None:
        self.subject, self.batch, self.seed = subject, batch, seed
        self.batch_size = min(batch_size, batch.samples)
        self.state = State(subject)
        self.board = board_of(subject)
        self.mutable: list[int] = list(range(len(self.state.values)))
        self.passes_run = 0
        self.merging = False
        self.memory_bytes: int | None = None  # What the process may take, where it is not the machine's.

    def __enter__(self) -> Observer:
        self.generators = random.getstate(), np.random.get_state()
        self.board.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.board.__exit__(kind, error, tb)
        self.state.restore(self.state.changed())
        random.setstate(self.generators[0])
        np.random.set_state(self.generators[1])

    def learn_mutable(self) -> list[str]:
        """After the first training-phase pass: which variables passes change. From then on only those are put back."""
        self.mutable = self.state.changed()
        return [path_of(self.state.variables[i]) for i in self.mutable]

    def merge(self) -> None:
        """From now on run passes in the inference phase in larger batches: only where samples were seen not to depend
        on each other there.
        """
        self.merging = self.subject.fixed_batch is None and not self.subject.carried_states

    def run(
        self,
        setting: Setting,
        *,
        repeat: int = 0,
        rows: Rows | None = None,
        like: Pass | None = None,
        keep_changes: bool = False,
        before: Callable[[int], None] | None = None,
    ) -> Pass:
        """A pass over `rows` (default: all samples) in windows of `batch_size`, or larger ones after `merge`.

        `like` gives the constants of each window from an earlier pass over the same rows, on top of
        `setting.constants`. `keep_changes` leaves the state as the pass left it, for `learn_mutable` to look at.
        `before` is called with the number of each window before it is run.
        """
        index = np.arange(self.batch.samples) if rows is None else rows
        self.subject.set_seeds(self.seed + 1009 * repeat)
        outputs_of: list[Outputs] = []
        calls: list[dict[str, list[SiteCall]]] = []
        flags: dict[str, set[bool]] = {}
        kept: list[Rows] = []
        apart = like is not None or before is not None
        parts = windows(len(index), self.batch_size) if apart else self._batches(len(index), setting)
        for number, (window, keep) in enumerate(parts):
            chosen = setting
            if like is not None:
                chosen = replace(setting, constants={**like.constants(number), **setting.constants})
            if before is not None:
                before(number)
            outputs = self.board.run([x[index[window]] for x in self.batch.x], chosen)
            outputs.check(len(window))
            outputs_of.append(outputs.take(keep))
            calls.append(self.board.calls)
            flags.update(self.board.flags)
            kept.append(keep)
        penalty = self.subject.penalty()
        if not keep_changes:
            self.state.restore(self.mutable)
        self.passes_run += 1
        return Pass(joined(outputs_of), calls, _join_seen(calls, kept) if setting.record else {}, penalty, flags)

    def calibrate(
        self, rows: Rows | None = None, *, as_trained: bool = False, paths: Sequence[str] | None = None
    ) -> dict[str, Constants]:
        """Statistics that the batch-normalizing sites would have on `rows`, each site seeing its recalibrated
        predecessors.

        One large batch (which equals layer by layer in order) as far as memory allows, frozen layers on their stored
        statistics; `paths` restricts it to those sites. Stochastic layers and augmentation are off, or, with
        `as_trained`, on as they were while the model was trained. Source: Wu and Johnson, Rethinking "Batch" in
        BatchNorm (2021), section 3 (PreciseBN).
        """
        index = np.arange(self.batch.samples) if rows is None else rows
        collected: dict[str, list[tuple[Moments, float]]] = {}
        only = None if paths is None else frozenset(paths)
        setting = Setting(True, True, as_trained, as_trained, only=only)
        self.subject.set_seeds(self.seed)
        for part in self._calibration_parts(index):
            self.board.run([x[part] for x in self.batch.x], setting)
            for path, calls in self.board.calls.items():
                for call in calls:
                    if call.used_batch:
                        moments = Moments(call.applied[0].astype(np.float64), call.applied[1].astype(np.float64))
                        collected.setdefault(path, []).append((moments, float(len(part))))
        self.state.restore(self.mutable)
        self.passes_run += 1
        return {path: _as_constants(parts) for path, parts in collected.items()}

    @contextlib.contextmanager
    def feeding(self, x: Sequence[Samples]) -> Iterator[None]:
        """Other inputs, (samples, ...) each in the model's order, in place of the batch's for a `with` block."""
        saved = self.batch
        self.batch = replace(saved, x=list(x))
        try:
            yield
        finally:
            self.batch = saved

    def glimpse(
        self, rows: Rows, until: Sequence[str], constants: Mapping[str, Sequence[Constants]] | None = None
    ) -> dict[str, Moments]:
        """Moments of what the named sites see in the inference phase, without running what comes behind them;
        `constants` as in a setting.
        """
        setting = Setting(record=True, until=frozenset(until), constants=constants or {})
        calls = []
        parts = self._batches(len(rows), setting)
        for window, _ in parts:
            with contextlib.suppress(Reached):
                self.board.run([x[rows[window]] for x in self.batch.x], setting)
            calls.append(self.board.calls)
        self.state.restore(self.mutable)
        seen = _join_seen(calls, [keep for _, keep in parts])
        return {path: mixed(calls_seen) for path, calls_seen in seen.items()}

    def _batches(self, samples: int, setting: Setting) -> list[tuple[Rows, Rows]]:
        """What is run together: more than a batch only where no layer looks at its batch."""
        trains = (setting.training, setting.batch_statistics, setting.stochastic, setting.augmentation)
        if not self.merging or any(trains):
            return windows(samples, self.batch_size)
        fitting = MERGED_BYTES // max(self._activation_bytes(), 1)
        return slices(samples, max(self.batch_size, min(fitting, MERGED_WINDOWS * self.batch_size)))

    def _activation_bytes(self) -> int:
        """A guess at the activations of one sample that are alive at once."""
        return sum(int(x[:1].nbytes) for x in self.batch.x) * ACTIVATIONS_PER_INPUT

    def _calibration_parts(self, index: Rows) -> list[Rows]:
        if self.subject.fixed_batch:
            return [index[window] for window, _ in windows(len(index), self.batch_size)]
        size = min(max(CALIBRATION_BYTES // max(self._activation_bytes(), 1), self.batch_size), CALIBRATION_SAMPLES)
        return list(np.array_split(index, max(1, -(-len(index) // int(size)))))

    def with_statistics(
        self, constants: Mapping[str, Constants], rows: Rows | None = None, record: bool = False
    ) -> Pass:
        """Inference with other statistics in the named sites."""
        fixed: dict[str, Sequence[Constants]] = {path: [pair] for path, pair in constants.items()}
        return self.run(Setting(training=False, constants=fixed, record=record), rows=rows)


def _as_constants(parts: list[tuple[Moments, float]]) -> Constants:
    pooled = parts[0][0] if len(parts) == 1 else average([p for p, _ in parts], [w for _, w in parts])
    return pooled.mean.astype(np.float32), pooled.variance.astype(np.float32)


def _join_seen(calls: list[dict[str, list[SiteCall]]], kept: list[Rows]) -> dict[str, list[SampleMoments]]:
    seen: dict[str, list[SampleMoments]] = {}
    for path, first in calls[0].items():
        for number in range(len(first)):
            parts: list[Any] = [c[path][number].seen for c in calls if path in c and number < len(c[path])]
            seen.setdefault(path, []).append(concatenate([p.take(k) for p, k in zip(parts, kept, strict=True)]))
    return seen
