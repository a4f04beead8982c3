#!/usr/bin/env python3
"""The log leaves behind what nobody needs, and a log without its beginning is recovered like any other."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import TestCase, wait_until

TASKS = 240
PAYLOAD = b"x" * 40000
MIB = 1024 * 1024


class LogSize(TestCase):
    def segments(self):
        return sorted(name for name in os.listdir(self.bed.data) if name.endswith(".jql"))

    def test_segments_of_forgotten_tasks_go_and_the_rest_recovers(self):
        """10 MB of tasks that ended and were forgotten leave a log of a few 1 MiB segments; killed, the broker comes back with it."""
        settings = {"journal.segment_size": "1M", "journal.first_segment_size": "64k", "limits.finished_max": "5",
                    "journal.retention_time": "0s"}
        broker = self.bed.start_broker(settings)
        self.bed.start_worker("w", {"noop": "command = /bin/true\nstdin = none"})
        client = self.bed.client()
        ids = []
        for _ in range(TASKS):
            status, body = client.ask("submit", {"tasks": [{"handler": "noop", "payload": PAYLOAD}]})
            self.assertEqual(status, sp.OK)
            ids.append(body["first"])
        client.close()
        wait_until("all tasks have ended", lambda: self.bed.ask("server", "status")["item"]["succeeded_total"] == TASKS)
        wait_until("old segments are gone", lambda: len(self.segments()) <= 5)
        self.assertGreater(int(self.segments()[0].split(".")[0]), 0, "the first segment is still there")
        broker.kill()
        self.bed.start_broker(settings)
        self.assertEqual(self.bed.wait_for_state(str(ids[-1]), "succeeded")["state"], "succeeded")
        task = self.bed.submit("noop")
        self.assertGreater(int(task), ids[-1], "an id was given twice")
        self.bed.wait_for_state(task, "succeeded")

    def test_a_long_lived_task_is_moved_and_the_log_stays_short(self):
        """A task that waits keeps no more of the log than itself, over kill -9 in between; its payload is read back from its new place."""
        settings = {"journal.segment_size": "1M", "journal.first_segment_size": "64k", "limits.finished_max": "5",
                    "journal.retention_time": "0s"}
        broker = self.bed.start_broker(settings)
        waits = [self.bed.submit("cat", "--delay", "1h", "--key", f"k{i}", payload={"number": i}) for i in range(3)]
        self.bed.start_worker("w", {"noop": "command = /bin/true\nstdin = none"})
        client = self.bed.client()
        for part in range(4):
            for _ in range(40):
                status, _ = client.ask("submit", {"tasks": [{"handler": "noop", "payload": PAYLOAD}]})
                self.assertEqual(status, sp.OK)
            if part in (1, 2):
                broker.kill()
                broker = self.bed.start_broker(settings)
                client.close()
                client = self.bed.client()
        client.close()

        def short():
            status = self.bed.ask("server", "status")["item"]
            return status["ready"] == 0 and status["running"] == 0 and len(self.segments()) <= 5

        wait_until("the log is short", short, 30)
        self.assertGreater(int(self.segments()[0].split(".")[0]), 0, "the first segment is still there")
        broker.kill()
        self.bed.start_broker(settings)
        for i, task in enumerate(waits):
            shown = self.bed.task(task)
            self.assertEqual((shown["state"], shown["payload"]), ("scheduled", {"number": i}))
            self.assertEqual(self.bed.submit("cat", "--delay", "1h", "--key", f"k{i}", payload={"number": i}), task)

    def test_a_log_that_hardly_grows_lets_go_too(self):
        """What nobody needs goes though no segment begins for long, and though the log never rests."""
        self.bed.start_broker({"journal.segment_size": "2M", "journal.first_segment_size": "64k", "limits.finished_max": "5",
                               "journal.retention_time": "0s"})
        client = self.bed.client()

        def submit(payload):
            status, _ = client.ask("submit", {"tasks": [{"handler": "noop", "payload": payload}]})
            self.assertEqual(status, sp.OK)

        for _ in range(TASKS):
            submit(PAYLOAD)
        self.bed.do("task", "cancel", "--where", "state=ready", "--yes")

        def short():
            submit(b"")
            return len(self.segments()) <= 2

        wait_until("old segments are gone", short)
        client.close()


if __name__ == "__main__":
    unittest.main()
