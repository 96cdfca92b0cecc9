"""What to install where a part of the service is asked for that was not installed: the client alone is light."""

from __future__ import annotations

WORKER = frozenset({"tensorflow", "keras", "tf_keras", "numpy", "scipy", "h5py", "pyarrow"})
WEB = frozenset({
    "fastapi", "starlette", "uvicorn", "streaming_form_data", "sqlalchemy", "alembic", "dbos", "jinja2",
    "prometheus_client", "structlog", "psutil",
})  # fmt: skip


def missing_extra(module: str | None) -> str | None:
    """What to say about a module that is not there; None where no part of this project would bring it."""
    top = (module or "").partition(".")[0]
    if top in WORKER:
        return (
            f"This needs the analysis, which is not installed ({top}): pip install '.[worker]' in a checkout, "
            "or name a running service with --server."
        )
    if top in WEB:
        return f"This needs the service, which is not installed ({top}): pip install '.[web,worker]' in a checkout."
    return None
