#!/bin/sh
# Abuses the running gateway with hostile clients and measures what it costs: `gateway/tests/abuse/run.sh [--default] [CASE...]`.
# Limits are small for speed; with --default they are those of docs/config.toml. Needs a built workos-gateway (WORKOS_GATEWAY, or
# target/debug) and Python 3.11; the clients' packages are fetched once, pinned by hash. Fails on a failure that known.txt does
# not list, and on a listed case that passes.
set -eu

here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -P -- "$here/../../.." && pwd)
gateway=${WORKOS_GATEWAY:-${CARGO_TARGET_DIR:-$root/target}/debug/workos-gateway}

[ "$(uname -s)" = Linux ] || { echo "abuse: memory is read from /proc, which Linux has" >&2; exit 69; }
[ -x "$gateway" ] || { echo "abuse: $gateway is missing; build it with cargo build -p workos-gateway, or name it in WORKOS_GATEWAY" >&2; exit 69; }
command -v python3 >/dev/null && python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null ||
    { echo "abuse: Python 3.11 or newer with venv is needed" >&2; exit 69; }

hash=$(cat "$here/requirements.txt" | sha256sum | cut -c1-12)
tools="${WORKOS_TOOLS:-$root/.workos/tools}/judges-$hash"
if [ ! -e "$tools/done" ]; then
    echo "abuse: fetching its clients once" >&2
    rm -rf "$tools"
    mkdir -p "$(dirname -- "$tools")"
    python3 -m venv "$tools"
    "$tools/bin/pip" install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r "$here/requirements.txt"
    : >"$tools/done"
fi

ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
exec "$tools/bin/python" -B "$here/abuse.py" "$root" "$gateway" "$@"
