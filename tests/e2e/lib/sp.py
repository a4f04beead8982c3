"""A client written from PROTOCOL.md alone: the SP transport over TCP (the REQ side), the envelope, and asking again.

SP over TCP: each side sends 00 'S' 'P' 00, its protocol number (16 bits), 00 00; then messages, each a length (64 bits,
big-endian) and its bytes. A REQ message begins with a request id of 32 bits whose top bit is set; the reply repeats it.
"""

import os
import socket
import struct
import time

from . import msgpack

REQ, REP, PUB, SUB, SURVEYOR, RESPONDENT = 0x30, 0x31, 0x20, 0x21, 0x62, 0x63
OK = 0


class Gone(Exception):
    """The connection broke, was refused, or the answer did not come in time."""


def address(url):
    host, port = url.removeprefix("tcp://").rsplit(":", 1)
    return host, int(port)


def read_exactly(stream, size):
    data = b""
    while len(data) < size:
        piece = stream.recv(size - len(data))
        if not piece:
            raise Gone("closed by the broker")
        data += piece
    return data


class Pipe:
    """One SP connection: frames out, frames in."""

    def __init__(self, url, protocol=REQ, timeout_s=60):
        try:
            self.stream = socket.create_connection(address(url), timeout_s)
            self.stream.sendall(b"\0SP\0" + struct.pack(">HH", protocol, 0))
            self.hello = read_exactly(self.stream, 8)
        except OSError as error:
            raise Gone(str(error)) from error

    def send(self, data, size=None):
        """`size`: what the length says, if not the truth."""
        self.send_raw(struct.pack(">Q", len(data) if size is None else size) + data)

    def send_raw(self, data):
        try:
            self.stream.sendall(data)
        except OSError as error:
            raise Gone(str(error)) from error

    def receive(self):
        try:
            (size,) = struct.unpack(">Q", read_exactly(self.stream, 8))
            return read_exactly(self.stream, size)
        except OSError as error:
            raise Gone(str(error)) from error

    def ask(self, frame, header=0x80000001):
        """Sends `frame` as a request; the frame of its reply."""
        self.send(struct.pack(">I", header) + frame)
        answer = self.receive()
        if struct.unpack(">I", answer[:4])[0] != header:
            raise Gone("an answer to something else")
        return answer[4:]

    def is_closed_by_peer(self, within_s=60):
        """Whether the other side ends the connection; what it says before that is thrown away."""
        self.stream.settimeout(within_s)
        try:
            while self.stream.recv(4096):
                pass
        except TimeoutError:
            return False
        except OSError:
            pass
        return True

    def close(self):
        self.stream.close()


class Client:
    """Asks, and asks again under the same id until an answer comes: what the protocol wants of every client."""

    def __init__(self, url, token=None):
        self.url, self.token = url, token
        self.sender, self.last_id, self.pipe = os.urandom(16), 0, None

    def frame(self, op, body, version=1, request_id=None):
        if request_id is None:
            self.last_id += 1
            request_id = self.last_id
        return msgpack.pack([version, op, self.sender, request_id, request_id, self.token, body])

    def send_once(self, frame, timeout_s=20):
        if self.pipe is None:
            self.pipe = Pipe(self.url, timeout_s=timeout_s)
        try:
            return msgpack.unpack(self.pipe.ask(frame))
        except Gone:
            self.close()
            raise

    def send(self, frame, within_s=60):
        """The reply [version, status, id, body] to `frame`, however often it has to be sent."""
        deadline = time.monotonic() + within_s
        while True:
            try:
                reply = self.send_once(frame)
                if reply[1] not in (11, 12):  # draining, unavailable: another time.
                    return reply
            except Gone:
                pass
            if time.monotonic() > deadline:
                raise Gone(f"no answer within {within_s} s")
            time.sleep(0.02)

    def ask(self, op, body=None, within_s=60):
        """(status, body)"""
        reply = self.send(self.frame(op, body or {}), within_s)
        return reply[1], reply[3]

    def close(self):
        if self.pipe is not None:
            self.pipe.close()
            self.pipe = None
