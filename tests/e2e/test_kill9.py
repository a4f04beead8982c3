#!/usr/bin/env python3
"""kill -9 of the broker and of workers under load: nothing that was acknowledged is lost, nothing ends twice."""

import os
import random
import sys
import time
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase
from lib.load import BATCH, HANDLER, LENIENT, Load

ROUNDS = 4
CLIENTS = 2


class KillUnderLoad(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker(LENIENT)
        self.workers = [self.bed.start_worker(f"w{i}", HANDLER) for i in range(2)]
        self.load = Load(self.bed, CLIENTS)

    def restart(self, process):
        process.kill()
        process.start()

    def stop_and_check(self):
        self.load.stop()
        self.assertGreater(self.load.check(), 0)

    def test_broker(self):
        """A broker killed again and again under load loses nothing that it acknowledged."""
        self.load.start()
        for _ in range(ROUNDS):
            self.load.more(10 * BATCH)
            self.restart(self.bed.broker)
        self.load.more(BATCH)
        self.stop_and_check()
        self.assertEqual(self.bed.ask("server", "status")["item"]["epoch"], ROUNDS + 1)

    def test_workers(self):
        """A worker killed with tasks in its hands: they run again elsewhere, at once if it comes back, and end once."""
        self.load.start()
        for round_number in range(ROUNDS):
            self.load.more(10 * BATCH)
            self.restart(self.workers[round_number % 2])
        self.stop_and_check()

    def test_dead_worker(self):
        """A worker that never comes back loses its tasks after `liveness`, not before, and another ends them."""
        doomed = self.bed.start_worker("w2", {"slow": "command = /bin/sleep 30\nstdin = none"})
        task = self.bed.submit("slow")
        self.bed.wait_for_state(task, "running")
        begin = time.monotonic()
        doomed.kill()
        self.bed.start_worker("w3", {"slow": "command = /bin/true\nstdin = none"})
        self.assertEqual(self.bed.wait_for_state(task, "succeeded")["losses"] + self.bed.task(task)["crashes"], 1)
        self.assertGreater(time.monotonic() - begin, 1.5)
        doomed.start()  # So that it tidies up.
        self.bed.wait_for_worker("w2")

    def test_both(self):
        """Broker and workers killed in disorder, several rounds."""
        chance = random.Random(20)
        self.load.start()
        for _ in range(ROUNDS):
            self.load.more(5 * BATCH)
            victims = [self.bed.broker, *self.workers]
            chance.shuffle(victims)
            for victim in victims[: chance.randint(1, 3)]:
                self.restart(victim)
        self.stop_and_check()


if __name__ == "__main__":
    unittest.main()
