#!/bin/bash
# Trains a bundle that pack.py made, without a network, in under eight minutes:
#
#     bash bench/gpu/run.sh BUNDLE OUT [options of run.py]
#
# PYTHON names the interpreter that has torch; LIMIT the seconds after which all is over.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
bundle=$(realpath "$1")
out=$2
shift 2
python=${PYTHON:-python3}
limit=${LIMIT:-460}
venv=$(mktemp -d)/venv
trap 'rm -rf "$(dirname "$venv")"' EXIT

"$python" -m venv --without-pip --system-site-packages "$venv"
# An interpreter that is in an environment itself hands on only what lies outside of it, so that one is named too.
"$python" -c 'import site; print(*site.getsitepackages(), sep="\n")' >"$("$venv"/bin/python -c \
    'import site; print(site.getsitepackages()[0])')/system.pth"
"$python" -m pip --python "$venv/bin/python" --quiet --disable-pip-version-check install --no-index --no-deps \
    --ignore-installed "$bundle"/wheels/*.whl
timeout "$limit" "$venv/bin/python" "$here/run.py" "$bundle" "$out" --seconds "$((limit - SECONDS))" "$@"
