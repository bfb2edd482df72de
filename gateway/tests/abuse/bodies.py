"""Bodies that are slow, endless, or larger than they look (gateway.md 4.18)."""
import concurrent.futures
import contextlib
import gzip
import struct
import time

import brotli
import wire
import zstandard
from edge import MIB, PATIENCE, case, need, until

GRPC = [(":method", "POST"), (":scheme", "http"), (":authority", "edge"), (":path", "/abuse.v1.Abused/Echo"), ("te", "trailers")]
# A JSON string of 256 MiB of one letter, coded once.
BOMB_BYTES = 256 * MIB


def held(hold, thing):
    return hold.enter_context(contextlib.closing(thing))


def post(length=None, path="/v1/echo"):
    framing = "transfer-encoding: chunked" if length is None else f"content-length: {length}"
    return f"POST {path} HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\n{framing}\r\n\r\n".encode()


@case("stalled bodies: the head, then silence", 24)
def stalled_bodies(edge, hold):
    socks = [held(hold, wire.connect(edge.address)) for _ in range(100)]
    for sock in socks:
        sock.settimeout(PATIENCE + edge.limits["body_idle"])
        sock.sendall(post(100) + b"{")
    codes = {wire.http1(sock)[0] for sock in socks}
    # Whichever of the two limits is the shorter one.
    need(codes <= {408, 504}, f"answered {codes}, wanted 408 or 504")
    return f"100 stalled, answered {codes}"


@case("trickled bodies, REST and Connect: a byte within each gateway.body_idle", 24, requests=100)
def trickled_bodies(edge, hold):
    socks = [held(hold, wire.connect(edge.address)) for _ in range(50)]
    for n, sock in enumerate(socks):
        # REST and Connect.
        sock.sendall(post(100_000, ("/v1/echo", "/abuse.v1.Abused/Echo")[n % 2]) + b"{")
    left, end = socks, time.monotonic() + 3 * edge.limits["deadline"] + 10
    while left and time.monotonic() < end:
        left = [sock for sock in left if wire.dripped(sock, b" ") and wire.drained(sock) == (b"", False)]
        time.sleep(edge.limits["body_idle"] / 5)
    need(not left, f"{len(left)} of 50 hold their place of gateway.requests beyond 3 x gateway.deadline + 10 s")
    return "50 trickling, all answered"


@case("trickled bodies over HTTP/2, gRPC: a byte within each gateway.body_idle", 24, requests=100)
def trickled_grpc(edge, hold):
    clients = [held(hold, wire.Http2(edge.address)) for _ in range(50)]
    for client in clients:
        client.request(1, GRPC + [("content-type", "application/grpc")], end=False, body=b"\0" + struct.pack(">I", 100_000))
    left, end = clients, time.monotonic() + 3 * edge.limits["deadline"] + 10
    while left and time.monotonic() < end:
        for client in left:
            client.raw(wire.frame(wire.DATA, 0, 1, b" "))
        left = [client for client in left if not client.over(1)]
        time.sleep(edge.limits["body_idle"] / 5)
    need(not left, f"{len(left)} of 50 hold their place of gateway.requests beyond 3 x gateway.deadline + 10 s")
    return f"50 trickling, all ended, status {clients[0].fields.get(1, {}).get('grpc-status')}"


def endless(sock, piece, most=1024 * MIB):
    """Sends up to 1 GiB, until an answer or the end; how much was sent."""
    sent = 0
    sock.settimeout(30)
    while sent < most and wire.dripped(sock, piece):
        sent += len(piece)
    return sent


@case("1 GiB of JSON to a unary method, length announced", lambda limits: 24 + 4 * limits["body_max"] / MIB)
def huge_announced(edge, hold):
    sock = held(hold, wire.connect(edge.address))
    sock.sendall(post(1 << 30))
    status, body = wire.http1(sock)
    need(status == 413 and b"gateway.body_max" in body, f"answered {status}")
    sent = endless(sock, b" " * MIB)
    need(sent <= 80 * MIB, f"{sent // MIB} MiB were read on")
    return f"413 before the body, {sent // MIB} MiB discarded"


