"""A model's configuration before it is built: no code in it, nothing that opens files, only classes that Keras has.

Keras' safe mode refuses most of this too. Here it is refused earlier, at every depth, with the layer's name and what to
do instead; a process without rights stays the real boundary.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from analyzers.errors import ModelNeedsCustomCode, ModelUnreadable, ModelUnsafe
from analyzers.subjects.class_lists import listed
from analyzers.subjects.tensor_functions import OPERATIONS, refused

FOREIGN_CODE = {
    "TFSMLayer": "opens a SavedModel folder",
    "TorchModuleWrapper": "unpickles a PyTorch module",
    "FlaxLayer": "runs a function from outside of Keras",
    "JaxLayer": "runs a function from outside of Keras",
}
"""Layers of Keras that run something from outside the file."""

NON_MODEL_PARTS = frozenset(
    {
        "callbacks",
        "config",
        "datasets",
        "distribution",
        "export",
        "preprocessing",
        "saving",
        "utils",
        "visualization",
        "wrappers",
    }
)
"""Parts of Keras whose functions load, download or write files. No layer, loss or metric lives there."""

FILE_SETTINGS = frozenset({"vocabulary", "idf_weights"})
"""Settings that Keras takes for a file to read where they are text instead of a list."""

SIZE_SETTINGS = frozenset({"units", "filters", "input_dim", "output_dim", "num_heads", "key_dim"})
MAX_SIZE = 1 << 31
"""Units of one layer: a kernel this wide needs 8 GiB for a single input."""

MAX_OBJECTS = 50_000
"""Serialized objects in one configuration, layers, initializers and regularizers together: EfficientNetV2-L has
4775, and Keras needs minutes to build more than this."""

MAX_NAME = 500
"""Characters of a name. Keras repeats names in every variable and scope, which a giant one turns into gigabytes."""

FUNCTION_PARTS = ("activations", "constraints", "initializers", "losses", "metrics", "optimizers", "regularizers")
"""Parts of Keras where a function is looked up that a file names without saying where it comes from."""

PACKAGES = ("keras", "tf_keras", "builtins")
"""Where the classes and functions of a model may come from."""

ANONYMOUS = "<lambda>"
"""What Keras 2 wrote for a function without a name."""

COMPILE_SETTINGS = "what the model was compiled with"

Known = Callable[[str], bool]


@dataclass(frozen=True)
class Vocabulary:
    """What one family of Keras knows: registered names ("package>Name"), names of layers and models, of activations,
    initializers and their kind, and whether layers may be functions of TensorFlow, as in Keras 2.
    """

    is_registered: Known
    is_layer: Known
    is_function: Known
    calls_functions: bool = False


@dataclass(frozen=True)
class _Found:
    """A serialized object in a configuration: where it stands, and whether Keras looks it up as a layer."""

    config: dict[str, Any]
    path: str
    is_layer: bool


def check_config(config: dict[str, Any], known: Vocabulary) -> None:
    """Check the configuration of a model, its compile settings among it, against what this process knows.

    Raises:
        ModelUnsafe: lambdas, layers or settings that open files, absurd sizes; the message names the layer.
        ModelNeedsCustomCode: classes that are not part of Keras, or functions without a name; the message names all.
        ModelUnreadable: operations that only Keras 2 has.
    """
    settings = config.get("compile_config")
    for found in _objects(settings, COMPILE_SETTINGS):
        _check_no_code(found)
    strangers: dict[str, list[str]] = {}
    nameless: dict[str, None] = {}
    for found in _objects({key: value for key, value in config.items() if key != "compile_config"}, "", is_layer=True):
        _check_no_code(found)
        _check_no_files(found)
        _check_sizes(found)
        if _is_nameless(found):
            nameless[found.path] = None
        if known.calls_functions and found.config["class_name"] in OPERATIONS:
            _check_function(found)
        elif not _is_known(found, known):
            strangers.setdefault(_stranger(found), []).append(found.path)
    if strangers:
        raise _strange(strangers)
    if nameless:
        raise _without_names(list(nameless))


def check_compile_settings(settings: dict[str, Any] | None) -> None:
    """Check compile settings that a file keeps apart from the model. Raises ModelUnsafe for lambdas."""
    for found in _objects(settings, COMPILE_SETTINGS):
        _check_no_code(found)


def _objects(root: Any, path: str, is_layer: bool = False) -> Iterator[_Found]:
    """Every serialized object below `root` in the order of the file, with the names of the layers around it."""
    waiting: list[tuple[Any, str, bool, int]] = [(root, path, is_layer, 0)]
    count = 0
    while waiting:
        value, where, layer, depth = waiting.pop()
        if isinstance(value, list):
            waiting.extend((item, where, layer, depth) for item in reversed(value))
        elif isinstance(value, dict):
            if _is_bare_lambda(value):
                value = {"class_name": "__lambda__", "config": None}
            if isinstance(value.get("class_name"), str):
                count += 1
                if count > MAX_OBJECTS:
                    raise ModelUnsafe(
                        f"The model's configuration has more than {MAX_OBJECTS} objects, and no real model has. Send a "
                        "smaller version of the model."
                    )
                where, depth = _inwards(where, value, depth)
                yield _Found(value, where, layer)
            inside = [(item, where, key in ("layers", "layer"), depth) for key, item in value.items()]
            waiting.extend(reversed(inside))


def _is_bare_lambda(value: dict[str, Any]) -> bool:
    """Whether this is [code, defaults, closure], as Keras writes a lambda activation without saying what it is."""
    parts = value.get("value")
    return len(value) == 1 and isinstance(parts, list) and len(parts) == 3 and isinstance(parts[0], str)


def _inwards(path: str, value: dict[str, Any], depth: int) -> tuple[str, int]:
    """The path inside an object, and its depth; the outermost model's own name is no part of paths."""
    inner = value.get("config")
    name = inner.get("name") if isinstance(inner, dict) else None
    if not isinstance(name, str):
        return path, depth
    if len(name) > MAX_NAME or ".." in name.split("/") or "\0" in name:
        why = f"is longer than {MAX_NAME} characters" if len(name) > MAX_NAME else "leads out of a folder"
        raise ModelUnsafe(
            f"The model's configuration has the name {name[:40]!r}…, which {why}. Name the layer otherwise and save "
            "the model again."
        )
    if depth == 0 and not path:
        return "", 1
    return (f"{path}/{name}" if path else name), depth + 1


