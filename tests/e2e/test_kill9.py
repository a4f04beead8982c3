#!/usr/bin/env python3
"""kill -9 of the broker and of workers under load: nothing that was acknowledged is lost, nothing ends twice."""

import os
import random
import sys
import threading
import time
import unittest
from collections import Counter

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import START_S, TestCase, wait_until

ROUNDS = 4
BATCH = 5
CLIENTS = 2
HANDLER = {"noop": "command = /bin/true\nstdin = none"}


class Submitter(threading.Thread):
    """Submits batches until told to stop, and keeps a record of its own: what was acknowledged, under which id."""

    def __init__(self, bed, number):
        super().__init__(daemon=True)
        self.client, self.number = bed.client(), number
        self.acknowledged = {}  # id -> payload
        self.sent, self.fault = 0, None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                self.submit()
                self.stopping.wait(0.02)
        except (sp.Gone, AssertionError, KeyError) as error:
            self.fault = error
        self.client.close()

    def submit(self):
        payloads = [f"{self.number}-{self.sent + i}".encode() for i in range(BATCH)]
        self.sent += BATCH
        status, body = self.client.ask("submit", {"tasks": [{"handler": "noop", "payload": p} for p in payloads]})
        assert status == sp.OK and not body.get("exceptions"), (status, body)
        for i, payload in enumerate(payloads):
            task_id = body["first"] + i
            assert task_id not in self.acknowledged, f"id {task_id} was given twice"
            self.acknowledged[task_id] = payload


class KillUnderLoad(TestCase):
    def setUp(self):
        super().setUp()
        # Workers are killed on purpose, so no task may be taken for a poison one.
        self.bed.start_broker({"retry.crash_limit": "255", "retry.lost_limit": "255", "liveness.liveness": "2s"})
        self.workers = [self.bed.start_worker(f"w{i}", HANDLER) for i in range(2)]
        self.submitters = [Submitter(self.bed, i) for i in range(CLIENTS)]

    def start_load(self):
        for submitter in self.submitters:
            submitter.start()

    def acknowledged(self):
        return {task_id: payload for each in self.submitters for task_id, payload in list(each.acknowledged.items())}

    def more_acknowledged(self, count):
        """Waits until the load goes on: so many more tasks were acknowledged."""
        goal = len(self.acknowledged()) + count
        wait_until("submits are acknowledged", lambda: self.fault() or len(self.acknowledged()) >= goal)
        self.assertIsNone(self.fault())

    def fault(self):
        return next((each.fault for each in self.submitters if each.fault), None)

    def stop_load(self):
        for submitter in self.submitters:
            submitter.stopping.set()
        for submitter in self.submitters:
            submitter.join(START_S)
            self.assertFalse(submitter.is_alive())
        self.assertIsNone(self.fault())

    def restart(self, process):
        process.kill()
        process.start()

    def check(self):
        """The bookkeeping of the clients against the broker's word and against its journal."""
        acknowledged = self.acknowledged()
        wait_until("nothing is left to do", lambda: self.bed.ask("server", "status")["item"]["tasks_live"] == 0, 90)
        tasks = {int(task["id"]): task for task in self.bed.ask("task", "ls", "--limit", "0")["items"]}
        self.assertEqual(set(acknowledged) - set(tasks), set(), "acknowledged and gone")
        self.assertEqual({task["state"] for task in tasks.values()}, {"succeeded"})
        # Each batch was acknowledged in the end, so a request sent twice must not have made a second batch.
        self.assertEqual(set(tasks) - set(acknowledged), set(), "made twice")

        records = self.bed.journal()
        ended = Counter(int(record["task"]) for record in records if record["type"] == "task_ended")
        self.assertEqual(ended, Counter(acknowledged.keys()), "every outcome is accepted exactly once")
        self.assertEqual(self.bed.run_jqctl("journal", "verify", self.bed.data)[0], 0)
        self.check_payloads(acknowledged)

    def check_payloads(self, acknowledged):
        """A task under an id is the task that was acknowledged under it."""
        client = self.bed.client()
        for task_id in random.Random(1).sample(sorted(acknowledged), 20):
            status, body = client.ask("task.show", {"id": task_id})
            self.assertEqual(status, sp.OK, body)
            self.assertIn(acknowledged[task_id], body["tasks"][0].values(), body)

    def test_broker(self):
        """A broker killed again and again under load loses nothing that it acknowledged."""
        self.start_load()
        for _ in range(ROUNDS):
            self.more_acknowledged(10 * BATCH)
            self.restart(self.bed.broker)
        self.more_acknowledged(BATCH)
        self.stop_load()
        self.check()
        self.assertEqual(self.bed.ask("server", "status")["item"]["epoch"], ROUNDS + 1)

    def test_workers(self):
        """A worker killed with tasks in its hands: they run again elsewhere, at once if it comes back, and end once."""
        self.start_load()
        for round_number in range(ROUNDS):
            self.more_acknowledged(10 * BATCH)
            self.restart(self.workers[round_number % 2])
        self.stop_load()
        self.check()

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
        self.start_load()
        for _ in range(ROUNDS):
            self.more_acknowledged(5 * BATCH)
            victims = [self.bed.broker, *self.workers]
            chance.shuffle(victims)
            for victim in victims[: chance.randint(1, 3)]:
                self.restart(victim)
        self.stop_load()
        self.check()


if __name__ == "__main__":
    unittest.main()
