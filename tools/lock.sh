#!/bin/sh
# Resolve pyproject.toml into requirements/*.txt: every package pinned with its hashes, no index address in the files.
# Usage: tools/lock.sh [extra uv options, such as --upgrade]
set -eu
cd "$(dirname "$0")/.."
compile() { uv pip compile pyproject.toml --quiet --universal --python-version 3.11 --generate-hashes \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header "$@"; }
compile --extra web --extra worker --extra otel --group dev -o requirements/dev.txt "$@"
compile --extra web -c requirements/dev.txt -o requirements/web.txt
compile --extra web --extra worker -c requirements/dev.txt -o requirements/worker.txt
compile --extra otel -c requirements/dev.txt -o requirements/otel.txt
compile --extra web --extra worker --extra gpu -c requirements/dev.txt -o requirements/gpu.txt
uv pip compile requirements/uv.in --quiet --generate-hashes --no-emit-index-url --no-emit-find-links \
  --no-annotate --no-header -o requirements/uv.txt "$@"
