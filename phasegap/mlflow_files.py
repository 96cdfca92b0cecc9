"""The file of a model that MLflow keeps, as its flavors lay it out: downloaded within a limit, never loaded."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

SIZE_LIMIT_BYTES = 2 * 1024**3
"""What is downloaded at most: what the service takes by default."""
MODEL_FILES = ("data/model.keras", "data/model.h5", "data/model.hdf5")
MODEL_FOLDERS = ("data/model", "tf2model")
"""Where the flavors `keras` and `tensorflow` keep a model: one file, or a SavedModel folder."""
MODEL_ENDINGS = (".keras", ".h5", ".hdf5", ".zip", ".tar", ".tar.gz", ".tgz")
REASON_LIMIT = 500


class DiagnosisFailedError(Exception):
    """The model could not be had or not be diagnosed; the message says why and what to change."""


def fetch_model(model_uri: str, folder: Path, size_limit_bytes: int = SIZE_LIMIT_BYTES) -> Path:
    """Download the one file that the model is, or its SavedModel folder as an archive. Nothing is loaded."""
    if model_uri.partition(":")[0] not in ("models", "runs"):
        raise DiagnosisFailedError(f"{model_uri} is none of models:/name/version, models:/name@alias, runs:/id/path.")
    if model_uri.lower().endswith(MODEL_ENDINGS):
        return download(model_uri, folder, size_limit_bytes)
    names = dict(_files_under(model_uri))
    for place in MODEL_FILES:
        if place in names:
            return download(f"{model_uri}/{place}", folder, size_limit_bytes)
    for place in MODEL_FOLDERS:
        if f"{place}/saved_model.pb" in names:
            _check_size(sum(size for name, size in names.items() if name.startswith(f"{place}/")), size_limit_bytes)
            inside = download(f"{model_uri}/{place}", folder, size_limit_bytes)
            return Path(shutil.make_archive(str(folder / "saved_model"), "zip", inside))
    lying = ", ".join(sorted(names)[:8]) or "nothing"
    raise DiagnosisFailedError(
        f"{model_uri} holds no Keras model that MLflow's flavors `keras` or `tensorflow` logged (there is: {lying})."
    )


def _files_under(uri: str, inside: str = "") -> Iterator[tuple[str, int]]:
    """All files of an artifact folder, with their sizes."""

    with told(f"There is nothing at {uri}"):
        entries = _listed(f"{uri}/{inside}" if inside else uri)
    for entry in entries:
        name = entry.path.rsplit("/", 1)[-1]
        path = f"{inside}/{name}" if inside else name
        if entry.is_dir:
            yield from _files_under(uri, path)
        else:
            yield path, int(entry.file_size or 0)


def _listed(uri: str) -> Any:
    """What lies in an artifact folder; a run's own is no `runs:/` URI to MLflow."""
    import mlflow

    scheme, _, rest = uri.partition(":/")
    if scheme == "runs" and "/" not in rest.strip("/"):
        return mlflow.artifacts.list_artifacts(run_id=rest.strip("/"))
    return mlflow.artifacts.list_artifacts(artifact_uri=uri)


def download(uri: str, folder: Path, size_limit_bytes: int) -> Path:
    import mlflow

    folder.mkdir(parents=True, exist_ok=True)
    parent, _, name = uri.rpartition("/")
    with told(f"There is nothing at {uri}"):
        for entry in _listed(parent):
            if entry.path.rsplit("/", 1)[-1] == name:
                _check_size(int(entry.file_size or 0), size_limit_bytes)
        return Path(mlflow.artifacts.download_artifacts(artifact_uri=uri, dst_path=str(folder)))


def _check_size(size_bytes: int, limit_bytes: int) -> None:
    if size_bytes > limit_bytes:
        raise DiagnosisFailedError(f"The file has {size_bytes} bytes; at most {limit_bytes} are taken.")


@contextmanager
def told(what: str) -> Iterator[None]:
    from mlflow.exceptions import MlflowException

    try:
        yield
    except (MlflowException, OSError) as error:
        raise DiagnosisFailedError(f"{what}: {str(error)[:REASON_LIMIT]}") from error
