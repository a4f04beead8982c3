#!/usr/bin/env python3
"""A backup of a running broker is one moment of it, whole, and a broker starts with it."""

import json
import os
import sys
import threading
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import Bed, START_S, TestCase, wait_until

BATCH = 20
SEEN = 200
PAYLOAD = 2000  # Bytes of padding: several segments of 1 MiB.


class Submitter(threading.Thread):
    """Submits batches until told to stop, and keeps a record of its own, in order: what was sent, what was acknowledged."""

    def __init__(self, bed, number):
        super().__init__(daemon=True)
        self.client, self.number = bed.client(), number
        self.acknowledged = []  # ids, in the order of their submits
        self.sent, self.fault = 0, None
        self.stopping = threading.Event()

    def run(self):
        try:
            while not self.stopping.is_set():
                tasks = [{"handler": "noop", "payload": self.payload(self.sent + i)} for i in range(BATCH)]
                self.sent += BATCH
                status, body = self.client.ask("submit", {"tasks": tasks})
                assert status == sp.OK and not body.get("exceptions"), (status, body)
                self.acknowledged += range(body["first"], body["first"] + BATCH)
        except (sp.Gone, AssertionError, KeyError) as error:
            self.fault = error
        self.client.close()

    def payload(self, number):
        return f"{self.number}-{number} ".encode().ljust(PAYLOAD, b".")


class Backup(TestCase):
    settings = {"journal.segment_size": "1M", "journal.first_segment_size": "64k"}

    def setUp(self):
        super().setUp()
        self.bed.start_broker(self.settings)

    def acknowledged(self, submitters, count):
        wait_until("submits are acknowledged",
                   lambda: any(each.fault for each in submitters) or all(len(each.acknowledged) >= count for each in submitters))
        self.assertEqual([each.fault for each in submitters], [None] * len(submitters))

    def stop(self, submitters):
        for each in submitters:
            each.stopping.set()
        for each in submitters:
            each.join(START_S)
            self.assertIsNone(each.fault)

    def restored(self, folder):
        """A broker of its own with the copy as its data."""
        bed = Bed()
        self.addCleanup(bed.end)
        bed.data = folder
        bed.start_broker(self.settings)
        return bed

    def test_under_load(self):
        """What was acknowledged before the backup is in it; of each client's submits a whole beginning; outcomes as they were then."""
        worker = self.bed.start_worker("w", {"noop": "command = /bin/true\nstdin = none"})
        submitters = [Submitter(self.bed, i) for i in range(2)]
        for each in submitters:
            each.start()
        self.acknowledged(submitters, SEEN)
        before = [len(each.acknowledged) for each in submitters]
        folder = self.bed.path("backup")
        said = self.bed.ask("server", "backup", folder)["item"]
        after = [each.sent for each in submitters]
        self.acknowledged(submitters, max(before) + BATCH)
        self.stop(submitters)
        worker.end()

        self.assertFalse(os.path.exists(folder + ".partial"))
        self.assertGreater(said["segments"], 1)
        with open(os.path.join(folder, "backup.json"), encoding="utf-8") as file:
            self.assertEqual(json.load(file)["digest"], said["digest"])
        state = self.bed.ask("journal", "state", folder)["item"]
        self.assertEqual(state["digest"], said["digest"])
        self.assertEqual(self.bed.run_jqctl("journal", "verify", folder)[0], 0)

        bed = self.restored(folder)
        tasks = {int(task["id"]): task["state"] for task in bed.ask("task", "ls", "--limit", "0")["items"]}
        client = bed.client()
        for each, least, most in zip(submitters, before, after):
            mine = [task for task in each.acknowledged if task in tasks]
            self.assertEqual(mine, each.acknowledged[: len(mine)], "not a beginning")
            self.assertTrue(least <= len(mine) <= most, (least, len(mine), most))
            for place in (0, len(mine) - 1):
                status, body = client.ask("task.show", {"id": mine[place]})
                self.assertEqual((status, body["tasks"][0]["payload"]), (sp.OK, each.payload(place)))
        self.assertEqual(set(tasks) - {task for each in submitters for task in each.acknowledged}, set())
        self.assertEqual(state["tasks_finished"], list(tasks.values()).count("succeeded"))
        self.assertGreater(bed.ask("server", "status")["item"]["epoch"], 1000, "tokens of the original may come again")

    def test_blobs(self):
        """Files of tasks are in it, as the broker keeps them."""
        self.bed.submit("noop", "--input", f"a.txt={self.bed.write('a.txt', 'abc' * 50000)}", "--input", f"b={self.bed.write('b', '')}")
        folder = self.bed.path("backup")
        said = self.bed.ask("server", "backup", folder)["item"]
        self.assertEqual((said["blobs"], said["blob_bytes"]), (2, 150000))
        bed = self.restored(folder)
        blobs = bed.ask("blob", "ls")["items"]
        self.assertEqual(sorted((blob["size"], blob["refs"]) for blob in blobs), [(0, 1), (150000, 1)])
        for blob in blobs:
            bed.do("blob", "get", blob["hash"], bed.path(blob["hash"]))
        self.assertEqual(sorted(os.path.getsize(bed.path(blob["hash"])) for blob in blobs), [0, 150000])

    def test_never_half(self):
        """A backup that is cut off leaves nothing under the final name, and the next one begins anew; a folder that is there is left alone."""
        for _ in range(3):
            self.bed.submit("noop")
        folder = self.bed.path("backup")
        os.makedirs(folder + ".partial")
        with open(os.path.join(folder + ".partial", "00000000000000000008.jql"), "wb") as file:
            file.write(b"cut off")
        self.bed.do("server", "backup", folder)
        self.assertEqual(self.bed.ask("journal", "state", folder)["item"]["ready"], 3)
        self.assertEqual(self.bed.run_jqctl("server", "backup", folder)[0], 73)
        self.bed.broker.stop()
        other = self.bed.path("other")
        self.assertNotEqual(self.bed.run_jqctl("server", "backup", other, "--timeout", "100ms")[0], 0)
        self.assertFalse(os.path.exists(other))


if __name__ == "__main__":
    unittest.main()
