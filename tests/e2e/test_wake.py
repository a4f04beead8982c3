#!/usr/bin/env python3
"""A worker that is started by a socket, sleeps when there is nothing to do, and is woken by the broker: scale to zero."""

import os
import shutil
import socket
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until

ACTIVATE = shutil.which("systemd-socket-activate")
NOOP = {"noop": "command = /bin/true\nstdin = none"}


@unittest.skipUnless(ACTIVATE, "systemd-socket-activate is not installed")
class Wake(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.bell = self.bed.path("bell.sock")

    def activated(self, settings=None):
        """What a service manager does of a .socket unit: it listens, and starts the worker when somebody connects."""
        worker = self.bed.new_worker("w", NOOP, {"worker.idle_exit": "200ms", **(settings or {})})
        worker.command = [ACTIVATE, "-l", self.bell, *worker.command]
        if os.path.exists(self.bell):
            os.unlink(self.bell)
        before = os.path.exists(worker.log_path) and worker.log().count("Listening on") or 0
        worker.start()
        wait_until("the socket is there", lambda: worker.log().count("Listening on") > before)
        return worker

    def ring(self):
        with socket.socket(socket.AF_UNIX) as bell:
            bell.connect(self.bell)

    def falls_asleep(self, worker):
        self.assertEqual(worker.wait(), 0)
        row = self.bed.worker("w")
        self.assertEqual((row["asleep"], row["alive"]), (True, False))
        self.assertEqual(self.bed.ask("worker", "show", "w")["item"]["doorbell"], "ipc://" + self.bell)

    def test_scale_to_zero(self):
        """Rung by hand once, the worker makes itself known and goes; from then on each task starts it, over kill -9 of the broker too."""
        worker = self.activated()
        self.ring()
        self.falls_asleep(worker)
        worker = self.activated()
        task = self.bed.submit("noop")
        self.assertEqual(self.bed.wait_for_state(task, "succeeded")["losses"], 0)
        self.falls_asleep(worker)
        self.bed.broker.kill()
        worker = self.activated()
        self.bed.start_broker()
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")
        self.falls_asleep(worker)

    def test_ring_while_awake(self):
        """Who rings while the worker is awake is hung up on, and the worker works on."""
        worker = self.activated({"worker.idle_exit": "0s"})
        self.ring()
        self.bed.wait_for_worker("w")
        with socket.socket(socket.AF_UNIX) as bell:
            bell.settimeout(30)
            bell.connect(self.bell)
            self.assertEqual(bell.recv(1), b"")
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")
        self.assertEqual(worker.stop(), 0)

    def test_sleep_is_explained(self):
        """`task explain` names the worker that sleeps; `worker ls` shows it."""
        worker = self.activated()
        self.ring()
        self.falls_asleep(worker)
        os.unlink(self.bell)  # Nobody listens: the broker rings in vain, and says so.
        task = self.bed.submit("noop")
        wait_until("a ring in vain", lambda: "doorbell not reached" in self.bed.broker.log())
        code, out, _ = self.bed.run_jqctl("task", "explain", task)
        self.assertEqual(code, 0)
        self.assertIn("w sleeps; its doorbell was rung", out)
        code, out, _ = self.bed.run_jqctl("worker", "ls")
        self.assertRegex(out, r"ASLEEP[^\n]*\nw +no +yes")


if __name__ == "__main__":
    unittest.main()
