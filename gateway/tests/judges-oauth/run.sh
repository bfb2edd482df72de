#!/bin/sh
# `./dev judges-oauth [oauth4webapi] [openid-client] [authlib] [oidc-provider] [pyotp] [signin] [pages]`: OAuth and OpenID Connect
# clients that others wrote sign in at a running platform, an identity provider that others wrote signs people in here; all of them without a
# name. Starts a platform of its own in a temporary folder. Needs built binaries (WORKOS_BIN, or target/debug), the engines that ./dev
# fetches, Python 3.11 and Node 20; the clients are fetched once, pinned by hash. Fails when one of them does.
set -eu

here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -P -- "$here/../../.." && pwd)
bin=${WORKOS_BIN:-${CARGO_TARGET_DIR:-$root/target}/debug}
WORKOS_TOOLS_DIR=${WORKOS_TOOLS_DIR:-$root/.workos/tools}
export WORKOS_TOOLS_DIR

fail() { echo "judges-oauth: $1" >&2; exit 69; }
[ -x "$bin/workos" ] || fail "$bin/workos is missing; build it with cargo build --workspace, or name its folder in WORKOS_BIN"
[ -d "$WORKOS_TOOLS_DIR" ] || fail "the engines are missing in $WORKOS_TOOLS_DIR; run ./dev once"
for each in python3 node npm; do
    command -v "$each" >/dev/null || fail "$each is needed (Debian: apt-get install python3 python3-venv nodejs npm)"
done
python3 -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || fail "Python 3.11 or newer with venv is needed"

hash=$(cat "$here/requirements.txt" "$here/package-lock.json" | sha256sum | cut -c1-16)
judges="${WORKOS_TOOLS:-$root/.workos/tools}/judges-$hash"
if [ ! -f "$judges/ready" ]; then
    echo "judges-oauth: fetching the clients once" >&2
    rm -rf "$judges" && mkdir -p "$judges"
    cp "$here/package.json" "$here/package-lock.json" "$judges"
    (cd "$judges" && npm ci --silent --no-audit --no-fund --ignore-scripts)
    python3 -m venv "$judges/venv"
    "$judges/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
        -r "$here/requirements.txt"
    : >"$judges/ready"
fi
exec "$judges/venv/bin/python" -B "$here/judge.py" "$root" "$bin" "$judges" "$@"