@case("1 GiB of JSON to a unary method in chunks", lambda limits: 24 + 4 * limits["body_max"] / MIB)
def huge_chunked(edge, hold):
    sock = held(hold, wire.connect(edge.address))
    sock.sendall(post())
    sent = endless(sock, b"100000\r\n" + b" " * MIB + b"\r\n")
    # The body's limit, and what is read and dropped before the answer (8 MiB) and after it (64 MiB), and what sockets hold: Linux lets
    # both ends together have 10 MiB, and a piece of each may be on its way.
    need(sent <= edge.limits["body_max"] + 85 * MIB, f"{sent // MIB} MiB were read")
    status, _ = wire.http1(sock)
    need(status in (413, None), f"answered {status}")
    patient = held(hold, wire.connect(edge.address))
    over = edge.limits["body_max"] + 1
    patient.sendall(post() + b"%x\r\n" % over + b" " * over + b"\r\n0\r\n\r\n")
    status, body = wire.http1(patient)
    need(status == 413 and b"gateway.body_max" in body, f"one byte too many: answered {status}")
    return f"cut after {sent // MIB} MiB; one byte too many is 413"


def huge_http2(edge, hold, fields, start):
    client = held(hold, wire.Http2(edge.address))
    client.request(1, fields, end=False)
    client.raw(wire.frame(wire.DATA, 0, 1, start))
    sent, end = len(start), time.monotonic() + PATIENCE
    while not client.over(1) and time.monotonic() < end and sent < 1 << 30:
        client.read(0.01)
        size = min(client.allowed[0] - sent, client.first + client.allowed.get(1, 0) - sent, 1 << 20)
        if size > 0:
            pieces = [b" " * min(16384, size - at) for at in range(0, size, 16384)]
            client.raw(b"".join(wire.frame(wire.DATA, 0, 1, piece) for piece in pieces))
            sent += size
    need(client.over(1), f"{sent} bytes were taken and no answer came")
    return client, sent


@case("1 GiB over HTTP/2: JSON; gRPC, gRPC-Web and Connect frames of 1 GiB", lambda limits: 32 + 8 * limits["body_max"] / MIB)
def huge_frames(edge, hold):
    client, sent = huge_http2(edge, hold, wire.ECHO, b" ")
    need(client.answers.get(1) == 413, f"JSON: answered {client.answers.get(1)}")
    said = [f"JSON 413 after {sent >> 10} KiB"]
    kinds = {"application/grpc": "grpc-status", "application/grpc-web+proto": "grpc-status", "application/connect+proto": None}
    for kind, field in kinds.items():
        fields = GRPC if field else [(name, value.replace("Echo", "Talk")) for name, value in GRPC if name != "te"]
        client, sent = huge_http2(edge, hold, fields + [("content-type", kind)], b"\0" + struct.pack(">I", 1 << 30))
        until(f"{kind} is answered", lambda: client.read(0.02) or client.gone or 1 in client.answers or 1 in client.resets)
        client.read(0.2)
        status = client.fields.get(1, {}).get("grpc-status")
        text = client.data.get(1, b"")
        need(status == "8" or b"resource_exhausted" in text or b"grpc-status:8" in text.replace(b" ", b""),
             f"{kind}: grpc-status {status}, reset {client.resets.get(1)}, {text[:120]}; wanted RESOURCE_EXHAUSTED")
        said.append(f"{kind[12:]} RESOURCE_EXHAUSTED after {sent >> 10} KiB")
    return "; ".join(said)


