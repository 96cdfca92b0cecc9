"""A SavedModel's graph before it is loaded: no operation that touches files, processes or the network.

TensorFlow restores variables itself; the functions and operations that do so for TensorFlow 1 are in every SavedModel
and are never run here. All else that reaches outside of the file is refused. A process without rights stays the real
boundary.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath
from typing import Any

from tensorflow.core.protobuf import saved_model_pb2
from tensorflow.python.framework import op_def_registry

from analyzers.errors import ModelNeedsCustomCode, ModelUnreadable, ModelUnsafe

MAX_GRAPH_BYTES = 1 << 30
"""1 GiB of graph. EfficientNetV2-L has 40 MB; variables lie in files of their own."""

MAX_OPERATIONS = 2_000_000
"""Operations over all functions. EfficientNetV2-L has about 100 000, each layer in several functions."""

REACHES_OUTSIDE = re.compile(
    r"(?!IteratorGetNext$)(ReadFile|WriteFile|MatchingFiles|RecordInput|ImmutableConst|LoadAndRemapMatrix|GenerateVocabRemapping"
    r"|InitializeTableFromTextFile(V2)?|FileSystemSetConfiguration|ImportEvent|DumpTensor|Debug\w+"
    r"|\w*Reader(V2)?|Reader\w+|\w*Dataset\w*|\w*Iterator\w*|\w*SummaryWriter|CreateSummary\w+|Write\w*Summary"
    r"|CalibrationStatisticsSaver|CustomAggregator|DecodeProtoV2|EncodeProto"
    r"|PyFunc\w*|EagerPyFunc|Abort|RemoteCall|Rpc\w+|_?(Host)?(Send|Recv)|Xla(Host|Send|Recv)\w*|_Xla(Host|Send|Recv)\w*"
    r"|Collective\w+|_?Nccl\w+|\w*TPU\w*|\w*Tpu\w*|GetSession\w+|DTensor\w+)"
)
"""Operations that open files or connections, run Python, end the process, or wait for other machines. A layer that
was adapted in Keras 2 keeps the step that did it, which takes the next item of an iterator: none can be made here."""

SAVES_AND_RESTORES = re.compile(
    r"Save|SaveV2|SaveSlices|Restore|RestoreV2|RestoreSlice|MergeV2Checkpoints|Sharded\w+|DistributedSave"
)
"""What every SavedModel has for saving and restoring itself; nothing that the model itself calls may."""

PRINTS = ("PrintV2", "output_stream", b"file://")


def read_graph(folder: Path) -> Any:
    """The checked `MetaGraphDef` of the SavedModel in `folder`.

    Raises:
        ModelUnreadable: damaged, several graphs, or written by TensorFlow 1.
        ModelUnsafe: operations that reach outside of the file, or absurd sizes.
        ModelNeedsCustomCode: operations that this TensorFlow does not have.
    """
    graph = _parsed(folder / "saved_model.pb")
    library = {f.signature.name: f for f in graph.graph_def.library.function}
    count = len(graph.graph_def.node) + sum(len(f.node_def) for f in library.values())
    if count > MAX_OPERATIONS:
        raise ModelUnsafe(f"The model's graph has more than {MAX_OPERATIONS} operations. No real model's has.")
    for asset in graph.asset_file_def:
        if asset.filename != PurePosixPath(asset.filename).name or asset.filename in ("", ".", ".."):
            raise ModelUnsafe(f"The SavedModel's asset {asset.filename[:80]!r} would be read from outside of it.")
    _check(graph.graph_def.node, "", library, may_restore=True)
    called = _called(graph.object_graph_def, library)
    for name, function in library.items():
        _check(function.node_def, name, library, may_restore=name not in called)
    return graph


def _parsed(path: Path) -> Any:
    if path.stat().st_size > MAX_GRAPH_BYTES:
        raise ModelUnsafe(f"The model's graph is larger than {MAX_GRAPH_BYTES >> 30} GiB. No real model's is.")
    saved = saved_model_pb2.SavedModel()
    try:
        saved.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's own, from a package without types
        raise ModelUnreadable("The SavedModel's graph is damaged or cut short. Send it again.") from error
    if len(saved.meta_graphs) != 1:
        raise ModelUnreadable(
            f"The SavedModel holds {len(saved.meta_graphs)} graphs, one is read. Save it with `tf.saved_model.save`."
        )
    graph = saved.meta_graphs[0]
    if not graph.HasField("object_graph_def") or not graph.object_graph_def.nodes:
        raise ModelUnreadable(
            "The SavedModel was written by TensorFlow 1: a graph without objects. Load it in TensorFlow 2 and save it "
            "with `tf.saved_model.save`, or send the Keras model."
        )
    return graph


def _check(nodes: Iterable[Any], function: str, library: dict[str, Any], *, may_restore: bool) -> None:
    for node in nodes:
        op = node.op
        op_attr, value = PRINTS[1], node.attr[PRINTS[1]].s if op == PRINTS[0] and PRINTS[1] in node.attr else b""
        restores = SAVES_AND_RESTORES.fullmatch(op) is not None and not may_restore
        if REACHES_OUTSIDE.fullmatch(op) or restores or value.startswith(PRINTS[2]):
            where = f" (in `{function[:80]}`)" if function else ""
            what = f"{op} with {op_attr}" if value else op
            raise ModelUnsafe(
                f"The model's graph has the operation `{what}`{where}, which reaches outside of the model: files, "
                "processes or other machines. Save the model without it."
            )
        if op not in library and op_def_registry.get(op) is None:
            raise ModelNeedsCustomCode(
                f"The model uses the operation `{op[:80]}`, which is no part of TensorFlow: its code does not travel "
                "with the file."
            )


def _called(objects: Any, library: dict[str, Any]) -> set[str]:
    """The functions that loading or calling the model can reach."""
    waiting = [*objects.concrete_functions]
    for node in objects.nodes:
        if node.HasField("bare_concrete_function"):
            waiting.append(node.bare_concrete_function.concrete_function_name)
    found: set[str] = set()
    while waiting:
        name = waiting.pop()
        if name in found or name not in library:
            continue
        found.add(name)
        for node in library[name].node_def:
            waiting.append(node.op)
            for attribute in node.attr.values():
                waiting.append(attribute.func.name)
                waiting += [f.name for f in attribute.list.func]
    return found
