#!/usr/bin/env python3
"""Flows with real processes: chains, chords with results, failures that are mended, documents that are wrong."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import msgpack
from lib.bed import TestCase, shell

HANDLERS = {
    "say": shell('cat; echo " from $JQ_TASK"'),
    "sum": "command = /bin/cat parents.json\nstdin = none",
    "env": shell('echo "$JQ_PARENTS"') + "\nstdin = none",
    "wait": "command = /bin/sleep 300\nstdin = none",
}


class Flows(TestCase):
    def setUp(self):
        super().setUp()
        self.broker = self.bed.start_broker()
        self.mended = self.bed.path("mended")
        handlers = dict(HANDLERS)
        handlers["picky"] = f"command = /bin/sh -c 'test -e {self.mended} || exit 65; echo done'\nstdin = none"
        self.bed.start_worker("w", handlers)

    def submit(self, document, *words):
        """The flow's id."""
        path = self.bed.write("flow.json", json.dumps(document))
        code, out, err = self.bed.run_jqctl("flow", "submit", path, *words)
        self.assertEqual(code, 0, err)
        return out.strip()

    def refused(self, document):
        path = self.bed.write("flow.json", document if isinstance(document, str) else json.dumps(document))
        code, out, err = self.bed.run_jqctl("flow", "submit", path)
        self.assertEqual((code, out), (65, ""), err)
        return err

    def show(self, flow):
        return self.bed.ask("flow", "show", flow)

    def test_a_chain_runs_in_order_and_wait_tells_its_end(self):
        """Written in any order, tasks run in the order of their dependencies; --wait ends with the flow."""
        flow = self.submit({"name": "chain", "defaults": {"handler": "say"}, "tasks": [
            {"name": "c", "after": ["b"]}, {"name": "b", "after": ["a"]}, {"name": "a"}]}, "--wait", "--timeout", "60s")
        shown = self.show(flow)
        self.assertEqual(shown["flow"]["state"], "succeeded")
        self.assertEqual(shown["flow"]["name"], "chain")
        ids = [item["id"] for item in shown["items"]]
        self.assertEqual([item["after"] for item in shown["items"]], [None, [ids[0]], [ids[1]]])
        self.assertEqual(self.bed.ask("flow", "ls")["items"][0]["succeeded"], 3)

    def test_a_chords_callback_gets_the_results_of_its_group(self):
        """The callback runs when all of the group have ended, and finds their results in its work dir."""
        path = self.bed.write("lines.txt", "one\n\ntwo\nthree")
        code, out, err = self.bed.run_jqctl("flow", "map", "say", path, "--then", "sum", "--wait", "--timeout", "60s")
        self.assertEqual(code, 0, err)
        first = int(out)
        result = json.loads(self.bed.run_jqctl("task", "wait", "--result", str(first + 3))[1])
        told = {parent["id"]: parent for parent in result["parents"]}
        self.assertEqual(sorted(told), [str(first + i) for i in range(3)])
        self.assertEqual(told[str(first)]["result"], f"one from {first}\n")
        self.assertEqual({parent["state"] for parent in told.values()}, {"succeeded"})
        task = self.bed.task(str(first + 3))
        self.assertEqual((task["flow"], task["after"], task["on"]), (out.strip(), sorted(told), "succeeded"))

    def test_a_failed_parent_blocks_and_its_replay_goes_on_over_a_killed_broker(self):
        """Dead parent: its child is blocked, says so, and stays so over kill -9; mended and replayed, the flow succeeds."""
        flow = self.submit({"tasks": [{"name": "a", "handler": "picky"},
                                      {"name": "b", "handler": "say", "after": ["a"]},
                                      {"name": "c", "handler": "say", "after": ["a"], "on": "failed"}]})
        code, _, err = self.bed.run_jqctl("flow", "wait", flow, "--timeout", "60s")
        self.assertEqual(code, 1)
        self.assertIn("blocked", err)
        parent, child = flow, str(int(flow) + 1)
        self.broker.kill()
        self.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.task(child)["state"], "blocked")
        self.assertIn(f"blocked by task {parent}", self.bed.run_jqctl("task", "explain", child)[1])
        self.bed.wait_for_state(str(int(flow) + 2), "succeeded")
        with open(self.mended, "w", encoding="ascii"):
            pass
        self.bed.do("dead", "replay", parent)
        code, _, err = self.bed.run_jqctl("flow", "wait", flow, "--timeout", "60s")
        self.assertEqual(code, 0, err)
        self.assertEqual(self.show(flow)["flow"]["succeeded"], 3)

    def test_show_draws_and_cancel_stops_all_of_it(self):
        """The drawing has every task below what it waits for; cancelled, the running one is stopped and the others never run."""
        flow = self.submit({"name": "night", "tasks": [
            {"name": "long", "handler": "wait"}, {"name": "left", "handler": "say", "after": ["long"]},
            {"name": "right", "handler": "say", "after": ["long"]},
            {"name": "end", "handler": "sum", "after": ["left", "right"], "on": "finished"}]})
        self.bed.wait_for_state(flow, "running")
        first = int(flow)
        drawn = self.bed.run_jqctl("flow", "show", flow)[1].split("\n\n", 1)[1]
        self.assertEqual(drawn.splitlines(), [
            f"{first}  running  wait",
            f"|- {first + 1}  waiting  say",
            f"`- {first + 2}  waiting  say",
            f"   `- {first + 3}  waiting  sum  after {first + 1} {first + 2}  on finished"])
        self.bed.do("flow", "cancel", flow)
        code, _, err = self.bed.run_jqctl("flow", "wait", flow, "--timeout", "60s")
        self.assertEqual(code, 1, err)
        self.assertEqual({item["state"] for item in self.show(flow)["items"]}, {"cancelled"})
        self.assertIn("the flow has ended", self.bed.run_jqctl("flow", "cancel", flow)[2])

    def test_wrong_documents_are_refused_by_name_and_leave_nothing(self):
        """A circle names its members; an unknown parent, a field, a name given twice, a need: each is named. No task is there."""
        task = {"handler": "say"}
        circle = self.refused({"tasks": [{**task, "name": "a", "after": ["b"]}, {**task, "name": "b", "after": ["a"]}]})
        self.assertRegex(circle, "a circle: '[ab]' after '[ab]' after '[ab]'")
        self.assertIn("no task is named 'x'", self.refused({"tasks": [{**task, "after": ["x"]}]}))
        self.assertIn("tasks[1] 'a': name: another task has it",
                      self.refused({"tasks": [{**task, "name": "a"}, {**task, "name": "a"}]}))
        self.assertIn("tasks[0]: nead: no such field; did you mean need?", self.refused({"tasks": [{"nead": "cpu=1"}]}))
        self.assertIn("'b': need: ", self.refused({"tasks": [{**task, "name": "a"}, {**task, "name": "b", "need": "mem=1X"}]}))
        self.assertIn("no tasks", self.refused({"tasks": []}))
        self.assertIn("not an object", self.refused("[]"))
        self.assertIn("have no key", self.refused({"tasks": [{**task, "key": "k"}]}))
        self.assertEqual(self.bed.ask("flow", "ls")["items"], [])
        self.assertEqual(self.bed.ask("task", "ls")["items"], [])

    def test_a_document_of_msgpack_and_a_single_task_behind_others(self):
        """The same document as msgpack; `task submit --after` waits for tasks that are there, and refuses one that is not."""
        path = self.bed.path("flow.msgpack")
        with open(path, "wb") as file:
            file.write(msgpack.pack({"tasks": [{"handler": "say", "payload": {"x": 1}}]}))
        code, out, err = self.bed.run_jqctl("flow", "submit", path)
        self.assertEqual(code, 0, err)
        behind = self.bed.submit("env", "--after", out.strip(), "--on", "finished")
        self.bed.wait_for_state(behind, "succeeded")
        self.assertEqual(self.bed.run_jqctl("task", "wait", "--result", behind)[1], "parents.json\n")
        code, _, err = self.bed.run_jqctl("task", "submit", "say", "--after", "99999")
        self.assertNotEqual(code, 0)
        self.assertIn("after: task 99999: never submitted, or forgotten", err)


class FullQueue(TestCase):
    def test_a_queue_without_room_takes_nothing_of_a_flow(self):
        """The flow is too much for the queue: jqctl says busy when its time is over, nothing of it is there; a smaller one is taken."""
        self.bed.start_broker({"limits.depth_max": "3"})
        for count, code in ((4, 75), (3, 0)):
            path = self.bed.write("flow.json", json.dumps({"tasks": [{"handler": "none"}] * count}))
            got, out, err = self.bed.run_jqctl("flow", "submit", path, "--timeout", "2s" if code else "60s")
            self.assertEqual(got, code, err)
            self.assertEqual(len(self.bed.ask("task", "ls")["items"]), 0 if code else count)
        self.assertIn("no room for the whole flow", self.bed.run_jqctl("flow", "submit", path, "--timeout", "2s")[2])


if __name__ == "__main__":
    unittest.main()
