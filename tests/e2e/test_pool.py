#!/usr/bin/env python3
"""Warm processes: handlers of kind pool, with the stock Python runner."""

import hashlib
import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import ROOT, TestCase, is_alive, wait_until

FOLDER = os.path.join(ROOT, "worker", "pool")
RUNNER = os.path.join(FOLDER, "runner.py")

PARTS = """
import os, signal, sys, time
import jqmesh

served = 0

@jqmesh.handler
def run(params, ctx):
    global served
    served += 1
    if params.get("wrong"):
        raise jqmesh.Fatal("no such part")
    if params.get("hang"):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        ctx.progress(0.25, "hanging")
        time.sleep(300)
    if params.get("crash"):
        print("about to crash", file=sys.stderr)
        os.kill(os.getpid(), signal.SIGSEGV)
    if params.get("copy"):
        with open(ctx.input("part"), "rb") as part, open(os.path.join(ctx.output_dir, "copy"), "wb") as file:
            file.write(part.read()[::-1])
        print("x" * 10000)
        return {}
    with open(os.path.join(ctx.output_dir, "part.txt"), "w") as file:
        file.write("part of task " + ctx.task)
    return {"pid": os.getpid(), "served": served, "left": os.listdir("."), "uid": os.getuid()}
"""


class Pool(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def start(self, text=PARTS, extra="max_tasks = 100"):
        path = self.bed.write("parts.py", text)
        os.chmod(path, 0o644)
        command = f"kind = pool\ncommand = /usr/bin/python3 {RUNNER} {path}\nneed = cpu=1 mem=200M\n"
        return self.bed.start_worker("w", {"parts": command + extra})

    def result(self, task):
        return json.loads(self.bed.wait_for_state(task, "succeeded")["detail"]["result"]["text"])

    def test_tasks_share_a_process(self):
        """Task after task by one process, which a cancel kills however deaf it is, and a crash; another one takes its place."""
        self.start()
        first = self.result(self.bed.submit("parts", payload={}))
        task = self.bed.submit("parts", payload={})
        second = self.result(task)
        self.assertEqual((second["pid"], second["served"], second["left"]), (first["pid"], 2, []))
        self.assertEqual(second["uid"] == 0, os.getuid() == 0 and first["uid"] == 0)
        with open(self.bed.path("w", "output", task, "part.txt"), encoding="ascii") as file:
            self.assertEqual(file.read(), "part of task " + task)

        wrong = self.bed.wait_for_state(self.bed.submit("parts", payload={"wrong": 1}), "dead")
        self.assertEqual((wrong["outcome"], wrong["detail"]["message"]), ("invalid_input", "no such part"))

        hanging = self.bed.submit("parts", payload={"hang": 1})
        wait_until("it hangs", lambda: self.bed.task(hanging).get("progress") == 250)
        self.bed.do("task", "cancel", hanging, "--grace", "50ms")
        self.bed.wait_for_state(hanging, "cancelled")
        self.assertFalse(is_alive(first["pid"]))

        crashed = self.bed.wait_for_state(self.bed.submit("parts", "--retry", "0", payload={"crash": 1}), "dead")
        self.assertEqual(crashed["detail"]["message"], "signal 11 (SIGSEGV)")
        self.assertIn("about to crash", crashed["detail"]["stderr"])
        last = self.result(self.bed.submit("parts", payload={}))
        self.assertEqual(last["served"], 1)
        left = [files for _, _, files in os.walk(self.bed.path("w", "work")) if files]
        self.assertEqual(left, [], "nothing of the tasks is left in the work dir")

    def test_files(self):
        """Files come to a warm process and go from it as to any other."""
        self.start()
        path, back = self.bed.write("part", "abc"), self.bed.path("back")
        self.bed.do("task", "submit", "parts", "--payload", '{"copy": 1}', "--input", f"part={path}",
                    "--output", f"copy={back}", "--wait")
        with open(back, encoding="ascii") as file:
            self.assertEqual(file.read(), "cba")

    def test_model(self):
        """The model handler that is shipped: digest."""
        path = self.bed.write("text", "seven bytes")
        digest = os.path.join(FOLDER, "digest.py")
        self.bed.start_worker("w", {"digest": f"kind = pool\ncommand = /usr/bin/python3 {RUNNER} {digest}"})
        task = self.bed.submit("digest", payload={"input": path, "algorithms": ["md5", "sha256"]})
        want = {name: hashlib.new(name, b"seven bytes").hexdigest() for name in ("md5", "sha256")}
        self.assertEqual(self.result(task), want)


if __name__ == "__main__":
    unittest.main()
