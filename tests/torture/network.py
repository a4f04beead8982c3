"""Two network namespaces, and a wire between them that can be cut either way, lose packets and hold them back.

The namespaces have no names: they go when the last process in them goes. The wire is a pair of tun devices whose packets are
carried over by a thread of ours, so that it needs nothing of the kernel but /dev/net/tun (many a kernel has no netem).
"""

import contextlib
import ctypes
import fcntl
import heapq
import os
import random
import select
import shutil
import struct
import subprocess
import threading
import time

from rounds import Skip

CLONE_NEWNET, TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x40000000, 0x400454CA, 0x0001, 0x1000
NEAR, FAR = "10.77.0.1", "10.77.0.2"
PACKET_MAX, HELD_MAX = 65536, 4096

libc = ctypes.CDLL(None, use_errno=True)


def must(code, what):
    if code != 0:
        raise OSError(ctypes.get_errno(), "%s: %s" % (what, os.strerror(ctypes.get_errno())))


def own_namespace():
    return os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)


def ip(*words):
    done = subprocess.run(["ip", *words], stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError("ip %s: %s" % (" ".join(words), done.stderr.strip()))


class Namespace:
    """A network of its own; what a thread starts while it is inside() is in it, too."""

    def __init__(self):
        home = own_namespace()
        try:
            must(libc.unshare(CLONE_NEWNET), "unshare")
            self.fd = own_namespace()
        finally:
            must(libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    @contextlib.contextmanager
    def inside(self):
        home = own_namespace()
        must(libc.setns(self.fd, CLONE_NEWNET), "setns")
        try:
            yield
        finally:
            must(libc.setns(home, CLONE_NEWNET), "setns")
            os.close(home)

    def plug(self, name, address, peer):
        """A tun device in it, up; the file descriptor behind it."""
        with self.inside():
            fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC)
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", name.encode(), IFF_TUN | IFF_NO_PI))
            ip("link", "set", "lo", "up")
            ip("addr", "add", address, "peer", peer, "dev", name)
            ip("link", "set", name, "up")
        return fd


class Direction:
    """What happens to packets that go one way."""

    def __init__(self):
        self.cut, self.loss, self.delay_s, self.jitter_s = False, 0.0, 0.0, 0.0

    def heal(self):
        self.__init__()


class Wire(threading.Thread):
    def __init__(self):
        super().__init__(daemon=True)
        if not shutil.which("ip"):
            raise Skip("no iproute2")
        try:
            self.near, self.far = Namespace(), Namespace()
            self.ends = (self.near.plug("near0", NEAR, FAR), self.far.plug("far0", FAR, NEAR))
        except OSError as error:
            raise Skip("no network namespaces or tun devices: %s" % error) from error
        self.to_far, self.to_near = Direction(), Direction()
        self.chance, self.held, self.number, self.dropped = random.Random(5), [], 0, 0
        self.ending = threading.Event()

    def run(self):
        while not self.ending.is_set():
            wait_s = 0.2 if not self.held else min(0.2, max(0.0, self.held[0][0] - time.monotonic()))
            ready, _, _ = select.select(self.ends, [], [], wait_s)
            for end in ready:
                self.read(end)
            while self.held and self.held[0][0] <= time.monotonic():
                _, _, end, packet = heapq.heappop(self.held)
                self.write(end, packet)

    def read(self, end):
        try:
            packet = os.read(end, PACKET_MAX)
        except BlockingIOError:
            return
        way, other = (self.to_far, self.ends[1]) if end == self.ends[0] else (self.to_near, self.ends[0])
        if way.cut or self.chance.random() < way.loss or len(self.held) >= HELD_MAX:
            self.dropped += 1
            return
        self.number += 1
        due = time.monotonic() + way.delay_s + self.chance.random() * way.jitter_s
        heapq.heappush(self.held, (due, self.number, other, packet))

    def write(self, end, packet):
        try:
            os.write(end, packet)
        except OSError:
            self.dropped += 1  # The other side is down, or its queue is full: lost, as on any wire.

    def carrier(self, up):
        """Pulls the plug on the far side, or puts it in: unlike a cut further away, the far side is told."""
        with self.far.inside():
            ip("link", "set", "far0", "up" if up else "down")

    def heal(self):
        self.to_far.heal()
        self.to_near.heal()

    def end(self):
        self.ending.set()
        self.join()
        for fd in (*self.ends, self.near.fd, self.far.fd):
            os.close(fd)
