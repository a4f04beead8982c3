#!/usr/bin/env python3
"""Selections, held tasks, queues that are set, and events, as an operator sees them."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import Bed, TestCase, program, wait_until

USAGE = 64


class Selections(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def states(self, *words):
        return {str(row["id"]): row["state"] for row in self.bed.ask("task", "ls", *words)["items"]}

    def said(self, *words):
        """What a command that only acts says of it."""
        code, _, err = self.bed.run_jqctl(*words)
        self.assertEqual(code, 0, err)
        return err

    def submit(self, count, queue):
        for _ in range(count):
            self.bed.submit("work", "--queue", queue)

    def test_a_where_is_counted_first_and_done_with_yes_alone(self):
        """Without --yes and without a terminal nothing is done (64); a dry run counts and names the first; --yes does it."""
        self.submit(3, "cad")
        self.submit(1, "mail")
        where = ("--where", "queue=cad state=ready handler=wo*")
        done = self.bed.run_jqctl("task", "cancel", *where)
        self.assertEqual(done[0], USAGE)
        self.assertIn("--yes", done[2])
        counted = self.bed.ask("task", "cancel", *where, "--dry-run")["item"]
        self.assertEqual((counted["matched"], counted["done"]), (3, 0))
        self.assertEqual(len(self.states("--where", "queue=cad state=ready")), 3)
        self.assertIn("3 cancelled", self.said("task", "cancel", *where, "--yes"))
        self.assertEqual(set(self.states("--queue", "cad").values()), {"cancelled"})
        self.assertEqual(set(self.states("--queue", "mail").values()), {"ready"})
        self.assertIn("3 removed", self.said("task", "rm", "--where", "state=cancelled", "--yes"))
        slip = self.bed.run_jqctl("task", "ls", "--where", "queue=cad stat=ready")
        self.assertNotEqual(slip[0], 0)
        self.assertIn("column 11: 'stat=ready': no such field", slip[2])

    def test_tasks_are_held_released_and_moved(self):
        """A held task says so, in ls and in explain; it is moved as it is; released, it is ready in its new queue."""
        self.submit(2, "cad")
        self.bed.do("task", "hold", "--where", "queue=cad", "--yes")
        held = self.states("--where", "state=held")
        self.assertEqual(set(held.values()), {"held"})
        self.assertEqual(len(held), 2)
        first = sorted(held)[0]
        self.assertIn("Somebody holds it", self.bed.run_jqctl("task", "explain", first)[1])
        self.bed.do("task", "move", first, "--to", "night")
        self.bed.do("task", "release", first)
        self.assertEqual(self.states("--queue", "night"), {first: "ready"})

    def test_queues_pause_until_drain_and_purge(self):
        """A pause ends by itself; a draining queue refuses what is new and says why; a purge cancels what waits."""
        self.bed.do("queue", "pause", "cad", "--new", "--until", "1h")
        self.assertTrue(self.bed.ask("queue", "show", "cad")["item"]["paused"])
        self.submit(2, "cad")
        self.bed.do("queue", "drain", "cad")
        refused = self.bed.run_jqctl("task", "submit", "work", "--queue", "cad")
        self.assertNotEqual(refused[0], 0)
        self.assertIn("draining", refused[2])
        self.bed.do("queue", "drain", "cad", "--undo")
        self.bed.do("queue", "set", "cad", "--weight", "7", "--depth-max", "2")
        row = self.bed.ask("queue", "show", "cad")["item"]
        self.assertEqual((row["weight"], row["depth_max"]), (7, 2))
        self.assertEqual(self.bed.run_jqctl("queue", "purge", "cad")[0], USAGE)
        self.assertIn("2 cancelled", self.said("queue", "purge", "cad", "--yes"))
        self.bed.do("queue", "pause", "cad", "--until", "500ms")
        wait_until("the pause has ended", lambda: not self.bed.ask("queue", "show", "cad")["item"]["paused"])

    def test_events_are_followed_live(self):
        """`jqctl events follow` prints what happens as it happens, and only what was asked for."""
        follower = subprocess.Popen(
            [program("jqctl"), "--server", self.bed.request, "events", "follow", "--json", "--limit", "2", "--after", "1",
             "--where", "event=task.* queue=cad"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(follower.stdout.close)
        self.submit(1, "mail")
        self.submit(1, "cad")
        self.bed.do("task", "cancel", "--where", "queue=cad", "--yes")
        lines = [json.loads(line) for line in follower.communicate(timeout=60)[0].splitlines()]
        self.assertEqual([line["event"] for line in lines], ["task.submitted", "task.ended"])
        self.assertEqual({line["queue"] for line in lines}, {"cad"})
        self.assertEqual(lines[1]["state"], "cancelled")
        code, out, err = self.bed.run_jqctl("events", "past", self.bed.data, "--json", "--since", "1h", "--where",
                                            "event=task.* queue=cad")
        self.assertEqual(code, 0, err)
        past = [json.loads(line) for line in out.splitlines()]
        self.assertEqual([(line["event"], line["task"]) for line in past],
                         [(line["event"], line["task"]) for line in lines])
        self.assertEqual(past[1]["seq"], lines[1]["seq"])

    def test_the_past_tells_of_what_is_steered_as_it_was_told_live(self):
        """Breakers, limits, schedules and flows: each change has the same line in the journal as when it happened."""
        words = ["--json", "--where", "event=breaker.*,limit.*,schedule.*,flow.*"]
        follower = subprocess.Popen(
            [program("jqctl"), "--server", self.bed.request, "events", "--limit", "9", "--after", "1"] + words,
            stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        self.addCleanup(follower.stdout.close)
        self.submit(1, "cad")
        self.bed.do("limit", "set", "queue:cad", "--concurrency", "2")
        self.bed.do("limit", "rm", "queue:cad")
        self.bed.do("breaker", "trip", "handler:work")
        self.bed.do("breaker", "reset", "handler:work")
        self.bed.do("schedule", "set", "night", "0 3 * * *", "work")
        self.bed.do("schedule", "pause", "night")
        self.bed.do("schedule", "rm", "night")
        path = self.bed.path("flow.json")
        with open(path, "w", encoding="ascii") as file:
            json.dump({"name": "pair", "tasks": [{"name": "one", "handler": "work"}]}, file)
        flow = self.bed.run_jqctl("flow", "submit", path)[1].strip()
        self.bed.do("flow", "cancel", flow)
        live = [json.loads(line) for line in follower.communicate(timeout=60)[0].splitlines()]
        self.assertEqual([line["event"] for line in live],
                         ["limit.set", "limit.removed", "breaker.open", "breaker.closed", "schedule.set", "schedule.paused",
                          "schedule.removed", "flow.committed", "flow.cancelling"])
        past = [json.loads(line) for line in self.bed.run_jqctl("events", "past", self.bed.data, "--limit", "9", *words)[1].splitlines()]
        keys = ("event", "name", "task", "number")
        self.assertEqual([[line.get(key) for key in keys] for line in past],
                         [[line.get(key) for key in keys] for line in live])


if __name__ == "__main__":
    unittest.main()
