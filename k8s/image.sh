#!/bin/sh
# ./dev image [SERVICE ...]: compiles once, assembles one image per process with buildah, asks a name of each, measures it.
#   Needs buildah (Debian: apt-get install buildah) and no daemon; everything it keeps lies in .workos/images.
#   IMAGE_BINARIES=DIR takes finished static binaries instead of compiling; IMAGE_LIMIT_MB (50) is what one image may weigh.
#   Exit: 0 built, 69 a program is missing, 70 an image failed its check.
set -eu
cd "$(dirname -- "$0")/.."

say() { printf 'image: %s\n' "$*" >&2; }
lack() { say "$*"; exit 69; }
fail() { say "$*"; exit 70; }

command -v buildah >/dev/null || lack 'buildah is not installed (Debian: apt-get install buildah)'
[ "$(id -u)" = 0 ] || lack 'each image is tried in a chroot: run it as root, or as buildah unshare ./dev image'
known=$(sed -n 's/^FROM runtime AS //p' Dockerfile.multi)
for name in "$@"; do
    printf '%s\n' "$known" | grep -qx -- "$name" || lack "there is no image $name; known are: $(echo $known)"
done
[ $# -gt 0 ] || set -- $known

place=$PWD/.workos/images
context=$place/context
limit=${IMAGE_LIMIT_MB:-50}
rm -rf "$context"
mkdir -p "$context/out/etc/ssl/certs"
buildah() {
    command buildah --root "$place/root" --runroot "$place/runroot" --storage-driver "$driver" "$@"
}
driver=overlay
buildah images >/dev/null 2>&1 || { driver=vfs; say 'no overlay file system here: copying instead, which is slower'; }

binary() { [ "$1" = workos ] && echo workos || echo "workos-$1"; }
# Static against musl where its standard library and compiler are here, else against glibc. The target must be named in any case: proc
# macros are built for the host and cannot be static.
if [ -n "${IMAGE_BINARIES:-}" ]; then
    from=$IMAGE_BINARIES kind=given
    say "taking the binaries in $from"
else
    musl=$(rustc --print target-libdir --target x86_64-unknown-linux-musl)
    if command -v musl-gcc >/dev/null && { ls "$musl"/libstd-*.rlib >/dev/null 2>&1 ||
        timeout 120 rustup target add x86_64-unknown-linux-musl >/dev/null 2>&1; }; then
        kind=x86_64-unknown-linux-musl flags=''
    else
        kind=x86_64-unknown-linux-gnu flags='-C target-feature=+crt-static'
        say 'musl (its target or musl-gcc) is not to be had: static against glibc'
    fi
    say "compiling $# release binaries for $kind"
    packages=''
    for name in "$@"; do packages="$packages --package $(binary "$name") --bin $(binary "$name")"; done
    # shellcheck disable=SC2086
    RUSTFLAGS="$flags" cargo build --locked --release --target "$kind" $packages
    from=${CARGO_TARGET_DIR:-target}/$kind/release
fi
for name in "$@"; do cp -- "$from/$(binary "$name")" "$context/out/"; done
for bundle in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt; do
    [ ! -f "$bundle" ] || { cp -L "$bundle" "$context/out/etc/ssl/certs/ca-certificates.crt"; break; }
done
[ -f "$context/out/etc/ssl/certs/ca-certificates.crt" ] || lack 'no bundle of certificate authorities (Debian: apt-get install ca-certificates)'
echo 'workos:x:65532:65532::/var/lib/workos:/nonexistent' >"$context/out/etc/passwd"
echo 'hosts: files dns' >"$context/out/etc/nsswitch.conf"

# A static glibc can lose its name service: every connection would then fail in the cluster, and none in a test. So each image asks a name
# server, here a responder that sends every name to loopback, and must then be refused by a closed port.
names_at=127.77.0.53
rm -f "$place/names"
python3 -u -c '
import socket, sys
server = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
server.bind((sys.argv[1], 53))
print("ready")
while True:
    query, asker = server.recvfrom(512)
    end = query.index(0, 12) + 5
    is_v4 = query[end - 4:end - 2] == b"\0\1"
    answer = b"\xc0\x0c\0\1\0\1\0\0\0\x3c\0\4\x7f\0\0\1" if is_v4 else b""
    server.sendto(query[:2] + b"\x81\x80\0\1\0" + bytes([is_v4]) + b"\0\0\0\0" + query[12:end] + answer, asker)
' "$names_at" >"$place/names" 2>&1 &
names=$!
# buildah leaves the last mount of a container behind; what is mounted below our own folder goes with us, the deepest first.
leave() {
    kill "$names" 2>/dev/null || true
    grep -F " $place/" /proc/mounts | cut -d' ' -f2 | sort -r | while read -r mounted; do umount "$mounted" || true; done
}
trap leave EXIT
waited=0
until [ -s "$place/names" ]; do
    waited=$((waited + 1))
    [ "$waited" -le 100 ] || fail 'the name server of the check did not start'
    sleep 0.1
done
grep -q ready "$place/names" || fail "the name server of the check cannot listen on $names_at:53: $(tail -1 "$place/names")"

answers() { # answers NAME CONTAINER
    mounted=$(buildah mount "$2")
    printf 'nameserver %s\n' "$names_at" >"$mounted/etc/resolv.conf"
    heard=$(chroot --userspec=65532:65532 "$mounted" /workos --version 2>&1) || fail "$1 does not run in its image: $heard"
    heard=$(timeout 60 chroot --userspec=65532:65532 "$mounted" /workos migrate \
        --set engines.postgres.url=postgres://postgres.image.test:1/workos --set data_dir=/nowhere \
        --set secret_key=for-this-check-alone-0123456789abcdef 2>&1 || true)
    buildah umount "$2" >/dev/null
    case $heard in
    *refused*) echo 'runs, resolves names' ;;
    *) fail "$1 does not resolve a name in its image: $heard" ;;
    esac
}

table=''
for name in "$@"; do
    say "assembling $name"
    buildah build --quiet --isolation chroot --timestamp 0 --layers=false --build-arg BINARIES=prebuilt --label "workos.target=$kind" \
        --file Dockerfile.multi --target "$name" --tag "localhost/workos/$name:latest" "$context" >/dev/null
    container=$(buildah from --pull-never "localhost/workos/$name:latest")
    mounted=$(buildah mount "$container")
    kib=$(du -sk --apparent-size "$mounted" | cut -f1)
    buildah umount "$container" >/dev/null
    checked=$(answers "$name" "$container") || { buildah rm "$container" >/dev/null; exit 70; }
    buildah rm "$container" >/dev/null
    digest=$(buildah images --format '{{.Digest}}' "localhost/workos/$name:latest" | head -1)
    row=$(printf '%-13s %6s MB  %s  %s' "$name" "$(echo "$kib" | awk '{printf "%.1f", $1 * 1024 / 1000000}')" "$digest" "$checked")
    table="$table$row
"
    [ $((kib * 1024)) -le $((limit * 1000000)) ] || { printf '%s' "$table"; fail "$name weighs more than $limit MB"; }
done
rm -rf "$context"
printf '%s' "$table"
say "done; push one with: buildah --root $place/root --runroot $place/runroot push localhost/workos/NAME docker://REGISTRY/workos-NAME"