# Beside what is reserved, each connection has its reader's buffer.
@case("200 bodies just below the limit from eight addresses, the last byte withheld", 48 + 1.5 * 64, bodies_max=64 * MIB)
def withheld_bodies(edge, hold):
    size = edge.limits["body_max"]
    socks = [held(hold, wire.connect(edge.address, f"127.0.4.{1 + n % 8}")) for n in range(withheld(edge.limits))]
    body = post(size) + b" " * (size - 1)

    def sent(sock):
        wire.dripped(sock, body)
        return wire.http1(sock)[0]
    # At the same time: who waits for memory is not read.
    with concurrent.futures.ThreadPoolExecutor(len(socks)) as pool:
        codes = list(pool.map(sent, socks))
    need(set(codes) <= {408, 504, 503, 429, None}, f"answered {set(codes)}")
    need(429 in codes or 503 in codes, f"64 MiB took all of {len(socks)} bodies of {size >> 20} MiB")
    return f"at its height {edge.memory('VmHWM') - edge.before:.0f} MiB; " + ", ".join(f"{codes.count(code)} x {code}" for code in sorted(set(codes), key=str))


def withheld(limits):
    return 200 if limits["body_max"] <= MIB else 64


def bombs():
    zeros = b'{"text":"' + b"a" * BOMB_BYTES + b'"}'
    return {"gzip": gzip.compress(zeros, 9), "zstd": zstandard.ZstdCompressor(level=3).compress(zeros), "br": brotli.compress(zeros, quality=5)}


def sent_over_http1(edge, hold, path, kind, more, body):
    sock = held(hold, wire.connect(edge.address))
    head = f"POST {path} HTTP/1.1\r\nhost: edge\r\ncontent-type: {kind}\r\n{more}content-length: {len(body)}\r\n\r\n".encode()
    wire.dripped(sock, head + body)
    return wire.http1(sock)


# brotli's window may be 16 MiB by its format, zstd's 8 MiB by ours; 20 of each.
@case("zip bombs in Content-Encoding: gzip, zstd, br; JSON and Connect", 96)
def zip_bombs(edge, hold):
    for coding, bomb in bombs().items():
        for path, kind in (("/v1/echo", "application/json"), ("/abuse.v1.Abused/Echo", "application/json"), ("/abuse.v1.Abused/Echo", "application/proto")):
            for _ in range(20):
                status, body = sent_over_http1(edge, hold, path, kind, f"content-encoding: {coding}\r\n", bomb)
                wanted = status == 413 or b"resource_exhausted" in body or (coding == "br" and path != "/v1/echo" and status in (501, 415))
                need(wanted, f"{coding} at {path} as {kind}: answered {status} {body[:200]}")
    return "9 kinds, 20 each: refused"


@case("zip bombs in messages: gRPC-Web, Connect streams", 96)
def message_bombs(edge, hold):
    plain = b"\x0a" + varint(BOMB_BYTES) + b"a" * BOMB_BYTES
    coded = {"gzip": gzip.compress(plain, 9), "zstd": zstandard.ZstdCompressor(level=3).compress(plain)}
    said = {}
    for coding, bomb in coded.items():
        message = b"\1" + struct.pack(">I", len(bomb)) + bomb
        for path, kind, header in (("Echo", "application/grpc-web+proto", "grpc-encoding"), ("Talk", "application/connect+proto", "connect-content-encoding")):
            for _ in range(20):
                status, body = sent_over_http1(edge, hold, f"/abuse.v1.Abused/{path}", kind, f"{header}: {coding}\r\n", message)
                said[f"{kind[12:]} {coding}"] = status
                text = body.replace(b" ", b"")
                need(BOMB_BYTES > len(body) and (b"resource_exhausted" in text or b"grpc-status:8" in text or b"grpc-status:12" in text or b"unimplemented" in text),
                     f"{kind} {coding}: answered {status} {body[:200]}")
    return ", ".join(f"{name} {status}" for name, status in said.items())


def varint(number):
    out = b""
    while number > 127:
        out, number = out + bytes((number & 127 | 128,)), number >> 7
    return out + bytes((number,))
