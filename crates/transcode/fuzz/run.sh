#!/bin/sh
# `./dev fuzz [TARGET] [MINUTES]`: runs the fuzz targets of every crate (crates/*/fuzz, gateway/fuzz) with cargo-fuzz,
# each for so many minutes by the clock, starting from its committed seeds and what earlier runs found. A finding ends it with its file.
# What ran is added up in docs/fuzz.md by whoever ran it; the last line says how much that was.
set -eu

version=0.13.2
root=$(CDPATH='' cd -P -- "$(dirname -- "$0")/../../.." && pwd)
minutes=${2:-1}
case "$minutes" in '' | *[!0-9]*) echo "fuzz: MINUTES is a whole number, not '$minutes'" >&2; exit 64 ;; esac

cargo +nightly --version >/dev/null 2>&1 || { echo "fuzz: a nightly compiler is needed (rustup toolchain install nightly)" >&2; exit 69; }
PATH="${WORKOS_TOOLS:-$root/.workos/tools}/cargo-fuzz-$version/bin:$PATH"
if ! command -v cargo-fuzz >/dev/null; then
    echo "fuzz: building cargo-fuzz $version once (about a minute)" >&2
    cargo install --quiet --locked "cargo-fuzz@$version" --root "${WORKOS_TOOLS:-$root/.workos/tools}/cargo-fuzz-$version"
fi

# Seconds of CPU that ended children have used; `times` in a pipe would tell of a shell of its own.
spent() { # spent FILE
    times >"$1"
    sed -n '2s/[ms]/ /gp' "$1" | awk '{print int($1 * 60 + $2 + $3 * 60 + $4)}'
}

run() { # run FOLDER TARGET
    mkdir -p "$1/corpus/$2"
    seeds=''
    [ -d "$1/seeds/$2" ] && seeds="$1/seeds/$2"
    # The versions of the workspace; cargo adds to them what only the targets need.
    [ "$1/Cargo.lock" -nt "$root/Cargo.lock" ] || cp "$root/Cargo.lock" "$1/Cargo.lock"
    echo "fuzz: $2 for $minutes min"
    (cd "$1/.." && cargo +nightly fuzz build "$2" 2>"$1/corpus/$2.log") || { tail -40 "$1/corpus/$2.log" >&2; exit 1; }
    spent "$1/corpus/$2.times" >"$1/corpus/$2.before"
    # shellcheck disable=SC2086 # the seeds are one folder, or none
    (cd "$1/.." && cargo +nightly fuzz run "$2" "$1/corpus/$2" $seeds -- \
        -max_total_time=$((minutes * 60)) -max_len=4096 -timeout=60 -rss_limit_mb=2048 -print_final_stats=1 2>"$1/corpus/$2.log") || {
        if grep -q 'libFuzzer: run interrupted' "$1/corpus/$2.log"; then
            echo "fuzz: $2 was interrupted before its time; what it has reached is kept in $1/corpus/$2" >&2
            exit 1
        fi
        tail -40 "$1/corpus/$2.log" >&2
        echo "fuzz: $2 found something; the input is named above, the whole log is $1/corpus/$2.log" >&2
        exit 1
    }
    runs=$(sed -n 's/^stat::number_of_executed_units: *//p' "$1/corpus/$2.log")
    edges=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$1/corpus/$2.log" | tail -1)
    spent "$1/corpus/$2.times" >"$1/corpus/$2.after"
    cpu=$(($(cat "$1/corpus/$2.after") - $(cat "$1/corpus/$2.before")))
    echo "fuzz: $2: no finding in $minutes min by the clock, $cpu s of CPU, $runs runs, $edges edges"
}

found=''
for folder in "$root"/crates/*/fuzz "$root/gateway/fuzz"; do
    for file in "$folder"/fuzz_targets/*.rs; do
        target=$(basename "$file" .rs)
        [ -z "${1:-}" ] || [ "$1" = "$target" ] || continue
        found=yes
        run "$folder" "$target"
    done
done
[ -n "$found" ] || { echo "fuzz: there is no target '$1'; there are: $(cd "$root" && ls crates/*/fuzz/fuzz_targets gateway/fuzz/fuzz_targets | sed -n 's/\.rs$//p' | tr '\n' ' ')" >&2; exit 64; }
