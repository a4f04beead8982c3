#!/usr/bin/env python3
"""What a journal holds, for other programs and for another try: export, replay."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import Bed, TestCase, wait_until

HANDLERS = {"noop": "command = /bin/true", "bad": "command = /bin/sh -c 'echo wrong >&2; exit 65'"}


class Replay(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker({"limits.finished_max": "1"})
        self.bed.start_worker("w", HANDLERS)
        self.dead = [self.bed.submit("bad", "--queue", "cad", "--group", "g", "--key", f"k{i}", "--need", "cpu=1", "--header",
                                     "trace=t", "--retry", "7", payload={"n": i}) for i in range(3)]
        self.good = [self.bed.submit("noop", payload=[1, "two"]) for _ in range(2)]
        self.later = self.bed.submit("noop", "--delay", "1h")
        self.behind = self.bed.submit("noop", "--queue", "cad", "--after", self.dead[0], "--on", "failed")

        def ended():
            status = self.bed.ask("server", "status")["item"]
            return (status["dead_total"], status["succeeded_total"]) == (3, 3)

        wait_until("all is at its end", ended)
        self.bed.do("dead", "rm", self.dead[2], "--yes")

    def export(self, *words):
        code, out, err = self.bed.run_jqctl("journal", "export", self.bed.data, *words)
        self.assertEqual(code, 0, err)
        return [json.loads(line) for line in out.splitlines()]

    def test_export(self):
        """Every record, or every task as it stood at the end, the forgotten ones too: a JSON object a line."""
        self.assertEqual([record["lsn"] for record in self.export()], [record["lsn"] for record in self.bed.journal()])
        tasks = {task["id"]: task for task in self.export("--tasks")}
        self.assertEqual({task: tasks[task]["state"] for task in tasks},
                         {**dict.fromkeys(self.dead, "dead"), **dict.fromkeys([*self.good, self.behind], "succeeded"),
                          self.later: "scheduled"})
        task = tasks[self.dead[1]]
        self.assertEqual([task.get(key) for key in ("handler", "queue", "group", "key", "need", "payload", "headers", "outcome",
                                                    "retry_max")],
                         ["bad", "cad", "g", "k1", "cpu=1", {"n": 1}, {"trace": "t"}, "invalid_input", 7])
        self.assertEqual(len(self.export("--tasks", "--where", "queue=cad id<" + self.dead[2])), 2)
        self.assertEqual(len(self.export("--tasks", "--limit", "2")), 2)

    def test_replay(self):
        """Tasks that ended in one journal are submitted to another broker as they were, once however often it is said; those that had not
        ended, or waited for others, are left out unless they are asked for."""
        where = ["--where", "state=dead,succeeded,scheduled"]
        dry = self.bed.ask("journal", "replay", self.bed.data, *where, "--dry-run")["item"]
        self.assertEqual((dry["matched"], dry["not_ended"], dry["dependent"]), (5, 1, 1))
        self.assertEqual(dry["samples"], sorted([*self.dead, *self.good]))
        other = Bed()
        self.addCleanup(other.end)
        other.start_broker()

        def replay(*words):
            done = other.ask("journal", "replay", self.bed.data, *words, codes=(0, 1))["item"]
            return done["accepted"], done["known"], done["refused"]

        self.assertEqual(replay(*where, "--rate", "1000/s"), (5, 0, 0))
        self.assertEqual(replay(*where), (0, 5, 0))
        self.assertEqual(replay("--where", "state=dead", "--again", "2", "--queue", "second"), (3, 0, 0))
        self.assertEqual(replay("--where", "state=scheduled", "--unfinished"), (1, 0, 0))
        tasks = other.ask("task", "ls", "--queue", "cad")["items"]
        self.assertEqual(len(tasks), 3)
        task = other.task(tasks[0]["id"])
        self.assertEqual((task["handler"], task["group"], task["need"], task["payload"], task["headers"]),
                         ("bad", "g", "cpu=1", {"n": 0}, {"trace": "t"}))
        self.assertEqual(other.run_jqctl("journal", "replay", self.bed.data)[0], 64)

        path = self.bed.write("input.txt", "what the handler reads")
        self.bed.wait_for_state(self.bed.submit("bad", "--queue", "files", "--input", f"in.txt={path}"), "dead")
        self.assertEqual(replay("--where", "queue=files"), (0, 0, 1), "the broker does not have the blob")
        other.do("blob", "put", path)
        self.assertEqual(replay("--where", "queue=files"), (1, 0, 0))


if __name__ == "__main__":
    unittest.main()
