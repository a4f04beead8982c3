#!/usr/bin/env python3
"""SIGHUP: a worker takes its configuration anew, all of it or nothing, and what runs goes on."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until

SAYS = "command = /bin/echo {}\nstdin = none\n"


class Reload(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.go = os.path.join(self.bed.open_folder("notes"), "go")
        self.worker = self.bed.new_worker("w", {"says": SAYS.format("one"), "waits": self.waits()})
        self.conf = self.bed.write("w.conf", "")
        self.worker.command += ["-c", self.conf]
        self.worker.start()
        self.bed.wait_for_worker("w")

    def waits(self):
        return f"command = /bin/sh -c 'until test -e {self.go}; do sleep 0.02; done; echo done'\nstdin = none\n"

    def handler(self, name, lines):
        self.bed.write(os.path.join("w", "handlers.d", name + ".conf"), f"[handler {name}]\n{lines}")

    def hang_up(self, told):
        before = self.worker.log().count(told)
        self.worker.signal(signal.SIGHUP)
        wait_until(told, lambda: self.worker.log().count(told) > before)

    def said(self, handler):
        result = self.bed.wait_for_state(self.bed.submit(handler), "succeeded")["detail"]["result"]
        return result["text"].strip() if isinstance(result, dict) else str(result).strip()

    def test_handlers_come_change_and_go(self):
        """A handler that is new is offered, one that changed does the new thing, one that runs goes on though its file is gone."""
        running = self.bed.submit("waits")
        self.bed.wait_for_state(running, "running")
        self.assertEqual(self.said("says"), "one")
        self.handler("says", SAYS.format("two"))
        self.handler("more", SAYS.format("three"))
        os.unlink(self.bed.path("w", "handlers.d", "waits.conf"))
        self.hang_up("configuration read anew")
        self.assertEqual(self.said("says"), "two")
        self.assertEqual(self.said("more"), "three")
        later = self.bed.submit("waits")
        self.bed.write(os.path.join("notes", "go"), "")
        self.assertEqual(self.bed.wait_for_state(running, "succeeded")["losses"], 0)
        code, out, _ = self.bed.run_jqctl("task", "explain", later)
        self.assertEqual(code, 0)
        self.assertIn("does not define the handler waits", out)

    def test_offers_change(self):
        """Offers and slots are those of the file that was read last."""
        self.bed.write("w.conf", "[worker]\nfacts = color=blue\n")
        self.hang_up("configuration read anew")
        wait_until("the broker has heard of it",
                   lambda: self.bed.ask("worker", "show", "w")["item"]["facts"].get("color") == "blue")

    def test_what_the_sandbox_lacks_is_a_fact(self):
        """What does not confine tasks here is told with the worker, before and after SIGHUP, and a task can ask for one that lacks nothing."""
        def lacks():
            return self.bed.ask("worker", "show", "open")["item"]["facts"].get("sandbox.lacks", "")
        worker = self.bed.start_worker("open", {"free": SAYS.format("four")}, {"worker.sandbox": "off"})
        self.assertIn("landlock,seccomp", lacks())
        worker.signal(signal.SIGHUP)
        wait_until("registered anew", lambda: worker.log().count("msg=registered") == 2)
        self.assertIn("landlock,seccomp", lacks())
        lines = self.bed.ask("task", "explain", self.bed.submit("free", "--need", "!sandbox.lacks"))["item"]["lines"]
        self.assertIn("worker_fails_term", [line["why"] for line in lines])

    def test_a_broken_file_changes_nothing(self):
        """What is wrong, or cannot change while it runs, is named; everything stays as it was, whatever else had changed."""
        self.handler("more", SAYS.format("three"))
        self.handler("says", "command = relative/path\n")
        self.hang_up("the configuration stays as it is")
        self.assertIn("says.conf", self.worker.log())
        self.assertEqual(self.said("says"), "one")
        self.handler("says", SAYS.format("two"))
        self.bed.write("w.conf", "[worker]\nlog_level = debug\n")
        self.hang_up("the configuration stays as it is")
        self.assertIn("[worker] log_level: cannot change while the worker runs", self.worker.log())
        self.bed.write("w.conf", "")
        self.handler("warm", "kind = pool\ncommand = /bin/cat\n")
        self.hang_up("the configuration stays as it is")
        self.assertIn("[handler warm]: a handler of kind pool cannot come", self.worker.log())
        self.assertEqual(self.said("says"), "one")
        names = [handler["name"] for handler in self.bed.ask("worker", "show", "w")["item"]["handlers"]]
        self.assertNotIn("more", names)


if __name__ == "__main__":
    unittest.main()
