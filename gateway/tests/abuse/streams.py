"""Streams whose reader takes nothing, and WebSockets that misbehave (gateway.md 4.7, 4.12, 4.18)."""
import contextlib
import struct
import threading

import wire
from edge import MIB, PATIENCE, SPARE, case, need, until

FLOW = "/v1/flow?count=1000000&size=65536"
# A stream may hold what is in flight: one message each way, hyper's and h2's buffers, the windows of the mesh.
STREAM_MIB = 2.5


def held(hold, thing):
    return hold.enter_context(contextlib.closing(thing))


def not_growing(edge):
    """Memory stands still: the upstream is held back. Two equal looks after the buffers have filled."""
    seen = []

    def still():
        seen.append(edge.memory("VmHWM"))
        return len(seen) > 40 and seen[-1] - seen[-20] < 1
    until("memory of slow readers stands still", still)


@case("100 slow readers over HTTP/1 of a server stream (JSON array, NDJSON, SSE)", 24 + 100 * STREAM_MIB)
def slow_readers_http1(edge, hold):
    socks = []
    for n in range(100):
        sock = held(hold, wire.connect(edge.address, receive=4096))
        kind = ("application/json", "application/x-ndjson", "text/event-stream")[n % 3]
        sock.sendall(f"GET {FLOW} HTTP/1.1\r\nhost: edge\r\naccept: {kind}\r\n\r\n".encode())
        socks.append(sock)
    not_growing(edge)
    until("who takes nothing is cut (gateway.stream_idle)", lambda: edge.listener()["connections"]["open"] <= 2, PATIENCE + 2 * edge.limits["stream_idle"])
    return "held back, then cut by gateway.stream_idle"


