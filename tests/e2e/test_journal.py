#!/usr/bin/env python3
"""The journal as an operator reads it: what was known at a moment, from the files alone, while the broker runs or after."""

import datetime
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until


def now():
    return datetime.datetime.now(datetime.timezone.utc)


class State(TestCase):
    def state(self, *words):
        return self.bed.ask("journal", "state", self.bed.data, *words)["item"]

    def test_state_at_a_moment(self):
        """The fold of the log up to a moment is what the broker knew then; up to its end, what it knows now."""
        self.bed.start_broker()
        for _ in range(3):
            self.bed.submit("noop", "--queue", "early")
        moment = now()
        wait_until("the clock has moved on", lambda: now() - moment > datetime.timedelta(milliseconds=20))
        self.bed.submit("noop", "--queue", "late")
        self.bed.start_worker("w", {"noop": "command = /bin/true"})
        wait_until("all has ended", lambda: self.bed.ask("server", "status")["item"]["tasks_live"] == 0)
        then = self.state("--at", moment.isoformat())
        queues = {queue["queue"]: queue for queue in then["queues"]}
        self.assertEqual((then["ready"], then["tasks_finished"]), (3, 0))
        self.assertEqual(queues["early"]["ready"], 3)
        self.assertNotIn("late", queues)
        self.bed.broker.stop()
        end = self.state()
        self.assertEqual((end["ready"], end["tasks_finished"]), (0, 4))

    def test_digest(self):
        """The state at the end has the digest that the running broker has."""
        self.bed.start_broker()
        self.bed.submit("noop", "--key", "k", "--group", "g", "--delay", "1h")
        self.bed.submit("noop", "--after", self.bed.submit("noop"))
        status = self.bed.ask("server", "status")["item"]
        self.assertEqual(self.state()["digest"], status["digest"])

    def test_bad_words(self):
        """A moment that is none, one before the log, and a folder without a log are told apart."""
        self.bed.start_broker()
        self.bed.submit("noop")
        self.assertEqual(self.bed.run_jqctl("journal", "state", self.bed.data, "--at", "yesterday")[0], 64)
        code, _, err = self.bed.run_jqctl("journal", "state", self.bed.data, "--at", "2001-01-01T00:00:00Z")
        self.assertEqual((code, "begins later" in err), (66, True), err)
        self.assertEqual(self.bed.run_jqctl("journal", "state", self.bed.open_folder("empty"))[0], 66)


if __name__ == "__main__":
    unittest.main()
