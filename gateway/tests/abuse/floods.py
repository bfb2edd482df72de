"""Floods of HTTP/2 frames, each cheap for the sender (CVE-2023-44487, CVE-2025-8671, CVE-2019-9512, -9515, -9518)."""
import contextlib
import struct

import wire
from edge import case, need, until


def flood(edge, hold, piece, rounds):
    """Sends `piece(stream)` again and again, until the other end has enough."""
    client = hold.enter_context(contextlib.closing(wire.Http2(edge.address)))
    sent = 0
    while sent < rounds and client.goaway is None and client.raw(b"".join(piece(client, 2 * n + 1) for n in range(sent, sent + 50))):
        sent += 50
    client.read(0.2)
    return client, sent


def cut_early(client, sent, rounds):
    """Whether the connection ends as calm or as a breach of protocol is free; that it ends is not."""
    need(client.goaway or client.gone, f"{sent} of {rounds} were taken, GOAWAY {client.goaway}")
    return f"cut after at most {sent}, GOAWAY {client.goaway}"


@case("rapid reset: HEADERS and RST_STREAM, 100,000 times", 32)
def rapid_reset(edge, hold):
    def piece(client, stream):
        return wire.frame(wire.HEADERS, wire.END_HEADERS, stream, client.head(wire.ECHO)) + wire.frame(wire.RST, 0, stream, struct.pack(">I", 8))
    return cut_early(*flood(edge, hold, piece, 100_000), 100_000)


def made_you(edge, hold, offence):
    def piece(client, stream):
        return wire.frame(wire.HEADERS, wire.END_HEADERS, stream, client.head(wire.ECHO)) + offence(stream)
    return cut_early(*flood(edge, hold, piece, 20_000), 20_000)


@case("MadeYouReset: a WINDOW_UPDATE of 0 on each stream", 32)
def made_you_reset_window(edge, hold):
    return made_you(edge, hold, lambda stream: wire.frame(wire.WINDOW, 0, stream, struct.pack(">I", 0)))


@case("MadeYouReset: a window beyond its most on each stream", 32)
def made_you_reset_overflow(edge, hold):
    return made_you(edge, hold, lambda stream: wire.frame(wire.WINDOW, 0, stream, struct.pack(">I", 0x7FFFFFFF)))


@case("MadeYouReset: DATA after END_STREAM on each stream", 32)
def made_you_reset_data(edge, hold):
    end = lambda stream: wire.frame(wire.DATA, wire.END_STREAM, stream, b"{}") + wire.frame(wire.DATA, 0, stream, b"x")
    return made_you(edge, hold, end)


@case("more streams than SETTINGS allow (100), each left open", 48)
def too_many_streams(edge, hold):
    client = hold.enter_context(contextlib.closing(wire.Http2(edge.address)))
    for n in range(400):
        client.request(2 * n + 1, end=False)
    until("streams beyond the hundredth are refused", lambda: client.read(0.02) or client.gone or client.goaway is not None or len(client.resets) >= 300)
    need(edge.listener()["requests"]["at_work"] <= 101, f"{edge.listener()['requests']['at_work']} requests at work")
    return f"{len(client.resets)} refused, GOAWAY {client.goaway}, {edge.listener()['requests']['at_work']} at work"


def deaf_flood(edge, hold, piece, count, batch=1000):
    """A flood whose sender reads nothing of what it makes the edge say."""
    sock = hold.enter_context(contextlib.closing(wire.connect(edge.address, receive=4096)))
    sock.settimeout(2)
    sock.sendall(wire.PREFACE + wire.frame(wire.SETTINGS, 0, 0))
    sent, pieces = 0, piece * batch
    try:
        while sent < count:
            sock.sendall(pieces)
            sent += batch
    except TimeoutError:
        return f"held back after {sent:,}"
    except OSError:
        return f"cut after {sent:,}"
    return f"{sent:,} taken"


@case("ping flood by who reads no answer", 24)
def ping_flood(edge, hold):
    return deaf_flood(edge, hold, wire.frame(wire.PING, 0, 0, b"flooding"), 1_000_000)


@case("settings flood by who reads no answer", 24)
def settings_flood(edge, hold):
    return deaf_flood(edge, hold, wire.frame(wire.SETTINGS, 0, 0, struct.pack(">HI", 3, 100)), 1_000_000)


@case("flood of window updates", 24)
def window_flood(edge, hold):
    return deaf_flood(edge, hold, wire.frame(wire.WINDOW, 0, 0, struct.pack(">I", 1)), 1_000_000)


@case("flood of priorities, each of another stream", 24)
def priority_flood(edge, hold):
    batch = b"".join(wire.frame(wire.PRIORITY, 0, 2 * n + 1, struct.pack(">IB", 0, 1)) for n in range(1000))
    return "1,000 x " + deaf_flood(edge, hold, batch, 1_000, 20)


@case("flood of empty DATA frames on an open stream", 24)
def empty_data_flood(edge, hold):
    client = hold.enter_context(contextlib.closing(wire.Http2(edge.address)))
    client.request(1, end=False)
    sent = 0
    while sent < 1_000_000 and not client.over(1) and client.raw(wire.frame(wire.DATA, 0, 1) * 1000):
        sent += 1000
    return f"{sent:,} taken, {'cut' if client.gone else 'still open'}, GOAWAY {client.goaway}, answer {client.answers.get(1)}"
