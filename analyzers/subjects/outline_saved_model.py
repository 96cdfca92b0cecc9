"""The outline of a SavedModel: from its graph's objects and, where Keras 2 wrote it, its layers' metadata.

Its statistics lie in a checkpoint that has to be unpacked for them; they are read when it is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import Any

from analyzers.errors import ModelUnreadable
from analyzers.subjects.outline_config import BATCH_NORMALIZING, Described
from analyzers.subjects.outline_facts import Normalizing, Outline
from analyzers.subjects.outline_words import telling
from analyzers.subjects.saved_model_layers import find_layers, pair_of, read_objects
from analyzers.subjects.saved_model_metadata import Metadata, read_metadata
from analyzers.subjects.saved_model_safety import read_graph

VARIABLES = "variables/variables.index"


def outline_saved_model(folder: Path, names: Collection[str]) -> Outline:
    """The outline of the SavedModel whose small files stand in `folder`; `names` are those of all its files.

    Raises:
        ModelUnreadable: damaged, without its variables, or written by TensorFlow 1.
        ModelUnsafe: operations that reach outside of the file, or absurd sizes.
        ModelNeedsCustomCode: operations that are not TensorFlow's.
    """
    metadata = read_metadata(folder)
    outline = _described(metadata) if metadata else Outline("saved_model")
    with telling(outline if metadata else None):
        graph = read_graph(folder)
        objects = read_objects(graph)
        if objects.variables and VARIABLES not in names:
            raise ModelUnreadable(
                f"The SavedModel's graph has {len(objects.variables)} variables, but their values are missing: there "
                "is no `variables/` folder beside it. Pack the whole folder that was saved."
            )
    return outline if metadata else _unnamed(graph, objects)


def _described(metadata: Metadata) -> Outline:
    root, *layers = metadata.layers
    known = [Described(metadata.path(x), x.class_name, "", x.config, None, None) for x in layers]
    return Outline(
        format="saved_model",
        keras_version=metadata.keras_version,
        name=root.name,
        layers=len(layers),
        classes=dict(Counter(x.class_name for x in layers)),
        normalizing=[
            Normalizing(x.path, x.class_name, None, x.setting("momentum"), x.setting("epsilon"))
            for x in known
            if BATCH_NORMALIZING.fullmatch(x.class_name)
        ],
    )


def _unnamed(graph: Any, objects: Any) -> Outline:
    """What the variables' names tell. Exports hold unused copies, which are counted once."""
    nodes = graph.object_graph_def.nodes
    found = {}
    for layer in find_layers(objects, None, "saved_model"):
        pair = pair_of(layer)
        if pair is not None:
            sizes = [d.size for d in nodes[pair[1]].variable.shape.dim]
            path = layer.path.partition("#")[0]
            found[path] = Normalizing(path, layer.class_name, sizes[0] if len(sizes) == 1 else None)
    return Outline("saved_model", normalizing=list(found.values()))
