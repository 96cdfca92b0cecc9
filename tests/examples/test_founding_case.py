"""The founding case is what it says: broken in the inference phase, perfect in the training phase."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from examples import founding_case
from examples.founding_case import FOUNDING, TWIN, Recipe, images, labels, measure


def test_three_clearly_different_images() -> None:
    drawn = images(64)
    assert drawn.shape == (3, 64, 64, 3)
    assert drawn.dtype == np.float32
    assert drawn.min() >= 0
    assert drawn.max() == 255
    for one, other in ((0, 1), (0, 2), (1, 2)):
        assert np.corrcoef(drawn[one].ravel(), drawn[other].ravel())[0, 1] < 0.5
    np.testing.assert_array_equal(drawn, images(64))
    assert labels().tolist() == [0, 1, 2]


@pytest.mark.parametrize(("arguments", "recipe"), [([], FOUNDING), (["--twin"], TWIN)])
def test_check_makes_what_is_not_there(
    arguments: list[str], recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, str]] = []
    monkeypatch.setattr(founding_case, "OUT", tmp_path)
    monkeypatch.setattr(founding_case, "import_keras", lambda: None)
    monkeypatch.setattr(founding_case, "make_alone", lambda made: done.append(("make", made.name)))
    monkeypatch.setattr(founding_case, "show", lambda shown: done.append(("show", shown.name)))
    monkeypatch.setattr("sys.argv", ["founding_case.py", "--check", *arguments])
    founding_case.main()
    assert done == [("make", recipe.name), ("show", recipe.name)]
    recipe.folder.mkdir()
    for name in ("model.keras", "batch.npz"):
        (recipe.folder / name).touch()
    founding_case.main()
    assert done[2:] == [("show", recipe.name)]


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [FOUNDING, TWIN], ids=lambda recipe: recipe.name)
def test_both_phases(recipe: Recipe, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(founding_case, "OUT", tmp_path)
    figures = measure(founding_case.make(recipe))
    assert figures["updates"] == recipe.epochs
    assert figures["training_accuracy"] == 1.0
    assert figures["training_loss"] < 0.05
    if recipe == FOUNDING:
        assert figures["inference_accuracy"] == pytest.approx(1 / 3)
        assert figures["inference_loss"] > 3
    else:
        assert figures["inference_accuracy"] == 1.0
        assert figures["inference_loss"] < 0.05
