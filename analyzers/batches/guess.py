"""What slip explains a shape that does not fit: channels first, a missing axis, flattened images. One sentence each.

Guesses run from the most to the least specific; each answers a sentence or None. Shapes have the batch axis first, None
where a size is free.
"""

from __future__ import annotations

import math
from collections.abc import Callable

Wanted = tuple[int | None, ...]
Given = tuple[int, ...]

MAX_CHANNELS = 4
"""Grey, grey with alpha, RGB, RGBA: a last axis of at most this size is taken for colour channels in a guess."""


def guess_slip(wanted: Wanted, given: Given) -> str | None:
    """The likely reason why an array of shape `given` is not of shape `wanted`, with what to do, or None."""
    return next((text for guess in GUESSES if (text := guess(wanted, given)) is not None), None)


def fits(wanted: Wanted, given: Given) -> bool:
    """Whether every size agrees, None agreeing with all."""
    return len(wanted) == len(given) and all(w is None or w == g for w, g in zip(wanted, given, strict=True))


def _samples_last(wanted: Wanted, given: Given) -> str | None:
    if len(given) < 2 or not fits(wanted, (given[-1], *given[:-1])) or None in wanted[1:]:
        return None
    return "the samples seem to be on the last axis: move it to the front with np.moveaxis(x, -1, 0)"


def _channels_first(wanted: Wanted, given: Given) -> str | None:
    if len(given) < 3 or wanted[-1] is None or not fits(wanted, (given[0], *given[2:], given[1])):
        return None
    return "it looks channels-first: move the channels to the end with np.moveaxis(x, 1, -1)"


def _channels_last(wanted: Wanted, given: Given) -> str | None:
    if len(given) < 4 or len(wanted) < 4 or wanted[1] is None or not fits(wanted, (given[0], given[-1], *given[1:-1])):
        return None
    return "it looks channels-last, and the model wants channels first: np.moveaxis(x, -1, 1)"


def _transposed(wanted: Wanted, given: Given) -> str | None:
    if len(given) < 3 or None in wanted[1:3] or not fits(wanted, (given[0], given[2], given[1], *given[3:])):
        return None
    return "two axes look transposed: np.swapaxes(x, 1, 2)"


def _no_batch_axis(wanted: Wanted, given: Given) -> str | None:
    if not fits(wanted[1:], given) or (len(wanted) > 1 and wanted[-1] is None):
        return None
    return "it looks like one sample without the batch axis: x[np.newaxis] adds it"


def _no_channel_axis(wanted: Wanted, given: Given) -> str | None:
    if len(wanted) < 3 or not fits(wanted[:-1], given):
        return None
    if wanted[-1] == 3 and len(wanted) == 4:
        return "it looks like grey images, and the model wants colour: np.repeat(x[..., np.newaxis], 3, axis=-1)"
    return "the channel axis at the end is missing: x[..., np.newaxis] adds one" if wanted[-1] in (1, None) else None


def _extra_axis(wanted: Wanted, given: Given) -> str | None:
    for axis, size in enumerate(given):
        if size == 1 and fits(wanted, given[:axis] + given[axis + 1 :]):
            return f"axis {axis} has size 1 and is one too many: np.squeeze(x, axis={axis}) removes it"
    return None


def _flattened(wanted: Wanted, given: Given) -> str | None:
    sizes = wanted[1:]
    if len(given) != 2 or len(wanted) < 3 or math.prod(size or 0 for size in sizes) != given[1]:
        return None
    return f"it looks flattened: x.reshape({(-1, *sizes)}), if it was flattened in that order"


def _not_flattened(wanted: Wanted, given: Given) -> str | None:
    if len(wanted) != 2 or len(given) < 3 or math.prod(given[1:]) != wanted[1]:
        return None
    return "the model wants it flattened: x.reshape(len(x), -1)"


def _other_channels(wanted: Wanted, given: Given) -> str | None:
    if len(given) != 4 or not fits((*wanted[:-1], None), given) or wanted[-1] is None:
        return None
    if max(given[-1], wanted[-1]) > MAX_CHANNELS:
        return None
    kinds = {1: "grey", 2: "grey with alpha", 3: "RGB", 4: "RGBA"}
    has, wants = kinds.get(given[-1]), kinds.get(wanted[-1])
    return f"the images look {has}, and the model wants {wants}" if has and wants else None


def _other_size(wanted: Wanted, given: Given) -> str | None:
    if len(given) != 4 or len(wanted) != 4 or not fits((None, None, None, wanted[-1]), given):
        return None
    return "the images have another size: resize them as they were for training"


def _other_columns(wanted: Wanted, given: Given) -> str | None:
    if len(given) != 2 or len(wanted) != 2 or wanted[1] is None:
        return None
    more = given[1] - wanted[1]
    if more == 1:
        return "it has one column more: perhaps the labels or the row numbers are among the features"
    return f"it has {abs(more)} {'columns more' if more > 0 else 'columns fewer' if more < -1 else 'column fewer'}"


GUESSES: tuple[Callable[[Wanted, Given], str | None], ...] = (
    _channels_first,
    _channels_last,
    _transposed,
    _no_batch_axis,
    _no_channel_axis,
    _samples_last,
    _extra_axis,
    _flattened,
    _not_flattened,
    _other_channels,
    _other_size,
    _other_columns,
)
