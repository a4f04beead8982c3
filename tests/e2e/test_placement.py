#!/usr/bin/env python3
"""Placement with real processes: units that are told apart, seats that are kept, facts that change, and what explain says of it."""

import os
import signal
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until

UNITS_WORKER = os.path.join(os.environ.get("JQ_TEST_BIN", ""), "units_worker")

# Leaves a note that names its unit, and waits until it may go.
HOLDS = """
import os, sys, time
folder, unit = sys.argv[1], os.environ.get("JQ_GPU", "none")
with open(os.path.join(folder, "gpu-" + unit + "-" + os.environ["JQ_TASK"]), "w") as note:
    note.write(unit)
while not os.path.exists(os.path.join(folder, "go")):
    time.sleep(0.01)
print(unit, end="")
"""


class Placement(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.notes = self.bed.open_folder("notes")

    def holding_handler(self):
        path = self.bed.write("holds.py", HOLDS)
        os.chmod(path, 0o644)
        return f"command = /usr/bin/python3 {path} {self.notes}\nstdin = none"

    def noted(self):
        return sorted(os.listdir(self.notes))

    def explained(self, task_id):
        code, out, _ = self.bed.run_jqctl("task", "explain", task_id)
        self.assertEqual(code, 0)
        self.assertLessEqual(len(out.splitlines()), 24)
        return out

    def test_two_tasks_never_have_one_gpu(self):
        """gpu=[2,5]: each task finds its own number in JQ_GPU, over a kill of the broker too; a third waits for one of them."""
        self.bed.start_worker("box", {"train": self.holding_handler()}, {"worker.offers": "cpu=4 mem=1G gpu=[2,5]"})
        tasks = [self.bed.submit("train", "--need", "gpu=1") for _ in range(3)]
        wait_until("two of them run", lambda: len(self.noted()) == 2)
        self.assertEqual([name.split("-")[1] for name in self.noted()], ["2", "5"])
        self.assertIn("box is short of gpu by 1", self.explained(tasks[2]))
        worker = self.bed.ask("worker", "show", "box")["item"]
        self.assertEqual((worker["units"], worker["units_free"]), ({"gpu": [2, 5]}, {"gpu": []}))
        self.bed.broker.kill()
        self.bed.start_broker()
        self.bed.wait_for_worker("box")
        wait_until("the leases stand", lambda: self.bed.worker("box").get("leases") == 2)
        self.assertEqual(self.bed.task(tasks[2])["state"], "ready")
        self.bed.write(os.path.join("notes", "go"), "")
        results = [self.bed.wait_for_state(task, "succeeded")["detail"]["result"] for task in tasks]
        self.assertEqual(sorted(str(result.get("text", result) if isinstance(result, dict) else result) for result in results[:2]),
                         ["2", "5"])

    def test_a_seat_is_kept_for_what_needs_it(self):
        """A worker that accepts only what reserves its seat leaves the rest alone, and explain says so."""
        self.bed.start_worker("cad", {"work": "command = /bin/true"},
                              {"worker.offers": "cpu=2 mem=64M freecad=1", "worker.accept": "freecad"})
        plain = self.bed.submit("work")
        model = self.bed.submit("work", "--need", "freecad=1")
        self.bed.wait_for_state(model, "succeeded")
        self.assertIn("cad accepts only tasks that reserve freecad", self.explained(plain))
        self.assertEqual(self.bed.ask("worker", "show", "cad")["item"]["accept"], ["freecad"])
        self.bed.start_worker("other", {"work": "command = /bin/true"})
        self.bed.wait_for_state(plain, "succeeded")

    def test_an_accept_that_is_not_offered_is_refused(self):
        """What could never take a task does not start."""
        worker = self.bed.new_worker("odd", {"work": "command = /bin/true"}, {"worker.accept": "gpu"}).start()
        self.assertEqual(worker.wait(), 78)
        self.assertIn("accept", worker.log())

    def test_facts_are_found_out_anew_at_sighup(self):
        """A fact that a probe finds out changes with the machine: SIGHUP registers it, and what runs goes on."""
        fact = self.bed.write("color", "red\n")
        folder = self.bed.path("w", "handlers.d")
        worker = self.bed.new_worker("w", {"train": self.holding_handler()})
        conf = self.bed.write("w.conf", f"[fact color]\ncommand = /bin/cat {fact}\n")
        worker.command += ["-c", conf]
        worker.start()
        self.bed.wait_for_worker("w")
        self.assertTrue(os.path.isdir(folder))
        running = self.bed.submit("train", "--need", "color==red")
        self.bed.wait_for_state(running, "running")
        waiting = self.bed.submit("train", "--need", "color==blue")
        self.assertIn("w does not meet color==blue", self.explained(waiting))
        self.bed.write("color", "blue\n")
        worker.signal(signal.SIGHUP)
        self.bed.wait_for_state(waiting, "running")
        self.assertEqual(self.bed.ask("worker", "show", "w")["item"]["facts"]["color"], "blue")
        self.bed.write(os.path.join("notes", "go"), "")
        for task in (running, waiting):
            self.assertEqual(self.bed.wait_for_state(task, "succeeded")["attempts"], 0)

    def test_a_job_in_c_is_told_its_units(self):
        """jq_job_units(): one of gpu=[4,9]; with `accept` the worker takes nothing that reserves none."""
        if not os.path.exists(UNITS_WORKER):
            self.skipTest("JQ_TEST_BIN does not name the folder of helpers: run by `zig build e2e`")
        environment = {"JQ_SERVER": self.bed.request, "JQ_SURVEY": self.bed.survey}
        self.bed.process("units", [UNITS_WORKER], environment).start()
        self.bed.wait_for_worker("units")
        plain = self.bed.submit("tell")
        task = self.bed.submit("tell", "--need", "gpu=1")
        self.assertEqual(self.bed.wait_for_state(task, "succeeded")["detail"]["result"], {"text": "gpu 4"})
        both = self.bed.submit("tell", "--need", "gpu=2")
        self.assertEqual(self.bed.wait_for_state(both, "succeeded")["detail"]["result"], {"text": "2 gpus"})
        self.assertIn("units accepts only tasks that reserve gpu", self.explained(plain))

    def test_wants_are_shown_and_bad_ones_refused(self):
        """A want stands in its task; one that does not parse is refused by name, and nothing of the task is stored."""
        task = self.bed.submit("h", "--want", " zone==lab1:50   memory:-7")
        self.assertEqual(self.bed.task(task)["want"], "zone==lab1:50 mem:-7")
        code, _, err = self.bed.run_jqctl("task", "submit", "h", "--want", "zone==lab1:500")
        self.assertEqual(code, 65)
        self.assertIn("want", err)


if __name__ == "__main__":
    unittest.main()
