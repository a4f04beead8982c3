#!/usr/bin/env python3
"""A byte of a stored task flips on the disk: the task is dead with that cause, the others run, the operator is told."""

import glob
import os
import sys
import unittest
import urllib.request

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase

MARK = "quite-an-unmistakable-payload"


class Damaged(TestCase):
    def flip(self, mark):
        """One bit of the last copy of these bytes in the journal."""
        for path in sorted(glob.glob(os.path.join(self.bed.data, "*.jql")), reverse=True):
            with open(path, "r+b") as file:
                at = file.read().rfind(mark.encode())
                if at >= 0:
                    file.seek(at)
                    file.write(bytes([mark.encode()[0] ^ 1]))
                    return
        self.fail("the payload is not in the journal")

    def test_flipped_byte(self):
        """What was stored is checked when it is read back, not only when the log is recovered."""
        self.bed.start_broker()
        damaged = self.bed.submit("noop", payload={"x": MARK})
        whole = self.bed.submit("noop", payload={"x": "whole"})
        self.bed.broker.kill()  # What the new process hands out it must read from the disk.
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.flip(MARK)
        self.bed.start_worker("w", {"noop": "command = /bin/true"})
        self.bed.wait_for_state(whole, "succeeded")
        task = self.bed.wait_for_state(damaged, "dead")
        self.assertEqual(task["outcome"], "damaged", task)
        log = self.bed.broker.log()
        alerts = [line for line in log.splitlines() if "ALERT" in line and f"task={damaged}" in line and "lsn=" in line]
        self.assertTrue(alerts, log[-2000:])
        with urllib.request.urlopen(f"http://127.0.0.1:{self.bed.http_port}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        count = [line for line in text.splitlines() if line.startswith("jqmesh_bodies_damaged_total ")]
        self.assertGreaterEqual(int(count[0].split()[1]), 1)

    def test_repair(self):
        """A damaged log is refused until an operator ends it before the damage: what stands before is there again, once."""
        self.bed.start_broker()
        kept = self.bed.submit("noop", payload={"x": "kept"})
        self.bed.submit("noop", payload={"x": MARK})
        lost = self.bed.submit("noop", payload={"x": "behind"})
        self.bed.broker.kill()
        with open(sorted(glob.glob(os.path.join(self.bed.data, "*.jql")))[-1], "r+b") as file:
            at = file.read().find(MARK.encode())
            file.seek(at)
            file.write(b"?")
        self.bed.broker.start()
        self.assertNotEqual(self.bed.broker.wait(), 0)
        code, _, err = self.bed.run_jqctl("journal", "repair", self.bed.data)
        self.assertEqual(code, 64, err)
        self.assertIn(f"lost: task {lost}", err)
        self.assertIn("nothing was changed", err)
        copy = self.bed.path("copy")
        report = self.bed.ask("journal", "repair", self.bed.data, "--copy", copy, "--yes")["item"]
        self.assertEqual((report["copy"], report["files"] >= 1), (copy, True))
        self.assertEqual(self.bed.run_jqctl("journal", "verify", copy)[0], 65)
        self.assertEqual(self.bed.run_jqctl("journal", "repair", self.bed.data)[0], 1)
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.task(kept)["state"], "ready")
        self.assertNotEqual(self.bed.run_jqctl("task", "show", lost)[0], 0)
        self.assertGreater(int(self.bed.submit("noop")), int(lost))


if __name__ == "__main__":
    unittest.main()
