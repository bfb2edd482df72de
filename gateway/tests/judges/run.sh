#!/bin/sh
# `./dev judges [NAME...]`: clients that others wrote (Connect, gRPC-Web, grpc-js, Google's REST clients, WebSocket, EventSource,
# grpcurl, buf curl) ask one running edge. Fails when one of them fails. What they need is fetched once into the tools folder,
# pinned: npm packages by package-lock.json, wheels by requirements.txt.
set -eu

here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -P -- "$here/../../.." && pwd)
hash=$(cat "$here/package-lock.json" "$here/requirements.txt" | sha256sum | cut -c1-16)
JUDGES="${WORKOS_TOOLS:?run ./dev judges}/judges-$hash"
export JUDGES

for each in node npm; do
    command -v "$each" >/dev/null || { echo "judges: $each is needed (Debian: apt-get install nodejs npm; Node 20 or newer)" >&2; exit 69; }
done
if [ ! -f "$JUDGES/ready" ]; then
    echo "judges: fetching the clients once" >&2
    rm -rf "$JUDGES" && mkdir -p "$JUDGES"
    cp "$here/package.json" "$here/package-lock.json" "$JUDGES"
    (cd "$JUDGES" && npm ci --silent --no-audit --no-fund --ignore-scripts)
    "$WORKOS_TOOLS/venv/bin/python" -m venv "$JUDGES/venv"
    "$JUDGES/venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: --no-deps \
        -r "$here/requirements.txt"
    # Google's protos as the packages carry them, in one tree.
    for package in @google-cloud/secret-manager google-gax; do
        cp -R "$JUDGES/node_modules/$package/build/protos/google" "$JUDGES/protos.$$"
        mkdir -p "$JUDGES/protos/google" && cp -R "$JUDGES/protos.$$/." "$JUDGES/protos/google" && rm -rf "$JUDGES/protos.$$"
    done
    # Parts of other products lack what they import.
    for part in "$JUDGES"/protos/google/*; do
        case "${part##*/}" in api | cloud | iam | protobuf | rpc | type) ;; *) rm -rf "$part" ;; esac
    done
    (cd "$JUDGES/protos" && buf build . --path google/cloud/secretmanager/v1 -o "$JUDGES/secrets.bin")
    : >"$JUDGES/ready"
fi

target="${CARGO_TARGET_DIR:-$root/target}"
(cd "$root" && cargo build --quiet --workspace --bin workos-gateway)
work=$(mktemp -d "$JUDGES/run.XXXXXX")
trap 'rm -rf "$work"' EXIT
# Node looks for packages from where a script lies upwards.
cp "$here"/*.mjs "$here/google_rest.py" "$work"
mkdir "$work/proto"
cp "$here/judge.proto" "$work/proto"
cp -R "$root/proto/google" "$work/proto"
(cd "$work/proto" && buf build . --path judge.proto -o "$work/judge.bin")
node "$work/harness.mjs" "$target/debug/workos-gateway" "$work/judge.bin" "$JUDGES/secrets.bin" "$@"
