"""What clients without a credential may do to use up a server's memory or time.

Each attack gets a port and an event that ends it, and returns the sockets that it holds: they stay open until its
process ends."""

import gzip
import json
import select
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress

Attack = Callable[[int, threading.Event], list[socket.socket]]

# How long an attack sends, and how long it holds what it has.
SEND_S = 6
HOLD_S = 3
SMALL_WINDOW = 2048

HEADERS, SETTINGS, WINDOW_UPDATE, DATA, RESET = 1, 4, 8, 0, 3
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
PAGE = b"/docs/swagger-ui-bundle.js"

KEYS = json.dumps({"lead_id": "l", "features": {f"k{number}": 1 for number in range(90_000)}}, separators=(",", ":"))
KEYS = KEYS.encode()[: (1 << 20) - 1]
ZEROS = b'{"lead_id":"x","features":{"f1":[' + b"0," * 500_000 + b"0]}}"
EMPTY_MEMBERS = gzip.compress(b"", mtime=0) * 50_000
BOMB = gzip.compress(b" " * (1 << 20), mtime=0)
GZIP = b"content-encoding: gzip\r\n"


def connect(port: int, window: int | None = None) -> socket.socket:
    client = socket.socket()
    if window:
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    client.settimeout(5)
    client.connect(("127.0.0.1", port))
    return client


def connections(port: int, count: int, window: int | None = None) -> list[socket.socket]:
    found = []
    with suppress(OSError):
        for _ in range(count):
            found.append(connect(port, window))
    return found


def push(clients: list[socket.socket], content: bytes, ended: threading.Event) -> None:
    """Sends this on each as far as it is taken."""
    until = time.monotonic() + SEND_S
    left = {client: memoryview(content) for client in clients}
    for client in clients:
        client.setblocking(False)
    while left and time.monotonic() < until and not ended.is_set():
        for client in list(left):
            try:
                left[client] = left[client][client.send(left[client][: 1 << 16]) :]
                if not left[client]:
                    del left[client]
            except BlockingIOError:
                pass
            except OSError:
                del left[client]
        time.sleep(0.001)


def pushed(count: int, content: bytes, window: int | None = None) -> Attack:
    def attack(port: int, ended: threading.Event) -> list[socket.socket]:
        clients = connections(port, count, window)
        push(clients, content, ended)
        ended.wait(HOLD_S)
        return clients

    return attack


def request(body: bytes, path: bytes = b"/score", headers: bytes = b"") -> bytes:
    head = b"POST %s HTTP/1.1\r\nhost: q\r\n%scontent-length: %d\r\n\r\n"
    return head % (path, headers, len(body)) + body


def asked(count: int, content: bytes) -> Attack:
    """So many clients send this request again and again, each as soon as the one before is answered."""

    def one(port: int, ended: threading.Event) -> None:
        while not ended.is_set():
            with suppress(OSError), connect(port) as client:
                client.settimeout(20)
                while not ended.is_set():
                    client.sendall(content)
                    got = b""
                    while b"\r\n\r\n" not in got:
                        got += receive(client)
                    head, _, body = got.partition(b"\r\n\r\n")
                    named = head.lower().partition(b"content-length: ")[2]
                    rest = int(named.split(b"\r")[0] or 0) - len(body)
                    while rest > 0:
                        rest -= len(receive(client))
            time.sleep(0.01)

    def attack(port: int, ended: threading.Event) -> list[socket.socket]:
        for number in range(count):
            threading.Thread(target=one, args=(port, ended), name=f"asks-{number}", daemon=True).start()
        ended.wait(SEND_S + HOLD_S)
        return []

    return attack


def receive(client: socket.socket) -> bytes:
    more = client.recv(1 << 16)
    if not more:
        raise ConnectionResetError
    return more


# HTTP/2, as far as an attack needs it.


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + stream.to_bytes(4, "big") + payload


def head(path: bytes, method: bytes) -> bytes:
    """A header block without a dynamic table."""
    return method + b"\x86\x04" + bytes([len(path)]) + path + b"\x01\x01a"


def unread_streams(path: bytes) -> Attack:
    """60 connections of 128 requests each, whose windows are 0: no answer can be sent."""

    def attack(port: int, ended: threading.Event) -> list[socket.socket]:
        clients = connections(port, 60)
        settings = frame(SETTINGS, 0, 0, b"\0\4" + bytes(4))
        asks = b"".join(frame(HEADERS, 5, 2 * number + 1, head(path, b"\x82")) for number in range(128))
        push(clients, PREFACE + settings + asks, ended)
        ended.wait(HOLD_S)
        return clients

    return attack


