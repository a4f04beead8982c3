#!/usr/bin/env python3
"""Full queues over real sockets: the three policies, what jqctl says meanwhile, and what the metrics tell."""

import os
import sys
import threading
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import TestCase, wait_until

NOOP = {"noop": "command = /bin/true\nstdin = none"}
TEMPORARY = 75


class Backpressure(TestCase):
    def start(self, **settings):
        self.bed.start_broker({f"queue.q.{key}": value for key, value in settings.items()})

    def submit(self, *words):
        return self.bed.run_jqctl("task", "submit", "noop", "--queue", "q", *words)

    def queue(self):
        return self.bed.ask("queue", "show", "q")["item"]

    def test_reject_names_the_mark(self):
        """A submit to a full queue is refused with the mark and a time; the queue says that it is full."""
        self.start(bytes_max="2k")
        client = self.bed.client()
        task = {"handler": "noop", "queue": "q", "payload": b"x" * 1500}
        self.assertEqual(client.ask("submit", {"tasks": [task, task]})[0], sp.OK)
        status, body = client.ask("submit", {"tasks": [task]})
        self.assertEqual(status, sp.OK)
        refused = str(body["exceptions"][0])
        self.assertIn("bytes_max", refused)
        shown = self.queue()
        self.assertTrue(shown["full"])
        self.assertEqual((shown["policy"], shown["bytes_max"]), ("reject", 2048))
        self.assertGreater(shown["bytes"], 3000)

    def test_shed_is_visible(self):
        """The lowest gives way to a higher one, and shows as expired, shed; one of the same priority is refused with 75."""
        self.start(depth_max="1", policy="shed_lowest")
        low = self.bed.submit("noop", "--queue", "q", "--priority", "1")
        high = self.bed.submit("noop", "--queue", "q", "--priority", "8")
        task = self.bed.task(low)
        self.assertEqual((task["state"], task["outcome"]), ("expired", "shed"))
        self.assertEqual(self.bed.task(high)["state"], "ready")
        code, _, _ = self.submit("--priority", "8", "--timeout", "1s")
        self.assertEqual(code, TEMPORARY)
        self.assertEqual(self.queue()["shed_total"], 1)

    def test_block_holds_the_answer_back(self):
        """A submit waits in the broker until a worker has made room, over a resend too; the broker counts it."""
        self.start(depth_max="1", policy="block")
        self.bed.submit("noop", "--queue", "q")
        done = []
        thread = threading.Thread(target=lambda: done.append(self.submit("--timeout", "60s")))
        thread.start()
        wait_until("the submit is withheld", lambda: self.queue()["withheld"] == 1)
        self.assertEqual(done, [])
        self.bed.start_worker("w", NOOP)
        thread.join(60)
        code, _, err = done[0]
        self.assertEqual(code, 0, err)
        self.assertNotIn("busy", err)
        wait_until("both tasks end", lambda: self.queue()["finished"] == 2)
        text = self.metrics()
        self.assertIn("jqmesh_submits_withheld_total 1", text)
        self.assertIn('jqmesh_queue_full{queue="q"} 0', text)

    def test_block_ends_with_the_clients_time(self):
        """When the client's time is over it is told busy, and nothing of its submit is stored."""
        self.start(depth_max="1", policy="block")
        self.bed.submit("noop", "--queue", "q")
        code, _, _ = self.submit("--timeout", "1s")
        self.assertEqual(code, TEMPORARY)
        shown = self.queue()
        self.assertEqual((shown["ready"], shown["withheld"]), (1, 0))

    def metrics(self):
        address = self.bed.broker_settings()["broker.listen_http"]
        with urllib.request.urlopen(f"http://{address}/metrics", timeout=60) as reply:
            return reply.read().decode()


if __name__ == "__main__":
    unittest.main()
