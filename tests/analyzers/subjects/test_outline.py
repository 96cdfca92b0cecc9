"""The static pass: what a file is found to hold before any model is built, in every format, and how it is told."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf
import tf_keras
from model_files import BUILDS, disturb, edited_archive, functional, nested, refused, trained

from analyzers.errors import ModelNeedsCustomCode, ModelUnreadable, ModelUnsafe
from analyzers.static_facts import static_facts
from analyzers.subjects import load_model
from analyzers.subjects.layer_names import NAMES
from analyzers.subjects.outline import read_outline
from analyzers.subjects.outline_words import clause, note
from analyzers.subjects.saved_model_archive import unpack_members
from analyzers.traced import subject_of

DATA = Path(__file__).parents[1] / "data"


def test_the_outline_agrees_with_the_loaded_model(saved: Path) -> None:
    outline, subject = read_outline(saved), subject_of(load_model(saved).model)
    assert outline.format == saved.suffix[1:]
    assert outline.keras_version == keras.__version__
    assert outline.parameters == sum(int(np.prod(v.shape)) for v in subject.model.variables if "seed" not in v.path)
    if saved.stem == "registered":
        assert outline.custom == {"Block": [subject.model.name]}
        return
    assert outline.custom == {}
    assert outline.layers == len(subject.layers) - 1
    found = {x.path.partition("/")[2]: x for x in outline.normalizing}
    for site in subject.of_kind("batch_normalizing"):
        stored = found.pop(site.path.removeprefix(f"{subject.model.name}/")).stored
        assert stored is not None
        assert stored.channels == site.layer.moving_variance.shape[0]
        assert stored.least == pytest.approx(float(np.min(np.asarray(site.layer.moving_variance, dtype="float64"))))
        assert not stored.at_start
    assert found == {}


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_steps_and_a_fresh_models_start_are_read(suffix: str, tmp_path: Path) -> None:
    outline = read_outline(trained(suffix, tmp_path))
    assert outline.optimizer_iterations == 4
    assert outline.moved
    assert note(outline) == f"Keras {keras.__version__} .{suffix}: 4 layers, 1 batch-normalizing, 4 optimizer steps"
    functional().save(tmp_path / f"fresh.{suffix}")
    fresh = read_outline(tmp_path / f"fresh.{suffix}")
    assert fresh.moved is False
    assert [x.stored.at_start for x in fresh.normalizing if x.stored] == [True]
    assert [x.status for x in static_facts(fresh).batch_normalizing] == ["never_updated"]


def test_impossible_statistics_are_seen(tmp_path: Path) -> None:
    model = functional()
    norm = model.layers[2]
    norm.moving_variance.assign([1.0, -1.0, np.nan, 2.0, 0.0])
    model.save(tmp_path / "m.keras")
    layer = static_facts(read_outline(tmp_path / "m.keras")).batch_normalizing[0]
    assert (layer.status, layer.bad_channels) == ("corrupt", 2)
    assert (layer.least_variance, layer.largest_variance) == (-1.0, 2.0)


@pytest.mark.parametrize("build", ["functional", "nested", "registered"])
def test_weights_of_keras_3_alone(build: str, tmp_path: Path) -> None:
    model = BUILDS[build]()
    disturb(model)
    model.save_weights(tmp_path / "m.weights.h5")
    outline = read_outline(tmp_path / "m.weights.h5")
    assert outline.weights_only
    norms = list(subject_of(model).of_kind("batch_normalizing"))
    assert [x.path.rpartition("/")[2] for x in outline.normalizing] == [x.layer.name for x in norms]
    assert [x.momentum for x in outline.normalizing] == [None] * len(norms)
    assert "only the weights of" in clause(outline)


def _keras_2() -> tf_keras.Model:
    layers = tf_keras.layers
    groups, by_layer = layers.GroupNormalization(groups=2), layers.LayerNormalization()
    model = tf_keras.Sequential(
        [layers.Input((4,)), layers.Dense(6), layers.BatchNormalization(name="bn"), by_layer, groups, layers.Dense(3)]
    )
    model.compile("adam", "mse")
    model.fit(np.ones((8, 4)), np.ones((8, 3)), batch_size=4, verbose=0)
    return model


def test_weights_of_keras_2_and_checkpoints_name_what_normalizes_by_batch_alone(tmp_path: Path) -> None:
    model = _keras_2()
    model.save_weights(tmp_path / "w.h5")
    model.save_weights(tmp_path / "checkpoint" / "w")
    zipped = shutil.make_archive(str(tmp_path / "c"), "zip", tmp_path / "checkpoint")
    for path, steps in ((tmp_path / "w.h5", None), (Path(zipped), 2)):
        outline = read_outline(path)
        assert outline.weights_only
        assert [(x.path, x.channels) for x in outline.normalizing] == [("bn", 6)]
        assert outline.optimizer_iterations == steps
        assert outline.layers == 5


def test_a_checkpoint_of_keras_3(tmp_path: Path) -> None:
    model = nested()
    tf.train.Checkpoint(model=model).write(str(tmp_path / "c" / "ckpt"))
    outline = read_outline(Path(shutil.make_archive(str(tmp_path / "c"), "gztar", tmp_path / "c")))
    assert [x.path.rpartition("/")[2] for x in outline.normalizing] == [model.layers[2].name, "inner_bn"]
    assert [x.stored.at_start for x in outline.normalizing if x.stored] == [True, True]
    (tmp_path / "c" / "ckpt.data-00000-of-00001").rename(tmp_path / "c" / "ckpt.data-00000-of-00002")
    refused(
        Path(shutil.make_archive(str(tmp_path / "d"), "zip", tmp_path / "c")), ModelUnreadable, "data is missing", "all"
    )


def test_saved_models_are_told_by_their_metadata_or_their_variables(tmp_path: Path) -> None:
    described = read_outline(DATA / "keras2_saved_model.zip")
    assert described.layers > 0
    assert described.keras_version
    assert described.normalizing[0].momentum is not None
    model = functional()
    model.export(str(tmp_path / "m"), verbose=False)
    named = read_outline(Path(shutil.make_archive(str(tmp_path / "m"), "tar", tmp_path / "m")))
    assert [(x.path, x.channels) for x in named.normalizing] == [(model.layers[2].name, 5)]


def test_a_refusal_says_what_was_found(tmp_path: Path) -> None:
    functional().save(tmp_path / "m.keras")

    def strange(config: dict) -> None:  # type: ignore[type-arg]
        config["config"]["layers"][1] |= {"class_name": "Gate", "module": "mine", "registered_name": "mine>Gate"}

    path = edited_archive(tmp_path / "m.keras", strange)
    outline = read_outline(path)
    assert {name: [p.rpartition("/")[0] for p in paths] for name, paths in outline.custom.items()} == {
        "Gate": [outline.name]
    }
    found = f"Found in the file: a full model by Keras {keras.__version__} with 4 layers, 1 of them BatchNormalization."
    refused(path, ModelNeedsCustomCode, "`mine>Gate` (`", found)


def test_functions_of_tensorflow_are_no_strangers(tmp_path: Path) -> None:
    inputs = tf_keras.Input((4,))
    tf_keras.Model(inputs, tf.nn.relu(inputs) * 2.0).save(tmp_path / "m.h5")
    outline = read_outline(tmp_path / "m.h5")
    assert "TFOpLambda" in outline.classes
    assert outline.custom == {}


def test_every_layer_of_both_families_is_known_by_name() -> None:
    for family in (keras, tf_keras):
        known = {n for n in dir(family.layers) if isinstance(getattr(family.layers, n), type)}
        assert known - NAMES == set()


def test_the_pass_needs_neither_keras_nor_tensorflow(tmp_path: Path) -> None:
    for suffix in ("keras", "h5", "weights.h5"):
        model, path = functional(), tmp_path / f"m.{suffix}"
        model.save_weights(path) if suffix == "weights.h5" else model.save(path)
    code = (
        "import sys; from pathlib import Path; from analyzers.subjects.outline import read_outline\n"
        "assert [len(read_outline(Path(p)).normalizing) for p in sys.argv[1:]] == [1, 1, 1]\n"
        "assert not {'keras', 'tensorflow', 'tf_keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, *sorted(map(str, tmp_path.iterdir()))], check=True, timeout=60)


@pytest.mark.parametrize("kind", ["zip", "tar", "tar.gz"])
def test_archives_unpack_to_what_was_packed(kind: str, tmp_path: Path) -> None:
    contents = {"a/saved_model.pb": b"graph" * 1000, "a/variables/v": bytes(range(256)) * 9000}
    path = _packed(tmp_path / f"m.{kind}", contents)
    (tmp_path / "out").mkdir()
    assert sorted(unpack_members(path, tmp_path / "out", lambda _: True)) == sorted(contents)
    assert {name: (tmp_path / "out" / name).read_bytes() for name in contents} == contents


@pytest.mark.parametrize("kind", ["zip", "tar.gz"])
@pytest.mark.parametrize("wanted", [True, False])
def test_what_unpacks_to_absurdly_more_is_refused(kind: str, wanted: bool, tmp_path: Path) -> None:
    path = _packed(tmp_path / f"m.{kind}", {"a/saved_model.pb": b"", "a/variables/v": bytes(1 << 26)})
    (tmp_path / "out").mkdir()
    with pytest.raises(ModelUnsafe, match=r"compress like this|absurdly more"):
        unpack_members(path, tmp_path / "out", lambda _: wanted)
    assert sum(p.stat().st_size for p in (tmp_path / "out").rglob("*") if p.is_file()) < 1 << 26


def _packed(path: Path, contents: dict[str, bytes]) -> Path:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        return path
    with tarfile.open(path, "w:gz" if path.suffix == ".gz" else "w") as out:
        for name, content in contents.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            out.addfile(info, io.BytesIO(content))
    return path