def unfinished_streams(port: int, ended: threading.Event) -> list[socket.socket]:
    """Four connections of 128 bodies each, each but its last byte, as fast as the windows allow."""
    clients = connections(port, 4)
    threads = [threading.Thread(target=fill, args=(client, ended), name="fills") for client in clients]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    ended.wait(HOLD_S)
    return clients


def fill(client: socket.socket, ended: threading.Event) -> None:
    streams = [2 * number + 1 for number in range(128)]
    out = (
        PREFACE
        + frame(SETTINGS, 0, 0)
        + b"".join(frame(HEADERS, 4, stream, head(b"/score", b"\x83")) for stream in streams)
    )
    windows, left, buffer = {0: 65_535} | dict.fromkeys(streams, 65_535), dict.fromkeys(streams, (1 << 20) - 4097), b""
    until, initial = time.monotonic() + SEND_S, 65_535
    client.setblocking(False)
    while time.monotonic() < until and any(left.values()) and not ended.is_set():
        for stream in streams:
            size = min(left[stream], windows[stream], windows[0], 16_384)
            if size > 0 and len(out) < 1 << 20:
                out += frame(DATA, 0, stream, b"x" * size)
                left[stream], windows[stream], windows[0] = (
                    left[stream] - size,
                    windows[stream] - size,
                    windows[0] - size,
                )
        readable, writable, _ = select.select([client], [client] if out else [], [], 0.2)
        try:
            if writable:
                out = out[client.send(out) :]
            if readable:
                buffer += receive(client)
        except BlockingIOError:
            continue
        except OSError:
            return
        while len(buffer) >= 9 and len(buffer) >= 9 + int.from_bytes(buffer[:3], "big"):
            size, kind, stream = int.from_bytes(buffer[:3], "big"), buffer[3], int.from_bytes(buffer[5:9], "big")
            payload, buffer = buffer[9 : 9 + size], buffer[9 + size :]
            if kind == WINDOW_UPDATE:
                windows[stream] = windows.get(stream, 0) + int.from_bytes(payload, "big")
            elif kind in (HEADERS, RESET) and stream in left:
                left[stream] = 0
            elif kind == SETTINGS:
                for place in range(0, len(payload), 6):
                    if payload[place : place + 2] == b"\0\4":
                        new = int.from_bytes(payload[place + 2 : place + 6], "big")
                        windows |= {number: windows[number] + new - initial for number in streams}
                        initial = new


LEADS = [{"lead_id": f"b{number}", "features": {"f1": number / 7, "f2": 3.5, "f5": 7.0}} for number in range(10_000)]
BATCH = json.dumps({"leads": LEADS}).encode()
UNFINISHED_BATCH = b'{"leads":[' + b",".join([json.dumps(LEADS[1]).encode()] * 300_000)

ATTACKS: dict[str, Attack] = {
    "600 bodies without an end": pushed(600, request(b"x" * 1_000_000)[:-1]),
    "4 h2 connections of 128 bodies": unfinished_streams,
    "300 bodies in chunks": pushed(
        300,
        b"POST /score HTTP/1.1\r\nhost: q\r\ntransfer-encoding: chunked\r\n\r\n"
        + (b"2000\r\n" + b"y" * 8192 + b"\r\n") * 120,
    ),
    "3000 heads without an end": pushed(3000, b"GET /healthz HTTP/1.1\r\nhost: q\r\nx: " + b"h" * 15_000),
    "9000 idle connections": pushed(9000, b""),
    "400 slow readers of a page": pushed(400, b"GET %s HTTP/1.1\r\nhost: q\r\n\r\n" % PAGE * 20, SMALL_WINDOW),
    "60 h2 connections that read no page": unread_streams(PAGE),
    "60 h2 connections that read no metrics": unread_streams(b"/metrics"),
    "8 slow readers of batches": pushed(8, request(BATCH, b"/score/batch"), SMALL_WINDOW),
    "8 batches of 32 MB": pushed(
        8, b"POST /score/batch HTTP/1.1\r\nhost: q\r\ncontent-length: 33000000\r\n\r\n" + UNFINISHED_BATCH
    ),
    "8 clients with leads of 90000 keys": asked(8, request(KEYS)),
    "8 clients with leads of 500000 zeros": asked(8, request(ZEROS)),
    "8 clients with 50000 empty members of gzip": asked(8, request(EMPTY_MEMBERS, headers=GZIP)),
    "8 clients with bombs of gzip": asked(8, request(BOMB, headers=GZIP)),
    "4 clients with batches of long leads": asked(
        4, request(b'{"leads":[' + b",".join([KEYS] * 8) + b"]}", b"/score/batch")
    ),
}
