#!/usr/bin/env bash
# What a GPU says of this code, on a machine with an NVIDIA driver, Python 3.11 or later with a CUDA build of PyTorch,
# and no network. What else is needed is packed before, where there is one:
#
#   benchmarks/gpu.sh --pack pack.tar.xz --python 3.12           here: the other machine's Python; below 60 MB
#   benchmarks/gpu.sh --packed pack.tar.xz --out FOLDER          there, in a copy of the checkout; at most eight minutes
#   benchmarks/gpu.sh --packed pack.tar.xz --out FOLDER --device cpu --budget tiny      shows in a minute that it runs
#
# FOLDER gets gpu.json and gpu.md. The exit status is 1 if any part failed; the others run all the same. PYTHON names
# the interpreter (python3).
set -eu
root=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH="$root:$root/benchmarks"
case "${1:-}" in
--pack) exec "${PYTHON:-$root/.venv/bin/python}" -m gpu.pack "$@" ;;
*) exec "${PYTHON:-python3}" -m gpu.run "$@" ;;
esac
