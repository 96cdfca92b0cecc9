# syntax=docker/dockerfile:1
# Three images over one code base, each from a lock with hashes:
#   docker build --target web        -t phasegap-web .         accepts and answers; no TensorFlow
#   docker build --target worker-cpu -t phasegap-worker .      runs diagnoses; also the default target
#   docker build --target worker-gpu -t phasegap-worker-gpu .  the same with NVIDIA's libraries
# See docs/containers.md for how they run together.

ARG PYTHON_IMAGE=python:3.11-slim-bookworm

# --- What the images have in common: a user without rights, a data folder, no build tools.
FROM ${PYTHON_IMAGE} AS base
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 TF_CPP_MIN_LOG_LEVEL=2 \
    PATH=/opt/phasegap/.venv/bin:$PATH \
    PHASEGAP_DATA_DIR=/data
RUN groupadd --gid 10001 phasegap \
 && useradd --uid 10001 --gid 10001 --no-create-home --home-dir /nonexistent --shell /usr/sbin/nologin phasegap \
 && install -d -o phasegap -g phasegap -m 0700 /data
WORKDIR /opt/phasegap

# --- One environment a target. The locks pin every package by hash; the tool that reads them is pinned too.
FROM ${PYTHON_IMAGE} AS tools
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1 UV_NO_CACHE=1 UV_COMPILE_BYTECODE=1 UV_LINK_MODE=copy
WORKDIR /opt/phasegap
COPY requirements/uv.txt requirements/
RUN pip install --require-hashes -r requirements/uv.txt \
 && python -m venv --without-pip .venv

FROM tools AS web-env
COPY requirements/web.txt requirements/
RUN uv pip install --python .venv/bin/python --require-hashes -r requirements/web.txt
COPY tools/link.py tools/
RUN .venv/bin/python tools/link.py

FROM tools AS worker-env
COPY requirements/worker.txt requirements/
RUN uv pip install --python .venv/bin/python --require-hashes -r requirements/worker.txt
COPY tools/link.py tools/
RUN .venv/bin/python tools/link.py

FROM tools AS gpu-env
COPY requirements/gpu.txt requirements/
RUN uv pip install --python .venv/bin/python --require-hashes -r requirements/gpu.txt
COPY tools/link.py tools/
RUN .venv/bin/python tools/link.py

# --- web
FROM base AS web
COPY --from=web-env /opt/phasegap/.venv .venv
COPY LICENSE pyproject.toml ./
COPY analyzers analyzers
COPY app app
COPY phasegap phasegap
USER 10001:10001
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=20s --retries=3 \
  CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8000/health/live', timeout=2)"]
CMD ["phasegap", "serve", "--host", "0.0.0.0", "--port", "8000", "--no-worker"]

# --- worker-gpu: CUDA comes with the wheels; the host needs only the driver and the NVIDIA container toolkit.
FROM base AS worker-gpu
COPY --from=gpu-env /opt/phasegap/.venv .venv
COPY LICENSE pyproject.toml ./
COPY analyzers analyzers
COPY app app
COPY phasegap phasegap
ENV NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
  CMD ["sh", "-c", "test -n \"$(find /data/alive -mmin -2)\""]
CMD ["phasegap", "worker"]

# --- worker-cpu, last: `docker build .` makes it.
FROM base AS worker-cpu
COPY --from=worker-env /opt/phasegap/.venv .venv
COPY LICENSE pyproject.toml ./
COPY analyzers analyzers
COPY app app
COPY phasegap phasegap
USER 10001:10001
VOLUME /data
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=120s --retries=3 \
  CMD ["sh", "-c", "test -n \"$(find /data/alive -mmin -2)\""]
CMD ["phasegap", "worker"]
