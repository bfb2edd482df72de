"""Raw clients: bytes as an attacker writes them, below any HTTP library.

What must hold: nothing here is polite on its own: a frame is sent because a case says so. All reads end by a time-out.
"""
import base64
import os
import select
import socket
import struct

import hpack

PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
DATA, HEADERS, PRIORITY, RST, SETTINGS, PUSH, PING, GOAWAY, WINDOW, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS = 1, 1, 4
ECHO = [(":method", "POST"), (":scheme", "http"), (":authority", "edge"), (":path", "/v1/echo"), ("content-type", "application/json")]


def connect(address, source=None, receive=None):
    sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    if receive:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    if source:
        sock.bind((source, 0))
    sock.settimeout(15)
    sock.connect(address)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def closed(sock):
    """The other end has closed; what it said before is thrown away."""
    return drained(sock)[1]


def drained(sock):
    """What has arrived by now, and whether the other end has closed."""
    got = b""
    while select.select([sock], [], [], 0)[0]:
        try:
            piece = sock.recv(65536)
        except OSError:
            return got, True
        if not piece:
            return got, True
        got += piece
    return got, False


def dripped(sock, data):
    """Sends; False when the other end is gone."""
    try:
        sock.sendall(data)
        return True
    except OSError:
        return False


def http1(sock):
    """Status and body of an answer, as far as it comes before the other end closes or waits; (None, b"") for none."""
    got = b""
    try:
        while b"\r\n\r\n" not in got:
            piece = sock.recv(65536)
            if not piece:
                break
            got += piece
        head, _, body = got.partition(b"\r\n\r\n")
        length = next((int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0)
        while len(body) < length:
            piece = sock.recv(65536)
            if not piece:
                break
            body += piece
    except OSError:
        pass
    return (int(got.split()[1]), body) if got.startswith(b"HTTP/1.1 ") else (None, got)


def frame(kind, flags, stream, payload=b""):
    return struct.pack(">I", len(payload))[1:] + bytes((kind, flags)) + struct.pack(">I", stream) + payload


class Http2:
    """One HTTP/2 connection with prior knowledge."""

    def __init__(self, address, settings=b"", source=None):
        self.sock = connect(address, source)
        self.coder, self.reader, self.rest = hpack.Encoder(), hpack.Decoder(), b""
        self.gone, self.goaway, self.answers, self.resets, self.data, self.fields = False, None, {}, {}, {}, {}
        # What the other end has allowed to send so far: the connection, and each stream beside its first window.
        self.allowed, self.first, self.spent = {0: 65535}, 65535, {}
        self.raw(PREFACE + frame(SETTINGS, 0, 0, settings))

    def acknowledge(self, kind, payload):
        try:
            self.sock.send(frame(kind, ACK, 0, payload))
        except OSError:
            self.gone = True

    def raw(self, data):
        """Writes all of it and reads meanwhile; False when the other end is gone."""
        while data and not self.gone:
            readable, writable, _ = select.select([self.sock], [self.sock], [], 15)
            if readable:
                self.read(0)
            if writable and not self.gone:
                try:
                    data = data[self.sock.send(data[:1 << 18]):]
                except OSError:
                    self.gone = True
            if not readable and not writable:
                return False
        return not self.gone

    def head(self, fields):
        return self.coder.encode(fields)

    def request(self, stream, fields=ECHO, end=True, body=None):
        sent = frame(HEADERS, END_HEADERS | (END_STREAM if end and body is None else 0), stream, self.head(fields))
        if body is not None:
            sent += frame(DATA, END_STREAM if end else 0, stream, body)
        return self.raw(sent)

    def read(self, wait):
        """Takes what comes within this time, and answers pings as a living client does."""
        while not self.gone and select.select([self.sock], [], [], wait)[0]:
            wait = 0
            try:
                piece = self.sock.recv(1 << 18)
            except OSError:
                piece = b""
            if not piece:
                self.gone = True
            self.rest += piece
            while len(self.rest) >= 9:
                length = int.from_bytes(self.rest[:3], "big")
                if len(self.rest) < 9 + length:
                    break
                kind, flags = self.rest[3], self.rest[4]
                stream = int.from_bytes(self.rest[5:9], "big") & 0x7FFFFFFF
                payload, self.rest = self.rest[9:9 + length], self.rest[9 + length:]
                self.heard(kind, flags, stream, payload)

    def heard(self, kind, flags, stream, payload):
        if kind == GOAWAY:
            self.goaway = struct.unpack(">I", payload[4:8])[0]
        elif kind == RST:
            self.resets[stream] = struct.unpack(">I", payload)[0]
        elif kind == HEADERS:
            fields = dict(self.reader.decode(payload))
            self.fields.setdefault(stream, {}).update(fields)
            if ":status" in fields:
                self.answers[stream] = int(fields[":status"])
        elif kind == DATA:
            self.data[stream] = (self.data.get(stream, b"") + payload)[:1 << 16]
        elif kind == WINDOW:
            self.allowed[stream] = self.allowed.get(stream, 0) + struct.unpack(">I", payload)[0]
        elif kind == SETTINGS and not flags & ACK:
            pairs = dict(struct.unpack_from(">HI", payload, at) for at in range(0, len(payload), 6))
            self.first = pairs.get(4, self.first)
            # Before that the other end need not let us use the larger window (RFC 9113 section 6.5.3).
            self.acknowledge(SETTINGS, b"")
        elif kind == PING and not flags & ACK:
            self.acknowledge(PING, payload)

    def over(self, stream):
        """The stream has its answer or end, or the connection is at its end."""
        return self.gone or self.goaway is not None or stream in self.answers or stream in self.resets

    def close(self):
        self.sock.close()


class WebSocket:
    """A WebSocket that writes any frame."""

    def __init__(self, address, path="/v1/talk", key=None, headers="", receive=None):
        self.sock = connect(address, receive=receive)
        key = key or base64.b64encode(os.urandom(16)).decode()
        self.sock.sendall((f"GET {path} HTTP/1.1\r\nhost: edge\r\nupgrade: websocket\r\nconnection: upgrade\r\n"
                           f"sec-websocket-version: 13\r\nsec-websocket-key: {key}\r\n{headers}\r\n").encode())
        got = b""
        while b"\r\n\r\n" not in got:
            piece = self.sock.recv(4096)
            if not piece:
                break
            got += piece
        self.head, _, self.rest = got.partition(b"\r\n\r\n")
        self.status = int(self.head.split()[1]) if self.head else None

    @staticmethod
    def frame(opcode, payload=b"", fin=True, reserved=0, masked=True, length=None):
        """One frame; `length` lies about the payload's."""
        length = len(payload) if length is None else length
        head = bytes(((0x80 if fin else 0) | reserved << 4 | opcode,))
        mark = 0x80 if masked else 0
        if length < 126:
            head += bytes((mark | length,))
        elif length < 1 << 16:
            head += bytes((mark | 126,)) + struct.pack(">H", length)
        else:
            head += bytes((mark | 127,)) + struct.pack(">Q", length)
        # A key of zeros masks nothing: payloads stay as they are written here.
        return head + (b"\0\0\0\0" if masked else b"") + payload

    def send(self, *args, **kwargs):
        return dripped(self.sock, self.frame(*args, **kwargs))

    def receive(self):
        """The next frame as (opcode, payload); None at the end of the connection."""
        def take(count):
            while len(self.rest) < count:
                piece = self.sock.recv(1 << 16)
                if not piece:
                    raise EOFError
                self.rest += piece
            taken, self.rest = self.rest[:count], self.rest[count:]
            return taken
        try:
            first, second = take(2)
            length = second & 0x7F
            if length == 126:
                length = struct.unpack(">H", take(2))[0]
            elif length == 127:
                length = struct.unpack(">Q", take(8))[0]
            return first & 0x0F, take(length)
        except (EOFError, OSError):
            return None

    def close_code(self):
        """Reads up to the close; its code, 1006 for none."""
        while (got := self.receive()) is not None:
            if got[0] == 8:
                return struct.unpack(">H", got[1][:2])[0] if len(got[1]) >= 2 else 1005
        return 1006

    def close(self):
        self.sock.close()
