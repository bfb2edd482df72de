"""Attacks by connections and heads: slow ones, many, and swollen ones (gateway.md 4.18)."""
import contextlib
import time

import wire
from edge import MIB, PATIENCE, case, need, until

SLOW = 200


def held(hold, thing):
    return hold.enter_context(contextlib.closing(thing))


def trickled_away(edge, socks, piece, pause):
    """Trickles a byte to each until the other end has closed it; they are cut, not just ended by us."""
    left = list(socks)
    end = time.monotonic() + 5 * edge.limits["head_timeout"] + PATIENCE
    while left and time.monotonic() < end:
        left = [sock for sock in left if wire.dripped(sock, piece) and not wire.closed(sock)]
        time.sleep(pause)
    need(not left, f"{len(left)} of {len(socks)} still stand after {5 * edge.limits['head_timeout'] + PATIENCE} s of trickling (gateway.head_timeout)")


@case("slow heads, HTTP/1: a byte now and then", 24)
def slow_heads_http1(edge, hold):
    socks = [held(hold, wire.connect(edge.address, f"127.0.1.{1 + n % 8}")) for n in range(SLOW)]
    for sock in socks:
        sock.sendall(b"POST /v1/echo HTTP/1.1\r\nhost: edge\r\nx-slow: ")
    trickled_away(edge, socks, b"a", edge.limits["head_timeout"] / 8)
    return f"{SLOW} connections, all cut by gateway.head_timeout"


@case("slow heads, HTTP/2: a preface that does not come", 24)
def slow_preface(edge, hold):
    socks = [held(hold, wire.connect(edge.address)) for _ in range(SLOW)]
    for sock in socks:
        sock.sendall(wire.PREFACE[:2])
    left = list(socks)

    def cut():
        left[:] = [sock for sock in left if not wire.closed(sock)]
        return not left
    until("connections without a preface are cut (gateway.head_timeout)", cut, PATIENCE + edge.limits["head_timeout"])
    return f"{SLOW} connections, all cut by gateway.head_timeout"


@case("slow heads, HTTP/2: HEADERS whose CONTINUATION trickles, pings answered", 24)
def slow_heads_http2(edge, hold):
    clients = [held(hold, wire.Http2(edge.address)) for _ in range(50)]
    for client in clients:
        client.raw(wire.frame(wire.HEADERS, wire.END_STREAM, 1, client.head(wire.ECHO)))
    left, end = clients, time.monotonic() + 5 * edge.limits["head_timeout"] + 10
    while left and time.monotonic() < end:
        for client in left:
            client.raw(wire.frame(wire.CONTINUATION, 0, 1))
            client.read(0)
        left = [client for client in left if not client.over(1)]
        time.sleep(edge.limits["head_timeout"] / 8)
    need(not left, f"{len(left)} of 50 heads may still come after 5 x gateway.head_timeout + 10 s")
    return "50 heads, all cut"


# Memory: a task and hyper's buffers each; measured 8 to 12 KiB a connection.
@case("10,000 idle connections over eight addresses", 256, connections=10_100, head_timeout=60)
def idle_connections(edge, hold):
    for n in range(10_000):
        held(hold, wire.connect(edge.address, f"127.0.2.{1 + n % 8}"))
    until("all are open", lambda: edge.listener()["connections"]["open"] >= 10_000)
    return f"10,000 open, {(edge.memory('VmHWM') - edge.before) * 1024 / 10_000:.1f} KiB each"


@case("one address takes all connections (HTTP/2, pings answered); others come from elsewhere", 24, connections=100, connections_address=60)
def hogged_connections(edge, hold):
    clients = [held(hold, wire.Http2(edge.address, source="127.0.3.1")) for _ in range(110)]
    until("the address has its places", lambda: edge.listener()["connections"]["open"] >= 60)

    def closed():
        for client in clients:
            client.read(0)
        return sum(client.gone for client in clients) == 50
    until("the rest are closed", closed)
    return "110 tried from one address, 60 are open, 50 closed"


@case("one address takes all requests at work; others come from elsewhere", 24, requests=100, requests_address=60, body_idle=10)
def hogged_requests(edge, hold):
    socks = [held(hold, wire.connect(edge.address, "127.0.3.2")) for _ in range(110)]
    for sock in socks:
        sock.sendall(b"POST /v1/echo HTTP/1.1\r\nhost: edge\r\ncontent-type: application/json\r\ncontent-length: 9\r\n\r\n{")
    # Which of them found a place is free.
    codes = [wire.http1(sock)[0] for sock in socks]
    need(codes.count(429) == 50, f"{codes.count(429)} of 110 answered 429, wanted 50")
    return "110 tried from one address, 50 answered 429"


