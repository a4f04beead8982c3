"""Crowds that say nothing, and peers that ask and do not read."""

import resource
import socket
import struct
import time

from leaks import open_fds
from lib import sp
from lib.bed import wait_until
from rounds import Round

IDLE_COUNT, DEAF_COUNT, SLOW_COUNT, SUBSCRIBERS = 5000, 8, 4, 4


def idle(_seconds, _chance, recoveries):
    """Thousands of connections that say nothing: the others are served, and when they leave nothing stays."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    count = min(IDLE_COUNT, hard - 500)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, count + 400), hard))
    try:
        with Round(recoveries) as place:
            place.load.start()
            place.load.more(20)
            before, crowd = open_fds(place.bed.broker.pid), []
            for _ in range(count):
                crowd.append(socket.create_connection((place.bed.host, place.bed.request_port), 10))
            begun = time.monotonic()
            place.load.more(50)
            took = time.monotonic() - begun
            with place.recoveries.timed():
                for connection in crowd:
                    connection.close()
                wait_until("their descriptors are gone", lambda: open_fds(place.bed.broker.pid) <= before + 20)
            told = "%d idle connections, 50 submits beside them in %.2f s" % (count, took)
            return "%s, %d tasks ended once" % (told, place.finish())
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Deaf:
    """Asks without end and reads `piece` bytes after each request, none by default; dials again when it is shut out."""

    def __init__(self, bed, piece=0):
        self.bed, self.words, self.piece = bed, bed.client(), piece
        self.pipe, self.number, self.read = None, 0, 0

    def ask(self, count):
        """How many of `count` requests went out."""
        for sent in range(count):
            self.number += 1
            try:
                if self.pipe is None:
                    self.pipe = sp.Pipe(self.bed.request, timeout_s=1)
                self.pipe.send(struct.pack(">I", 0x80000000 + self.number) + self.words.frame("queue.ls", {}))
                if self.piece:
                    self.read += len(self.pipe.stream.recv(self.piece))
            except (sp.Gone, OSError):
                self.close()
                return sent
        return count

    def close(self):
        if self.pipe is not None:
            self.pipe.close()
        self.pipe = None


def slow(seconds, _chance, recoveries):
    """Clients that ask and never read, others that read a few bytes now and then, and subscribers that do not read: they
    cost only themselves."""
    with Round(recoveries) as place:
        peers = [Deaf(place.bed) for _ in range(DEAF_COUNT)] + [Deaf(place.bed, 7) for _ in range(SLOW_COUNT)]
        asleep = [sp.Pipe(place.bed.notice, sp.SUB) for _ in range(SUBSCRIBERS)]
        place.load.start()
        place.load.more(20)
        sent, end = 0, time.monotonic() + seconds
        while time.monotonic() < end:
            sent += sum(peer.ask(50) for peer in peers)
            place.load.more(1)
        before = open_fds(place.bed.broker.pid) - len(asleep)
        with place.recoveries.timed():
            for peer in (*peers, *asleep):
                peer.close()
            wait_until("their descriptors are gone", lambda: open_fds(place.bed.broker.pid) <= before)
        read = sum(peer.read for peer in peers)
        return "%d requests, %d bytes read of their answers, %d tasks ended once" % (sent, read, place.finish())
