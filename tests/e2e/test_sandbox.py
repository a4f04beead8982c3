#!/usr/bin/env python3
"""What a handler may reach on its host, as an operator sets it and sees it. What the kernel cannot do is skipped, and says so."""

import os
import re
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until

SMALL = "stdin = none\nwrite ="  # No write: the bed gives its handlers its own folder otherwise.
OUTCOMES = ("succeeded", "dead")


class Sandbox(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def in_force(self, worker, name):
        return re.search(rf'msg="in force" what={name} ', worker.log()) is not None

    def run_once(self, handler, *words, payload=None):
        task = self.bed.submit(handler, "--retry", "1", *words, payload=payload)
        return self.bed.wait_for_state(task, *OUTCOMES)

    def test_reads_and_writes_are_what_the_configuration_names(self):
        """A parameter cannot lead a handler to a file that neither the system, [worker] read nor the handler names."""
        share, private = self.bed.open_folder("share"), self.bed.open_folder("private")
        for folder in (share, private):
            with open(os.path.join(folder, "file"), "w", encoding="ascii") as file:
                file.write("content")
            os.chmod(os.path.join(folder, "file"), 0o644)
        handlers = {
            "cat": f"command = /bin/cat {{param.input}}\n{SMALL}",
            "reader": f"command = /bin/cat {{param.input}}\nread = {private}\n{SMALL}",
        }
        worker = self.bed.start_worker("w", handlers, {"worker.read": share})
        if not self.in_force(worker, "landlock"):
            self.skipTest("this kernel has no Landlock")
        shared, hidden = os.path.join(share, "file"), os.path.join(private, "file")
        self.assertEqual(self.run_once("cat", payload={"input": shared})["state"], "succeeded")
        self.assertEqual(self.run_once("reader", payload={"input": hidden})["state"], "succeeded")
        refused = self.run_once("cat", payload={"input": hidden})
        self.assertEqual((refused["state"], refused["outcome"]), ("dead", "process_failure"))
        self.assertIn("Permission denied", str(refused))

    def test_sandbox_off(self):
        """sandbox = off says so, and confines nothing."""
        folder = self.bed.open_folder("private")
        with open(os.path.join(folder, "file"), "w", encoding="ascii") as file:
            file.write("content")
        settings = {"worker.sandbox": "off", "worker.read": ""}
        worker = self.bed.start_worker("w", {"cat": f"command = /bin/cat {{param.input}}\n{SMALL}"}, settings)
        self.assertFalse(self.in_force(worker, "landlock"))
        self.assertEqual(self.run_once("cat", payload={"input": os.path.join(folder, "file")})["state"], "succeeded")

    def test_require(self):
        """sandbox = require runs where everything is in force, else it names what is not and exits."""
        worker = self.bed.new_worker("w", {"noop": "command = /bin/true"}, {"worker.sandbox": "require"}).start()
        wait_until("it runs or has refused", lambda: worker.child.poll() is not None or self.bed.worker("w").get("alive"))
        missing = [name for name in ("memory", "pids", "kill", "user", "landlock", "seccomp")
                   if not self.in_force(worker, name)]
        if missing:
            self.assertEqual(worker.child.poll(), 78)
            self.assertIn("sandbox = require: not in force here: " + " ".join(missing), worker.log())
        else:
            self.assertEqual(self.run_once("noop")["state"], "succeeded")

    def test_bad_paths(self):
        """A path that is not absolute is refused at the start, naming the key."""
        worker = self.bed.new_worker("w", {"noop": "command = /bin/true\nread = relative/path"}).start()
        wait_until("it has refused", lambda: worker.child.poll() is not None)
        self.assertRegex(worker.log(), "read: 'relative/path': an absolute path is needed")


if __name__ == "__main__":
    unittest.main()