@case("swollen heads, HTTP/1: count, size, target, no end", 24)
def heads_http1(edge, hold):
    start = b"POST /v1/echo HTTP/1.1\r\nhost: edge\r\ncontent-length: 0\r\n"
    swollen = {"101 headers": (start + b"".join(b"x-%d: 1\r\n" % n for n in range(101)) + b"\r\n", 431),
               "a header of 17 KiB": (start + b"x-long: " + b"a" * (17 << 10) + b"\r\n\r\n", 431),
               "a header of 70 KiB": (start + b"x-long: " + b"a" * (70 << 10) + b"\r\n\r\n", 431),
               "a target of 9 KiB": (b"GET /v1/" + b"a" * (9 << 10) + b" HTTP/1.1\r\nhost: edge\r\n\r\n", 414),
               "129 segments": (b"GET " + b"/a" * 129 + b" HTTP/1.1\r\nhost: edge\r\n\r\n", 414)}
    wrong = []
    for name, (sent, wanted) in swollen.items():
        sock = held(hold, wire.connect(edge.address))
        wire.dripped(sock, sent)
        status, _ = wire.http1(sock)
        wrong += [f"{name}: answered {status}, wanted {wanted}"] if status != wanted else []
    need(not wrong, "; ".join(wrong))
    for _ in range(50):
        endless(edge, hold, b"GET / HTTP/1.1\r\nx: ", b"a" * 65536, "a head")
    return "431, 431, 431, 414, 414; heads without end are cut"


def endless(edge, hold, start, piece, what):
    sock = held(hold, wire.connect(edge.address))
    sent = wire.dripped(sock, start) and all(wire.dripped(sock, piece) for _ in range((16 << 20) // len(piece)))
    need(not sent or until(f"{what} without end is cut", lambda: wire.closed(sock)), f"{what} of 16 MiB was taken")


@case("chunked bodies: trailers, and extensions of chunks, without end", 24)
def endless_framing(edge, hold):
    start = b"POST /v1/echo HTTP/1.1\r\nhost: edge\r\ntransfer-encoding: chunked\r\n\r\n2\r\n{}\r\n"
    for _ in range(10):
        endless(edge, hold, start + b"0\r\n", b"x-trailer: a\r\n" * 5000, "trailers")
        endless(edge, hold, start + b"1;x=", b"a" * 65536, "an extension of a chunk")
        endless(edge, hold, start, (b"1;x=" + b"a" * 4000 + b"\r\n \r\n") * 16, "extensions of many chunks")
    return "cut"


@case("swollen heads, HTTP/2: count, size", 24)
def heads_http2(edge, hold):
    swollen = {"101 headers": [(f"x-{n}", "1") for n in range(101)], "a header of 17 KiB": [("x-long", "a" * (17 << 10))]}
    said, wrong = [], []
    for name, fields in swollen.items():
        client = held(hold, wire.Http2(edge.address))
        block = client.head(wire.ECHO + fields)
        pieces = [block[at:at + 16384] for at in range(0, len(block), 16384)]
        for n, piece in enumerate(pieces):
            last = wire.END_HEADERS if n == len(pieces) - 1 else 0
            client.raw(wire.frame(wire.CONTINUATION if n else wire.HEADERS, last | (0 if n else wire.END_STREAM), 1, piece))
        until(f"{name} are answered", lambda: client.read(0.02) or client.over(1))
        status = client.answers.get(1)
        wrong += [f"{name}: answered {status}, wanted 431"] if status not in (431, None) else []
        said.append(f"{name} {status or 'reset'}")
    need(not wrong, "; ".join(wrong))
    return ", ".join(said)


@case("HPACK bomb: one 4 KiB header, indexed 100,000 times", 24)
def hpack_bomb(edge, hold):
    said = set()
    for _ in range(20):
        client = held(hold, wire.Http2(edge.address))
        block = client.head(wire.ECHO + [("x-bomb", "a" * 3900)])
        client.raw(wire.frame(wire.HEADERS, wire.END_STREAM, 1, block))
        # 62 is the newest entry of the dynamic table: one byte for four thousand.
        for n in range(7):
            client.raw(wire.frame(wire.CONTINUATION, wire.END_HEADERS if n == 6 else 0, 1, b"\xbe" * 16000))
        until("the bomb is answered", lambda: client.read(0.02) or client.over(1))
        need(client.answers.get(1) in (None, 431), f"answered {client.answers.get(1)}")
        said.add(str(client.answers.get(1) or f"GOAWAY {client.goaway}" if client.goaway is not None else "cut"))
    return f"20 bombs of 400 MB: {', '.join(sorted(said))}"


@case("CONTINUATION flood: 64 MiB of a head without end", 24)
def continuation_flood(edge, hold):
    said = set()
    for _ in range(4):
        client = held(hold, wire.Http2(edge.address))
        client.raw(wire.frame(wire.HEADERS, 0, 1, client.head(wire.ECHO)))
        # Literal headers without indexing, each valid on its own.
        piece = wire.frame(wire.CONTINUATION, 0, 1, b"\x00\x05x-abc\x7f\x81\x01" + b"a" * 256) * 64
        sent = 0
        while sent < 64 * MIB and client.raw(piece) and client.goaway is None:
            sent += len(piece)
        need(sent < 64 * MIB, "64 MiB of CONTINUATION were taken")
        client.read(0.1)
        said.add(f"GOAWAY {client.goaway}" if client.goaway is not None else "cut")
    return f"cut early: {', '.join(sorted(said))}"
