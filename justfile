# Every command of the project. Run through ./dev, which puts the pinned tools on PATH.
set positional-arguments
set shell := ["sh", "-euc"]

target := env("CARGO_TARGET_DIR", justfile_directory() / "target")
here := invocation_directory()

# start everything here, in the foreground: engines, services, gateway (`./dev up --help`)
up *ARGS:
    cargo build --workspace --bin workos
    @cd "{{here}}" && exec "{{target}}/debug/workos" up "$@"

# tell the whole story on a directory of real files (default: documentation found on this machine)
demo *ARGS:
    cargo build --workspace --bin workos
    @cd "{{here}}" && exec "{{target}}/debug/workos" demo "$@"

# run every test on one throw-away set of real engines (`./dev test -p workos-document edits`)
test *ARGS: _engines
    #!/bin/sh
    set -eu
    case " $* " in *" -p "* | *" --package "*) scope='' ;; *) scope=--workspace ;; esac
    if command -v cargo-nextest >/dev/null; then
        "{{target}}/debug/workos-engines" run -- cargo nextest run $scope "$@"
        [ $# -gt 0 ] || cargo test --workspace --doc
    else
        "{{target}}/debug/workos-engines" run -- cargo test $scope "$@"
    fi

# format, lints, docs, dependencies, contract, manifests: what CI checks besides the tests
check: _fmt-check _clippy _doc _deny _buf _k8s
    @echo "check: all passed"

# run protobuf's conformance suite against the transcoder and through a running edge; fails on any failure
conformance:
    @sh "{{justfile_directory()}}/crates/transcode/examples/conformance/run.sh"

# clients that others wrote against a running edge: ./dev judges [NAME...]
judges *NAME:
    @sh "{{justfile_directory()}}/gateway/tests/judges/run.sh" "$@"

# clients that mean harm against a running edge: ./dev abuse [--default] [CASE...]
abuse *ARGS:
    cargo build --quiet --workspace --bin workos-gateway
    @sh "{{justfile_directory()}}/gateway/tests/abuse/run.sh" "$@"

# schemathesis and others on the OpenAPI document, RFC 6455 cases on the WebSocket
judges-openapi *ARGS:
    cargo build --quiet --workspace --bin workos --bin workos-gateway
    @sh "{{justfile_directory()}}/gateway/tests/judges-openapi/run.sh" "$@"

# OAuth and OpenID Connect clients that others wrote, signing in at a platform: ./dev judges-oauth [NAME...]
judges-oauth *NAME:
    cargo build --quiet --workspace --bin workos
    @sh "{{justfile_directory()}}/gateway/tests/judges-oauth/run.sh" "$@"

# look for faults in what reads foreign bytes: ./dev fuzz [TARGET] [MINUTES] (all targets, one minute each)
fuzz *ARGS:
    @sh "{{justfile_directory()}}/crates/transcode/fuzz/run.sh" "$@"

# format the Rust code
fmt:
    cargo fmt --all

# rewrite what is generated from the contract and the code (docs, policies, golden files)
generate:
    cargo build --workspace --bin workos
    @"{{target}}/debug/workos" contract generate

# measure against the goals and peers, NAME is platform, auth or gateway; writes .workos/bench/NAME.json
bench *NAME:
    #!/bin/sh
    set -eu
    if [ "${1:-}" = gateway ]; then
        shift
        exec cargo bench --quiet --workspace --bench edge -- "$@"
    fi
    cargo build --release --workspace --bins
    exec "{{target}}/release/workos" bench "$@"

# write the five places of a new service: ./dev new-service audit
new-service NAME:
    cargo build --workspace --bin workos
    @"{{target}}/debug/workos" contract new-service "$@"

# build the container images (or those named) without a Docker daemon; prints their sizes
image *NAME:
    @sh "{{justfile_directory()}}/k8s/image.sh" "$@"

# grpcurl, for example: ./dev grpcurl -plaintext localhost:8080 list
grpcurl *ARGS:
    #!/bin/sh
    set -eu
    program="$WORKOS_TOOLS/bin/grpcurl"
    if [ ! -x "$program" ]; then
        command -v go >/dev/null || { echo "grpcurl: Go is needed to build it once (Debian: apt-get install golang-go)" >&2; exit 69; }
        echo "grpcurl: building it once with Go (about a minute)" >&2
        GOBIN="$WORKOS_TOOLS/bin" GOFLAGS=-modcacherw go install github.com/fullstorydev/grpcurl/cmd/grpcurl@v1.9.3
    fi
    cd "{{here}}" && exec "$program" "$@"

# psql on the running platform's PostgreSQL, as its superuser
psql *ARGS: _engines
    @exec "{{target}}/debug/workos-engines" psql -- "$@"

# delete .workos/data after asking (--yes: without); refuses while an `up` runs
reset *ARGS: _engines
    @exec "{{target}}/debug/workos-engines" reset "$@"

_engines:
    @cargo build --workspace --bin workos-engines

_fmt-check:
    @echo "check: format"
    cargo fmt --all --check

_clippy:
    @echo "check: lints"
    cargo clippy --workspace --all-targets -- -D warnings

_doc:
    @echo "check: documentation"
    RUSTDOCFLAGS="-D warnings" cargo doc --no-deps --workspace

_deny:
    #!/bin/sh
    set -eu
    echo "check: dependencies"
    cargo deny --workspace check --hide-inclusion-graph -A no-license-field -A unused-wrapper bans licenses sources
    if timeout 60 cargo deny --workspace fetch db >/dev/null 2>&1; then
        cargo deny --workspace check --disable-fetch advisories
    else
        echo "check: advisories SKIPPED (their database cannot be reached from here)"
    fi

_buf:
    @echo "check: contract"
    buf lint

_k8s:
    #!/bin/sh
    set -eu
    echo "check: manifests"
    if ! command -v kubectl >/dev/null; then
        echo "check: manifests SKIPPED (no kubectl for this machine)"
        exit 0
    fi
    for overlay in k8s/overlays/*/; do
        [ -f "$overlay/kustomization.yaml" ] || continue
        kubectl kustomize "$overlay" >/dev/null
        echo "  $overlay renders"
    done
