#!/usr/bin/env python3
"""jqctl task logs: what tasks write, while they run and afterwards."""

import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import ROOT, TestCase, program, shell, wait_until

RUNNER = os.path.join(ROOT, "worker", "pool", "runner.py")

PRINTS = """
import sys
import jqmesh

@jqmesh.handler
def run(params, ctx):
    for number in range(params["count"]):
        print("line", number)
    print("done", file=sys.stderr)
"""


class Logs(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.notes = self.bed.open_folder("notes")

    def note(self, name):
        return os.path.join(self.notes, name)

    def logs(self, task):
        code, out, err = self.bed.run_jqctl("task", "logs", task)
        self.assertEqual(code, 0, err)
        return out, err

    def follow(self, name, *words):
        """A jqctl that follows something, and what it has printed so far."""
        with open(self.bed.path(name), "wb") as out:
            follower = subprocess.Popen([program("jqctl"), *words], env=dict(os.environ, JQ_SERVER=self.bed.request),
                                        stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT)
        self.addCleanup(lambda: follower.poll() is None and follower.kill())

        def followed():
            with open(self.bed.path(name), encoding="utf-8") as file:
                return file.read()
        return follower, followed

    def go_on(self, followers):
        """The broker is back, the task may end, and each of them ends well."""
        self.bed.broker.start()
        self.bed.wait_for_broker()
        with open(self.note("go"), "wb"):
            pass
        for follower, followed in followers:
            self.assertEqual(follower.wait(60), 0, followed())

    def test_follow_over_an_absence(self):
        """Who follows a task or events goes on when the broker was away for longer than a request is waited for."""
        script = 'echo begun; while [ ! -e "$1" ]; do sleep 0.05; done'
        self.bed.start_worker("w", {"slow": shell(script, self.note("go")) + "\nstdin = none"})
        task = self.bed.submit("slow")
        followers = [self.follow("logs", "task", "logs", "-f", task),
                     self.follow("events", "events", "follow", "--limit", "2", "--after", "1",
                                 "--where", "event=task.submitted,task.ended")]
        for (_, followed), first in zip(followers, ("begun", "task.submitted")):
            wait_until("it follows", lambda followed=followed, first=first: first in followed())
        self.bed.broker.kill()
        for _, followed in followers:
            wait_until("it has found the broker away for a while",
                       lambda followed=followed: "(not available); trying again" in followed())
        self.go_on(followers)
        self.assertIn(f"task={task} state=succeeded", followers[1][1]())

    def test_follow(self):
        """A follower sees what the task writes while it writes it, to the end, and ends with it."""
        script = 'echo one; echo two >&2; while [ ! -e "$1" ]; do sleep 0.05; done; echo three'
        self.bed.start_worker("w", {"slow": shell(script, self.note("go")) + "\nstdin = none"})
        task = self.bed.submit("slow")
        follower, text = self.follow("followed", "task", "logs", "-f", task)

        def followed():
            return text().splitlines()

        wait_until("both lines are followed", lambda: sorted(followed()) == ["one", "two"])
        self.assertIsNone(follower.poll(), "it follows on")
        with open(self.note("go"), "wb"):
            pass
        self.assertEqual(follower.wait(30), 0)
        self.assertEqual(sorted(followed()), ["one", "three", "two"])
        self.assertEqual(self.logs(task), ("one\nthree\n", "two\n"))

    def test_waiting_over_an_absence(self):
        """Who waits for a task or a flow waits for a broker that is away for longer than a request takes, too; --timeout ends it."""
        self.bed.start_worker("w", {"slow": shell('while [ ! -e "$1" ]; do sleep 0.05; done', self.note("go")) + "\nstdin = none"})
        flow = self.bed.write("flow.json", '{"name": "one", "tasks": [{"name": "a", "handler": "slow"}]}')
        code, out, err = self.bed.run_jqctl("flow", "submit", flow)
        self.assertEqual(code, 0, err)
        task = out.strip()
        self.bed.wait_for_state(task, "running")
        waiters = [self.follow(f"{noun} wait", noun, "wait", task) for noun in ("flow", "task")]
        code, _, err = self.bed.run_jqctl("flow", "wait", task, "--timeout", "300ms")
        self.assertEqual((code, "has not ended" in err), (75, True), err)
        wait_until("who waits for the task has asked", lambda: self.bed.status()["parked_waits"] >= 1)
        self.bed.broker.kill()
        for _, said in waiters:
            wait_until("it tells that the broker is away", lambda said=said: "the broker does not answer" in said(), within_s=60)
        self.go_on(waiters)

    def test_afterwards(self):
        """Of a task that ended the last 64 KiB are there, of one process or of a warm one; and what its report holds."""
        path = self.bed.write("prints.py", PRINTS)
        handlers = {"long": shell("seq 1 100000; echo oops >&2") + "\nstdin = none",
                    "short": shell("echo short") + "\nstdin = none",
                    "warm": f"kind = pool\ncommand = /usr/bin/python3 {RUNNER} {path}"}
        self.bed.start_worker("w", handlers)
        tasks = [self.bed.submit("long"), self.bed.submit("short"), self.bed.submit("warm", payload={"count": 20000}),
                 self.bed.submit("warm", payload={"count": 10})]
        for task in tasks:
            self.bed.wait_for_state(task, "succeeded")
        out, err = self.logs(tasks[0])
        self.assertEqual(out, "".join(f"{n}\n" for n in range(1, 100001))[-65536:])
        self.assertIn("oops\n", err)
        self.assertIn("bytes of stdout are gone", err)
        self.assertEqual(self.logs(tasks[1])[0], "short\n")
        out, err = self.logs(tasks[2])
        self.assertEqual(out, "".join(f"line {n}\n" for n in range(20000))[-65536:])
        self.assertIn("done\n", err)
        self.assertEqual(self.logs(tasks[3]), ("".join(f"line {n}\n" for n in range(10)), "done\n"))

    def test_unknown(self):
        """Of a task that nobody knows there are no logs, and it says so."""
        code, _, err = self.bed.run_jqctl("task", "logs", "-f", "4711")
        self.assertEqual(code, 1)
        self.assertIn("no such task", err)


if __name__ == "__main__":
    unittest.main()
