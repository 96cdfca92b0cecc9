#!/bin/sh
# Make or refresh .venv from the locked requirements. Idempotent: a stamp of the lock decides whether there is work.
# Usage: tools/install.sh [dev|worker|web|gpu]   (a name in requirements/)
set -eu
cd "$(dirname "$0")/.."
set_name=${1:-worker}
lock=requirements/$set_name.txt
[ -f "$lock" ] || { echo "tools/install.sh: no such set: $set_name" >&2; exit 2; }

find_python() {
  for candidate in "${PYTHON:-}" python3.13 python3.12 python3.11 python3; do
    [ -n "$candidate" ] || continue
    if command -v "$candidate" >/dev/null 2>&1 &&
       "$candidate" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null; then
      echo "$candidate"; return
    fi
  done
  echo "PhaseGap needs Python 3.11, 3.12 or 3.13: install one, or name it: make install PYTHON=/path/to/python" >&2
  exit 1
}

make_venv() {
  "$1" -m venv .venv >/dev/null 2>&1 && return
  rm -rf .venv
  # Debian ships python3 without venv; as root we can mend that ourselves.
  if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
    apt-get update -qq && apt-get install -y -qq python3-venv >/dev/null
    "$1" -m venv .venv && return
  fi
  echo "Python's venv module is missing: sudo apt-get install python3-venv" >&2
  exit 1
}

stamp=$(cat requirements/uv.txt "$lock" pyproject.toml | sha256sum | cut -d' ' -f1)
# The development set holds all of worker's, and worker's all of web's: a larger set already there is enough.
for larger in $set_name dev; do
  [ -f ".venv/.installed-$larger" ] && [ "$(cat ".venv/.installed-$larger")" = "$(
    cat requirements/uv.txt "requirements/$larger.txt" pyproject.toml | sha256sum | cut -d' ' -f1)" ] && exit 0
done

[ -x .venv/bin/python ] || make_venv "$(find_python)"
echo "Installing the locked environment ($set_name) into .venv ..."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.txt
# Compiled now, for all: the parent of guests writes no bytecode, and would compile TensorFlow anew at every start.
.venv/bin/uv pip install --quiet --compile-bytecode --python .venv/bin/python --require-hashes -r "$lock"
# The project itself, importable from the checkout, without asking an index again.
.venv/bin/python tools/link.py
echo "$stamp" > ".venv/.installed-$set_name"