def _check_no_code(found: _Found) -> None:
    name = found.config["class_name"]
    place = f"`{found.path}`" if found.path else "The model"
    place = COMPILE_SETTINGS.capitalize() if found.path.startswith(COMPILE_SETTINGS) else place
    if name in ("Lambda", "__lambda__"):
        raise ModelUnsafe(
            f"{place} holds a Python lambda, which is code and is never run here. Replace it by a layer of Keras or an "
            "operation of `keras.ops`, and save the model again; a loss or metric can be named in the form instead."
        )
    if name in FOREIGN_CODE:
        raise ModelUnsafe(f"{place} is a {name}, which {FOREIGN_CODE[name]}. Send the model without it.")
    module = found.config.get("module")
    inside = module.removeprefix("tf_").removeprefix("keras.").removeprefix("src.") if isinstance(module, str) else ""
    parts = inside.split(".")
    if isinstance(module, str) and module.startswith(("keras.", "tf_keras.")) and parts[0] in NON_MODEL_PARTS:
        raise ModelUnsafe(
            f"{place} refers to `{module[:80]}.{_called(found)}`, which is no part of a model: such functions load, "
            "download or write files. Replace it by a layer or function that computes, and save the model again."
        )


def _called(found: _Found) -> str:
    """The class, or the function that stands in its place."""
    name, inner = found.config["class_name"], found.config.get("config")
    return str(inner if name == "function" and isinstance(inner, str) else name)[:80]


def _check_no_files(found: _Found) -> None:
    inner = found.config.get("config")
    named = [key for key in FILE_SETTINGS if isinstance(inner, dict) and isinstance(inner.get(key), str)]
    if named:
        raise ModelUnsafe(
            f"`{found.path}` names a file as its {named[0]}, and no file but the model is read. Set the list itself "
            "(`set_vocabulary`) and save the model again."
        )


def _check_sizes(found: _Found) -> None:
    inner = found.config.get("config")
    for key in SIZE_SETTINGS:
        size = inner.get(key) if isinstance(inner, dict) else None
        if isinstance(size, int) and size > MAX_SIZE:
            raise ModelUnsafe(
                f"`{found.path}` declares {key}={size:.3g}, more than any machine can hold. If this is not what you "
                "built, the configuration is damaged: save the model again."
            )


def _check_function(found: _Found) -> None:
    if (name := refused(found.config.get("config"))) is not None:
        raise ModelUnsafe(
            f"`{found.path}` calls `{name}` of TensorFlow, which does more than compute with tensors. Replace it by a "
            "layer, and save the model again."
        )


def _is_nameless(found: _Found) -> bool:
    inner = found.config.get("config")
    return isinstance(inner, dict) and ANONYMOUS in (v for v in inner.values() if isinstance(v, str))


def _is_known(found: _Found, known: Vocabulary) -> bool:
    name, module = found.config["class_name"], found.config.get("module")
    if name.startswith("__"):
        return True
    registered = found.config.get("registered_name") or name
    if isinstance(registered, str) and known.is_registered(registered):
        return True
    if isinstance(registered, str) and ">" in registered:  # somebody's own, whatever module it claims to be from
        return False
    if name == "function" and module == "builtins":
        return isinstance(called := found.config.get("config"), str) and known.is_function(called)
    if isinstance(module, str):
        return module.split(".")[0] in PACKAGES
    # Files of older versions name no modules; there a layer must be one of Keras, all else Keras resolves.
    return name == "function" or not found.is_layer or known.is_layer(name)


def _stranger(found: _Found) -> str:
    """What to call somebody's own class or function in a message."""
    registered = found.config.get("registered_name")
    return str(registered if registered not in (None, "function") else _called(found))[:100]


def _strange(users: dict[str, list[str]]) -> ModelNeedsCustomCode | ModelUnreadable:
    if all(name in OPERATIONS for name in users):
        return ModelUnreadable(
            f"The model was written by Keras 2 with TensorFlow functions between its layers: {listed(users)}, which "
            "Keras 3 cannot rebuild. Replace them by layers, or build the model in Keras 3, load its weights, save it."
        )
    return ModelNeedsCustomCode(
        f"The model uses classes or functions that are not part of Keras: {listed(users)}. Their code does not travel "
        "with the file and is not run here. Send a SavedModel of both phases (`keras.export.ExportArchive`), which "
        "needs none, rebuild the model from layers of Keras, or ask the operator of this service to register "
        "the classes."
    )


def _without_names(paths: list[str]) -> ModelNeedsCustomCode:
    named = ", ".join(f"`{path}`" for path in paths[:10]) + (f" and {len(paths) - 10} more" if len(paths) > 10 else "")
    return ModelNeedsCustomCode(
        f"A function without a name was used in {named}, and the file says `{ANONYMOUS}` in its place: what it "
        "computed cannot be guessed. Build the model with a function that Keras names, such as `relu` or `leaky_relu`, "
        "load the weights into it and save it again; or send a SavedModel, which holds what functions compute."
    )
