#!/usr/bin/env python3
"""Limits and groups, with real processes, as an operator sees them."""

import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, shell


class Limits(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def row(self, scope):
        return next(item for item in self.bed.ask("limit", "ls")["items"] if item["scope"] == scope)

    def test_a_rate_holds_over_a_restart_until_it_is_removed(self):
        """One an hour: the second task waits, explain says for what and how long, a restart changes nothing."""
        self.bed.start_worker("w", {"work": shell("exit 0")})
        self.bed.do("limit", "set", "queue:default", "--rate", "1/h")
        first, second = self.bed.submit("work"), self.bed.submit("work", "--group", "acme")
        self.bed.wait_for_state(first, "succeeded")
        self.assertEqual(self.bed.task(second)["group"], "acme")
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.task(second)["state"], "ready")
        code, out, err = self.bed.run_jqctl("task", "explain", second)
        self.assertEqual(code, 0, err)
        self.assertIn("The limit queue:default 1/h lets nothing start for another", out)
        self.assertEqual((self.row("queue:default")["rate"], self.row("queue:default")["held"]), ("1/h", 1))
        self.bed.do("limit", "rm", "queue:default")
        self.bed.wait_for_state(second, "succeeded")
        self.assertEqual(self.bed.ask("limit", "ls")["items"], [])

    def test_what_is_no_limit_is_refused_and_says_why(self):
        """Scopes and rates that are none, zero, both ends of nothing: each is named, and nothing is set."""
        slips = [
            (["all", "--concurrency", "1"], "is none of queue:NAME, handler:NAME, group:QUEUE/NAME, group:QUEUE/*"),
            (["queue:q"], "neither --concurrency nor --rate is given"),
            (["queue:q", "--concurrency", "0"], "0 lets nothing run; pause the queue instead"),
            (["queue:q", "--rate", "0/s"], "a rate of zero lets nothing run"),
            (["queue:q", "--rate", "9/1ms", "--burst", "0"], "--burst: 0 lets nothing start"),
            (["queue:q", "--rate", "often"], "is no rate such as 5/s"),
            (["queue:q", "--rate", "1/d", "--burst", "1000000"], "more than ten years"),
        ]
        for words, reason in slips:
            code, out, err = self.bed.run_jqctl("limit", "set", *words)
            self.assertNotEqual(code, 0, words)
            self.assertEqual(out, "")
            self.assertIn(reason, err)
        code, _, err = self.bed.run_jqctl("limit", "rm", "queue:q")
        self.assertNotEqual(code, 0)
        self.assertIn("no such limit", err)
        self.assertEqual(self.bed.ask("limit", "ls")["items"], [])


if __name__ == "__main__":
    unittest.main()
