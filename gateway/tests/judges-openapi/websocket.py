"""RFC 6455 and RFC 8441 against the edge's WebSocket, case by case after Autobahn's list (its suite is for Python 2 and its pins
can no longer be installed), and a conversation with the client of the package `websockets`: `run.sh websocket`.

What must hold: every case says the rule it judges by; the edge echoes by the bidirectional method of ../abuse/abuse.proto.
"""
import base64
import json
import pathlib
import signal
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "abuse"))
import wire  # noqa: E402
from abuse import contract  # noqa: E402
from edge import SMALL, Edge  # noqa: E402
from websockets.exceptions import ConnectionClosed  # noqa: E402
from websockets.sync.client import connect  # noqa: E402

HELLO = b'{"text":"hello"}'
TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
FRAME = wire.WebSocket.frame
# Longer than the edge waits for a first message, shorter than its patience: limits of time are the abuse suite's.
LIMITS = {**SMALL, "head_timeout": 10, "body_idle": 10, "stream_idle": 30, "deadline": 15}


def utf8(text):
    return b'{"text":"' + text + b'"}'


# Known findings: what a failing case's name begins with, and what comes instead. One that is not met any more must go.
KNOWN = {}


# name -> (bytes sent after the handshake, what must come: a list of frames, or the close code, rule)
def frames():
    most = LIMITS["websocket_frame_max"]
    sizes = (0, 1, 100, 125 - 11, 126 - 11, 127 - 11, 128, 65535 - 11)
    yes = {f"1.1 text of {n + 11} bytes": (FRAME(TEXT, utf8(b"x" * n)), [utf8(b"x" * n)], "5.6") for n in sizes if n}
    yes["1.1 text of 16 KiB in single bytes"] = (FRAME(TEXT, utf8(b"x" * 16384)), [utf8(b"x" * 16384)], "5.2")
    pings = {f"2 ping of {n} bytes": (FRAME(PING, b"p" * n), [(PONG, b"p" * n)], "5.5.2") for n in (0, 1, 125)}
    no = {
        "2.5 ping of 126 bytes": (FRAME(PING, b"p" * 126), 1002, "5.5: control frames are at most 125 bytes"),
        "2.7 pong unasked": (FRAME(PONG, b"unasked") + FRAME(TEXT, HELLO), [HELLO], "5.5.3"),
        "2.10 ten pings": (b"".join(FRAME(PING, b"%d" % n) for n in range(10)), [(PONG, b"9")], "5.5.3: the last one is answered"),
        "5.1 fragmented ping": (FRAME(PING, b"", fin=False), 1002, "5.5: control frames are not fragmented"),
        "unmasked frame": (FRAME(TEXT, HELLO, masked=False), 1002, "5.1: the server closes on an unmasked frame"),
        "length of 2^63": (FRAME(TEXT, b"", length=1 << 63), (1002, 1009), "5.2: the highest bit is 0"),
        "message of one byte too many": (FRAME(TEXT, utf8(b"x" * (most - 10))), 1009, "7.4.1"),
    }
    reserved = {f"3 reserved bits {bits}": (FRAME(TEXT, HELLO, reserved=bits), 1002, "5.2") for bits in range(1, 8)}
    opcodes = {f"4 opcode {code}": (FRAME(code, b""), 1002, "5.2") for code in (3, 4, 5, 6, 7, 11, 12, 13, 14, 15)}
    return {**yes, **pings, **no, **reserved, **opcodes}


def fragments():
    head, tail = HELLO[:5], HELLO[5:]
    two = FRAME(TEXT, head, fin=False) + FRAME(0, tail)
    many = FRAME(TEXT, HELLO[:1], fin=False) + b"".join(FRAME(0, HELLO[n:n + 1], fin=False) for n in range(1, len(HELLO))) + FRAME(0)
    return {
        "5.3 two fragments": (two, [HELLO], "5.4"),
        "5.5 one byte each, an empty one last": (many, [HELLO], "5.4"),
        "5.6 ping between": (FRAME(TEXT, head, fin=False) + FRAME(PING, b"p") + FRAME(0, tail), [(PONG, b"p"), HELLO], "5.4"),
        "5.9 continuation of nothing": (FRAME(0, HELLO), 1002, "5.4"),
        "5.12 continuation of nothing, more to come": (FRAME(0, HELLO, fin=False), 1002, "5.4"),
        "5.15 continuation after the last": (two + FRAME(0, b"x", fin=False) + FRAME(TEXT, HELLO), 1002, "5.4"),
        "5.18 text within text": (FRAME(TEXT, head, fin=False) + FRAME(TEXT, tail), 1002, "5.4"),
        "5.19 reserved bit on a continuation": (FRAME(TEXT, head, fin=False) + FRAME(0, tail, reserved=4), 1002, "5.2"),
    }


