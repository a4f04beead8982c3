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


if __name__ == "__main__":
    unittest.main()