@case("100 slow readers over HTTP/2: a window of 0, pings answered", 24 + 100 * STREAM_MIB)
def slow_readers_http2(edge, hold):
    clients = []
    for n in range(5):
        client = held(hold, wire.Http2(edge.address, struct.pack(">HI", 4, 0)))
        for stream in range(20):
            client.request(2 * stream + 1, [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", FLOW)])
        clients.append(client)
    not_growing(edge)

    def cut():
        for client in clients:
            client.read(0)
        return all(client.gone or client.goaway is not None or len(client.resets) >= 20 for client in clients)
    until("who takes nothing is cut (gateway.stream_idle)", cut, PATIENCE + 2 * edge.limits["stream_idle"])
    return "held back, then cut by gateway.stream_idle"


@case("eight readers over HTTP/1 who take nothing; others call the same service", 24 + 8 * STREAM_MIB, stream_idle=60)
def stalled_few(edge, hold):
    for _ in range(8):
        sock = held(hold, wire.connect(edge.address, receive=4096))
        sock.sendall(f"GET {FLOW} HTTP/1.1\r\nhost: edge\r\naccept: text/event-stream\r\n\r\n".encode())
    not_growing(edge)
    return "held back"


@case("HTTP/2 readers who take one byte at a time", 24 + 20 * STREAM_MIB)
def sipping_readers(edge, hold):
    client = held(hold, wire.Http2(edge.address, struct.pack(">HI", 4, 0)))
    for stream in range(20):
        client.request(2 * stream + 1, [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", FLOW)])
    for _ in range(2000):
        client.raw(b"".join(wire.frame(wire.WINDOW, 0, 2 * stream + 1, struct.pack(">I", 1)) for stream in range(20)))
    not_growing(edge)
    return f"{sum(map(len, client.data.values())):,} bytes in {2000 * 20:,} sips"


@case("WebSocket readers who take nothing", 24 + 50 * STREAM_MIB)
def slow_websockets(edge, hold):
    for _ in range(50):
        socket = held(hold, wire.WebSocket(edge.address, FLOW, receive=4096))
        need(socket.status == 101, f"answered {socket.status}")
    not_growing(edge)
    until("who takes nothing is cut (gateway.stream_idle)", lambda: edge.descriptors() <= edge.files + SPARE, PATIENCE + 2 * edge.limits["stream_idle"])
    return "held back, then cut by gateway.stream_idle"


@case("WebSocket: frames longer than the limit, and one that says 2^63", lambda limits: 24 + 20 * limits["websocket_frame_max"] / MIB)
def oversized_frames(edge, hold):
    most = edge.limits["websocket_frame_max"]
    codes = set()
    for length in (most + 1, 1 << 31, (1 << 63) - 1):
        for _ in range(10):
            socket = held(hold, wire.WebSocket(edge.address))
            socket.send(1, b"{" + b" " * 1000, length=length)
            codes.add(socket.close_code())
    need(codes == {1009}, f"closed with {codes}, wanted 1009")
    honest = held(hold, wire.WebSocket(edge.address))
    honest.send(1, b'{"text":"' + b"a" * (most - 11) + b'"}')
    got = honest.receive()
    need(got and got[0] == 1 and len(got[1]) == most, "a frame of just the limit is taken")
    return "closed with 1009; one of just the limit passes"


@case("WebSocket: a message in fragments without end", lambda limits: 24 + 40 * limits["websocket_frame_max"] / MIB)
def fragment_flood(edge, hold):
    for size in (1, 1000):
        for _ in range(10):
            socket = held(hold, wire.WebSocket(edge.address))
            socket.send(1, b"{", fin=False)
            piece = wire.WebSocket.frame(0, b" " * size, fin=False) * 1000
            sent = 0
            while sent <= 64 * edge.limits["websocket_frame_max"] and wire.dripped(socket.sock, piece) and not socket_ended(socket):
                sent += 1000 * size
            code = socket.close_code()
            need(code in (1009, 1006) and sent <= 64 * edge.limits["websocket_frame_max"], f"fragments of {size}: {sent} bytes taken, closed with {code}")
    return "closed with 1009 at gateway.websocket_frame_max"


def socket_ended(socket):
    got, ended = wire.drained(socket.sock)
    socket.rest += got
    return ended or bool(socket.rest)


@case("WebSocket: 1,000,000 empty fragments", 24)
def empty_fragments(edge, hold):
    socket = held(hold, wire.WebSocket(edge.address))
    socket.send(1, b"", fin=False)
    piece, sent = wire.WebSocket.frame(0, b"", fin=False) * 1000, 0
    while sent < 1_000_000 and wire.dripped(socket.sock, piece) and not socket_ended(socket):
        sent += 1000
    return f"{sent:,} taken"


@case("WebSocket: ping flood by who reads no pong", 24)
def websocket_pings(edge, hold):
    socket = held(hold, wire.WebSocket(edge.address, receive=4096))
    socket.sock.settimeout(5)
    piece, sent = wire.WebSocket.frame(9, b"p" * 125) * 1000, 0
    while sent < 600_000 and wire.dripped(socket.sock, piece):
        sent += 1000
    return f"{sent:,} taken"


@case("WebSocket: frames that never come whole", lambda limits: 24 + 100 * limits["websocket_frame_max"] / MIB)
def partial_frames(edge, hold):
    most = edge.limits["websocket_frame_max"]
    for _ in range(50):
        socket = held(hold, wire.WebSocket(edge.address))
        socket.send(1, b"{" + b" " * (most - 100), length=most)
    return f"50 of them, {edge.memory('VmHWM') - edge.before:.0f} MiB"


@case("WebSocket: more of them than gateway.websockets", 24, websockets=20)
def too_many_websockets(edge, hold):
    codes = [held(hold, wire.WebSocket(edge.address)).status for _ in range(40)]
    need(codes.count(101) == 20 and codes.count(503) == 20, f"answered {codes}")
    return "20 open, 20 answered 503"


@case("WebSocket: ends that vanish without a word, pings unanswered", 24, keep_alive=3)
def half_open(edge, hold):
    sockets = [held(hold, wire.WebSocket(edge.address)) for _ in range(50)]
    for socket in sockets:
        socket.send(1, b'{"text":"here"}')
        need(socket.receive() is not None, "the first message is answered")
    need(edge.listener()["connections"]["open"] >= 50, "all are open")
    until("dead ends are found by pings", lambda: edge.descriptors() <= edge.files + SPARE)
    return "50 found dead after two unanswered pings"


@case("1,200 streams, 200 more than gateway.streams, none of them read", 24 + 1000 * 0.5, streams=1000, streams_address=2000, connections_address=100, stream_idle=60)
def thousand_streams(edge, hold):
    clients = [held(hold, wire.Http2(edge.address, struct.pack(">HI", 4, 0))) for _ in range(12)]
    for client in clients:
        for stream in range(100):
            client.request(2 * stream + 1, [(":method", "GET"), (":scheme", "http"), (":authority", "edge"), (":path", FLOW)])

    def answered():
        for client in clients:
            client.read(0)
        need(not any(client.gone for client in clients), "a connection was closed")
        return sum(len(client.answers) for client in clients) == 1200
    until("each stream is answered", answered)
    codes = [code for client in clients for code in client.answers.values()]
    need(codes.count(200) == 1000 and codes.count(503) == 200, f"answered { {code: codes.count(code) for code in set(codes)} }")
    not_growing(edge)
    return "1,000 open, 200 answered 503"


@case("client streams in frames of one byte, whose upstream is held back", lambda limits: 24 + 20 * STREAM_MIB, stream_idle=60)
def one_byte_frames(edge, hold):
    client = held(hold, wire.Http2(edge.address, struct.pack(">HI", 4, 0)))
    talk = [(":method", "POST"), (":scheme", "http"), (":authority", "edge"), (":path", "/abuse.v1.Abused/Talk"), ("te", "trailers"), ("content-type", "application/grpc")]
    streams = range(1, 41, 2)
    for stream in streams:
        client.request(stream, talk, end=False)
    # Nobody takes the answers, so the upstream stands still and the edge reads no further than its windows.
    message = b"\0" + struct.pack(">I", 3) + b"\x0a\x01x"
    sent, stalled = 0, set()
    while len(stalled) < len(streams) and not client.gone and client.goaway is None:
        client.read(0.5 if stalled else 0)
        for stream in streams:
            room = min(client.allowed[0], client.first + client.allowed.get(stream, 0) - sent_on(client, stream), 4000)
            if room < len(message):
                stalled.add(stream)
                continue
            stalled.discard(stream)
            burst = message * (room // len(message))
            need(client.raw(b"".join(wire.frame(wire.DATA, 0, stream, burst[at:at + 1]) for at in range(len(burst)))) or client.gone, "nothing is taken, not even by the kernel")
            client.spent[stream] = sent_on(client, stream) + len(burst)
            client.allowed[0] -= len(burst)
            sent += len(burst)
        need(sent <= 64 * MIB, f"{sent // MIB} MiB were taken for an upstream that reads nothing")
    not_growing(edge)
    return f"{sent:,} bytes in frames of one, {'cut with GOAWAY ' + str(client.goaway) if client.goaway is not None else 'held back'}"


def sent_on(client, stream):
    return client.spent.get(stream, 0)


@case("callers who leave in the middle of a stream, 500 times", 64)
def leavers(edge, hold):
    def leave():
        for _ in range(50):
            with contextlib.closing(wire.connect(edge.address)) as sock:
                sock.sendall(f"GET {FLOW} HTTP/1.1\r\nhost: edge\r\n\r\n".encode())
                need(sock.recv(100), "an answer begins")
    threads = [threading.Thread(target=leave) for _ in range(10)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return "500 left"