def texts():
    good = {"kappa": "κόσμε", "astral": "\U0001f600\U00010ffff", "noncharacters": "\uffff\ufdd0", "bom": "\ufeffx", "hello": "Hello-µ@ßöäüàá-UTF-8!!"}
    yes = {f"6 {name}": (FRAME(TEXT, utf8(text.encode())), [utf8(text.encode())], "8.1") for name, text in good.items()}
    split = utf8("κ".encode())
    at = split.index(b"\xce") + 1
    yes["6.2 a character over two fragments"] = (FRAME(TEXT, split[:at], fin=False) + FRAME(0, split[at:]), [split], "5.6")
    bad = (b"\x80", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf8\x88\x80\x80\x80", b"\xce", b"\xff", b"\xc1\xbf", b"\xe0\x80\xaf")
    no = {f"6 malformed {text.hex()}": (FRAME(TEXT, utf8(text)), 1007, "8.1") for text in bad}
    no["6.4 malformed in the second fragment"] = (FRAME(TEXT, utf8(b"")[:9], fin=False) + FRAME(0, b'\xff"}'), 1007, "8.1")
    return {**yes, **no}


def closes():
    legal = (1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999)
    illegal = (0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535)
    yes = {f"7.7 close {code}": (FRAME(CLOSE, struct.pack(">H", code)), code, "7.4: echoed") for code in legal}
    no = {f"7.9 close {code}": (FRAME(CLOSE, struct.pack(">H", code)), 1002, "7.4: not to be sent") for code in illegal}
    return {
        **yes, **no,
        "7.3.1 close without code": (FRAME(CLOSE), 1005, "5.5.1"),
        "7.3.2 close of one byte": (FRAME(CLOSE, b"\x03"), 1002, "5.5.1"),
        "7.3.5 close with 123 bytes of reason": (FRAME(CLOSE, struct.pack(">H", 1000) + b"r" * 123), 1000, "5.5"),
        "7.3.6 close with 124 bytes of reason": (FRAME(CLOSE, struct.pack(">H", 1000) + b"r" * 124), 1002, "5.5"),
        "7.5.1 malformed reason": (FRAME(CLOSE, struct.pack(">H", 1000) + b"\xff"), (1007, 1002), "5.5.1, 8.1"),
        "7.1.4 text after the close": (FRAME(CLOSE, struct.pack(">H", 1000)) + FRAME(TEXT, HELLO), 1000, "5.5.1"),
        "7.1.5 ping after the close": (FRAME(CLOSE, struct.pack(">H", 1000)) + FRAME(PING), 1000, "5.5.1"),
    }


def got(socket, wanted):
    """What came: as many frames as wanted, or the close code."""
    if not isinstance(wanted, list):
        return socket.close_code()
    came = []
    while len(came) < len(wanted) and (frame := socket.receive()) is not None:
        if frame[0] == CLOSE:
            return struct.unpack(">H", frame[1][:2])[0] if frame[1] else 1005
        came.append(frame[1] if frame[0] == TEXT else frame)
    return came


def matches(came, wanted):
    if isinstance(wanted, tuple):
        return came in wanted
    if isinstance(wanted, int):
        return came == wanted
    # Of several pings the last must be answered; the others may be.
    return came == wanted or (wanted[-1:] == [(PONG, b"9")] and isinstance(came, list))


def framed(edge):
    """Each case twice where it can matter: at one go, and byte by byte."""
    for name, (sent, wanted, rule) in {**frames(), **fragments(), **texts(), **closes()}.items():
        for piecewise in (False, True) if len(sent) < 200 or "single bytes" in name else (False,):
            socket = wire.WebSocket(edge.address)
            for piece in (sent[at:at + 1] for at in range(len(sent))) if piecewise else (sent,):
                if not wire.dripped(socket.sock, piece):
                    break
            came = got(socket, wanted)
            socket.close()
            yield name + (", byte by byte" if piecewise else ""), matches(came, wanted), f"{str(came)[:80]}, wanted {str(wanted)[:80]} (RFC 6455 {rule})"


def handshakes(edge):
    """The opening: what must be refused, and what must be taken (RFC 6455 section 4.2)."""
    key = base64.b64encode(b"0123456789abcdef").decode()
    whole = {"upgrade": "websocket", "connection": "Upgrade", "sec-websocket-version": "13", "sec-websocket-key": key}
    changes = {
        "plain": ({}, 101), "several tokens": ({"connection": "keep-alive, Upgrade"}, 101), "capitals": ({"upgrade": "WebSocket"}, 101),
        "version 8": ({"sec-websocket-version": "8"}, 426), "no version": ({"sec-websocket-version": None}, 426),
        "no key": ({"sec-websocket-key": None}, 400), "short key": ({"sec-websocket-key": "c2hvcnQ="}, 400), "key of no base64": ({"sec-websocket-key": "!" * 24}, 400),
        "unknown subprotocol": ({"sec-websocket-protocol": "chat"}, 400), "known subprotocol second": ({"sec-websocket-protocol": "chat, workos.json.v1"}, 101),
        "extension offered": ({"sec-websocket-extensions": "permessage-deflate; client_max_window_bits"}, 101),
    }
    for name, (change, wanted) in changes.items():
        fields = {field: value for field, value in {**whole, **change}.items() if value is not None}
        sock = wire.connect(edge.address)
        sock.sendall(("GET /v1/talk HTTP/1.1\r\nhost: edge\r\n" + "".join(f"{field}: {value}\r\n" for field, value in fields.items()) + "\r\n").encode())
        head = sock.recv(65536).decode("latin-1").lower()
        sock.close()
        status = int(head.split()[1])
        right = status == wanted and ("sec-websocket-extensions" not in head) and (wanted != 426 or "sec-websocket-version: 13" in head)
        yield f"handshake, {name}", right, f"{status}, wanted {wanted}: {head[:200]!r}"
    sock = wire.connect(edge.address)
    sock.sendall("".join((f"POST /v1/talk HTTP/1.1\r\nhost: edge\r\ncontent-length: 0\r\n", *(f"{field}: {value}\r\n" for field, value in whole.items()), "\r\n")).encode())
    status = int(sock.recv(65536).split()[1])
    sock.close()
    yield "handshake by POST", status != 101, f"{status}, wanted no 101 (RFC 6455 4.1)"


def over_http2(edge):
    """RFC 8441: the setting is announced, the CONNECT is answered 200, frames travel in DATA."""
    client = wire.Http2(edge.address)
    client.request(1, [(":method", "CONNECT"), (":protocol", "websocket"), (":scheme", "http"), (":path", "/v1/talk"), (":authority", "edge"), ("sec-websocket-version", "13")],
                   end=False, body=FRAME(TEXT, HELLO))
    for _ in range(100):
        client.read(0.1)
        if HELLO in client.data.get(1, b"") or client.over(1) and client.answers.get(1) != 200:
            break
    came = client.answers.get(1), client.data.get(1)
    yield "8441: CONNECT", came == (200, bytes((0x81, len(HELLO))) + HELLO), f"{came}"
    client.raw(wire.frame(wire.DATA, 0, 1, FRAME(CLOSE, struct.pack(">H", 1000))))
    client.read(1)
    yield "8441: close", client.data.get(1, b"").endswith(b"\x88\x02\x03\xe8"), f"{client.data.get(1)}"
    client.close()


def conversation(edge):
    """The client of `websockets`, with its checks of what a server may send, compression offered."""
    url = "ws://{}:{}/v1/talk".format(*edge.address)
    with connect(url, subprotocols=["workos.json.v1"]) as socket:
        for n in range(200):
            socket.send(json.dumps({"text": "x" * n * 50}))
            answer = json.loads(socket.recv(timeout=15))
            yield f"websockets, message {n}", answer == ({"text": "x" * n * 50} if n else {}), str(answer)[:80]
        socket.ping().wait(15)
        socket.send("")
        try:
            socket.recv(timeout=15)
            code = None
        except ConnectionClosed as closed:
            code = closed.rcvd and closed.rcvd.code
        yield "websockets, half-close", code == 1000, f"{code}, wanted 1000"
    with connect(url) as socket:
        socket.send("no JSON")
        try:
            record = json.loads(socket.recv(timeout=15))
            socket.recv(timeout=15)
        except ConnectionClosed as closed:
            code = closed.rcvd and closed.rcvd.code
        yield "websockets, a broken message", "error" in record and code == 4003, f"{record} {code}, wanted 4003"
    with connect(url, subprotocols=["workos.proto.v1"]) as socket:
        socket.send(b"\x0a\x05hello")
        answer = socket.recv(timeout=15)
        yield "websockets, protobuf", answer == b"\x0a\x05hello", str(answer)


def main(root, binary):
    total, bad, known = 0, 0, dict.fromkeys(KNOWN, 0)
    with tempfile.TemporaryDirectory(prefix="workos-websocket-") as folder:
        set_ = contract(root, folder)
        upstream = subprocess.Popen([sys.executable, pathlib.Path(__file__).parent.parent / "abuse/upstream.py", set_], stdout=subprocess.PIPE, text=True)
        try:
            edge = Edge(binary, folder, set_, int(upstream.stdout.readline()), LIMITS, {})
            try:
                for judge in (handshakes, framed, over_http2, conversation):
                    for name, right, came in judge(edge):
                        total += 1
                        excuse = next((start for start, instead in KNOWN.items() if name.startswith(start) and came.startswith(instead)), None)
                        if not right and excuse:
                            known[excuse] += 1
                        elif not right:
                            bad += 1
                            print(f"FAILED {name}: {came}", flush=True)
            finally:
                edge.stop()
        finally:
            upstream.kill()
            upstream.wait()
    gone = [start for start, count in known.items() if not count]
    for start in gone:
        print(f"websocket: {start} fails no more; take it off KNOWN")
    print(f"websocket: {total - bad - sum(known.values())} passed, {bad} failed, {sum(known.values())} known")
    return 1 if bad or gone or total < 300 else 0


if __name__ == "__main__":
    # What was started is ended also when this is told to end.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main(sys.argv[1], sys.argv[2]))
