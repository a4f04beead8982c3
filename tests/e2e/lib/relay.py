"""A wire between a client and a server that breaks where a test wants it to."""

import socket
import threading


class Relay:
    """Passes bytes on to `port` and back. After so many bytes, of both directions and all connections, the one that carries the next
    breaks; after so many more the next."""

    def __init__(self, port, breaks, host="127.0.0.1"):
        self.target = (host, port)
        self.breaks = list(breaks)
        self.broken = 0
        self.passed = 0  # bytes
        self.lock = threading.Lock()
        self.listener = socket.create_server((host, 0))
        self.port = self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                near, _ = self.listener.accept()
                far = socket.create_connection(self.target)
            except OSError:
                return  # the end
            for source, target in ((near, far), (far, near)):
                threading.Thread(target=self.pump, args=(source, target), daemon=True).start()

    def passing(self, count):
        """How many of the next `count` bytes."""
        with self.lock:
            self.passed += count
            if not self.breaks or count <= self.breaks[0]:
                self.breaks[:1] = [left - count for left in self.breaks[:1]]
                return count
            self.broken += 1
            return self.breaks.pop(0)

    def pump(self, source, target):
        try:
            while data := source.recv(1 << 16):
                passing = self.passing(len(data))
                target.sendall(data[:passing])
                if passing < len(data):
                    break
        except OSError:
            pass  # the other direction has broken
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self):
        self.listener.close()
