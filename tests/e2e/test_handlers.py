#!/usr/bin/env python3
"""What the worker enforces on a running task, and what is told of it: cancel, limits, memory, output, poison tasks."""

import json
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, is_alive, shell, wait_until

PYTHON = "/usr/bin/python3"

# Writes its own pid and those of two children, one of which has left for a session of its own, and waits.
FORKS = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
plain = subprocess.Popen(["/bin/sleep", "300"])
away = subprocess.Popen(["/bin/sleep", "300"], start_new_session=True)
with open(sys.argv[1] + ".new", "w") as file:
    file.write("%d %d %d" % (os.getpid(), plain.pid, away.pid))
os.rename(sys.argv[1] + ".new", sys.argv[1])
time.sleep(300)
"""

EATS = """
import time
held = []
while True:
    held.append(bytearray(b"x" * (8 << 20)))
    time.sleep(0.01)
"""


class Handlers(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.notes = self.bed.open_folder("notes")

    def note(self, name):
        return os.path.join(self.notes, name)

    def script(self, name, text):
        path = self.bed.write(name, text)
        os.chmod(path, 0o644)
        return f"command = {PYTHON} {path}"

    def start_forking_task(self, settings=None, extra=""):
        """(worker, task, pids): all of the task's processes are known and alive."""
        command = self.script("forks.py", FORKS) + " " + self.note("pids")
        worker = self.bed.start_worker("w", {"forks": command + "\nstdin = none" + extra}, settings)
        task = self.bed.submit("forks")
        wait_until("the task tells its pids", lambda: os.path.exists(self.note("pids")))
        with open(self.note("pids"), encoding="ascii") as file:
            pids = [int(pid) for pid in file.read().split()]
        self.assertTrue(all(map(is_alive, pids)), pids)
        return worker, task, pids

    def check_gone(self, pids):
        wait_until(f"{pids} are gone", lambda: not any(map(is_alive, pids)))

    def test_progress(self):
        """A program tells its progress by a line on stderr: shown while it runs, and an event."""
        script = 'echo "jq:progress 25% a quarter" >&2; while [ ! -e "$1" ]; do sleep 0.05; done'
        self.bed.start_worker("w", {"slow": shell(script, self.note("go")) + "\nstdin = none"})
        task = self.bed.submit("slow")
        wait_until("progress is shown", lambda: self.bed.task(task).get("progress") == 250)
        self.assertEqual(self.bed.task(task)["progress_text"], "a quarter")
        with open(self.note("go"), "wb"):
            pass
        self.bed.wait_for_state(task, "succeeded")

    def test_cancel(self):
        """cancel of a running task ends its whole tree: children, also outside of its session, also deaf to SIGTERM."""
        _, task, pids = self.start_forking_task()
        self.bed.do("task", "cancel", task, "--grace", "300ms")
        self.bed.wait_for_state(task, "cancelled")
        self.check_gone(pids)
        left = [files for _, _, files in os.walk(self.bed.path("w", "work")) if files]
        self.assertEqual(left, [], "nothing of the task is left in the work dir")

    def test_cancel_ready(self):
        """cancel of a task that has not begun ends it at once, and it never runs."""
        self.bed.start_worker("w", {"noop": "command = /bin/true"})
        task = self.bed.submit("noop", "--delay", "1h")
        self.bed.do("task", "cancel", task)
        self.assertEqual(self.bed.task(task)["state"], "cancelled")

    def test_killed_worker_leaves_nothing(self):
        """A worker killed with SIGKILL and started again kills what its predecessor left, before it takes a task."""
        worker, task, pids = self.start_forking_task()
        os.unlink(self.note("pids"))
        worker.kill()
        worker.start()
        self.check_gone(pids)
        wait_until("the task runs again", lambda: os.path.exists(self.note("pids")))
        self.bed.do("task", "cancel", task, "--grace", "100ms")
        self.bed.wait_for_state(task, "cancelled")

    def test_hard_limit(self):
        """At the hard limit the whole tree is killed; the class is timeout."""
        _, task, pids = self.start_forking_task(extra="\nhard_limit = 2s")
        failed = wait_until("an attempt has failed", lambda: self.failed(task))
        self.assertEqual(failed["outcome"], "timeout")
        self.check_gone(pids)
        self.bed.do("task", "cancel", task)

    def failed(self, task):
        item = self.bed.task(task)
        return item if item["attempts"] > 0 else None

    def test_soft_limit(self):
        """At the soft limit the task gets SIGTERM and may tidy up; it has ended by itself, and that is no crash."""
        script = f'trap "echo tidied > {self.note("tidied")}; exit 1" TERM; sleep 60 & wait'
        # The quotes of the shell's trap stand inside of the handler's own.
        path = self.bed.write("tidy.sh", script)
        os.chmod(path, 0o644)
        self.bed.start_worker("w", {"tidy": f"command = /bin/sh {path}\nstdin = none"})
        task = self.bed.submit("tidy", "--soft-limit", "1500ms", "--hard-limit", "60s", "--retry", "0")
        dead = self.bed.wait_for_state(task, "dead")
        self.assertEqual((dead["outcome"], dead["crashes"]), ("timeout", 0))
        self.assertTrue(os.path.exists(self.note("tidied")))

    def test_memory(self):
        """A task that reserved 96 MiB is killed there; its neighbour and the worker live on."""
        handlers = {
            "eats": self.script("eats.py", EATS) + "\nneed = mem=96M\nstdin = none",
            "noop": "command = /bin/true\nstdin = none",
        }
        self.bed.start_worker("w", handlers)
        task = self.bed.submit("eats", "--retry", "0")
        dead = self.bed.wait_for_state(task, "dead")
        self.assertEqual((dead["outcome"], dead["crashes"]), ("process_failure", 1))
        self.assertIn("memory", dead["detail"]["message"])
        self.assertLess(dead["detail"]["rss_bytes"], 160 << 20)
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")

    def test_environment(self):
        """A handler is told each thing once, the task by its id; what its own `env` says counts for more than what all are told."""
        settings = "\nstdin = none\nenv = PATH=/usr/bin:/bin LANG=C PLACE=lab"
        self.bed.start_worker("w", {"tells": "command = /usr/bin/env" + settings})
        task = self.bed.submit("tells")
        lines = self.bed.wait_for_state(task, "succeeded")["detail"]["stdout"].splitlines()
        names = [line.split("=", 1)[0] for line in lines]
        self.assertEqual(sorted(names), sorted(set(names)))
        for line in (f"JQ_TASK={task}", "JQ_ATTEMPT=1", "JQ_HANDLER=tells", "PATH=/usr/bin:/bin", "LANG=C", "PLACE=lab"):
            self.assertIn(line, lines)

    def test_output(self):
        """The last 4 KiB of stdout and of stderr are in task show, apart from each other, also of a success; and which worker it ran on."""
        self.bed.start_worker("w", {"talks": shell("seq 1 9000; echo oops >&2") + "\nstdin = none"})
        task = self.bed.submit("talks", "--retry", "0")
        detail = self.bed.wait_for_state(task, "succeeded")["detail"]
        self.assertTrue(detail["stdout"].endswith("8999\n9000\n"), detail["stdout"][-40:])
        self.assertLessEqual(len(detail["stdout"]), 4096)
        self.assertGreater(len(detail["stdout"]), 3000)
        self.assertEqual(detail["stderr"], "oops\n")
        _, text, _ = self.bed.run_jqctl("task", "show", task)
        self.assertIn("| 9000", text)
        self.assertIn("| oops", text)
        self.assertEqual(detail["worker"], "w")
        self.assertRegex(text, r"(?m)^ran on: +w$")

    def test_exit_codes(self):
        """65 is dead at once; 75 is a shortage that costs no attempt; any other is retried `retry.max` times."""
        exits = {f"exit{code}": shell(f"exit {code}") + "\nstdin = none" for code in (1, 65, 75)}
        self.bed.start_worker("w", exits)
        tasks = {code: self.bed.submit(f"exit{code}", "--retry", "2") for code in (1, 65, 75)}
        invalid = self.bed.wait_for_state(tasks[65], "dead")
        self.assertEqual((invalid["outcome"], invalid["detail"]["exit"]), ("invalid_input", 65))
        failed = self.bed.wait_for_state(tasks[1], "dead")
        self.assertEqual((failed["outcome"], failed["attempts"], failed["detail"]["exit"]), ("process_failure", 2, 1))
        wait_until("a shortage is seen", lambda: self.bed.task(tasks[75])["outcome"] == "resource_exhausted")
        self.assertEqual(self.bed.task(tasks[75])["attempts"], 0)

    def test_poison(self):
        """A task that crashes is dead after `crash_limit`, with its signal; mended, it is replayed and succeeds."""
        mended = self.note("mended")
        command = shell(f"test -e {mended} || kill -SEGV $$") + "\nstdin = none"
        self.bed.start_worker("w", {"poison": command})
        task = self.bed.submit("poison", "--retry", "100")
        dead = self.bed.wait_for_state(task, "dead")
        self.assertEqual((dead["crashes"], dead["detail"]["signal"]), (3, 11))
        self.assertEqual([item["id"] for item in self.bed.ask("dead", "ls")["items"]], [task])
        self.assertIn("SIGSEGV", self.bed.run_jqctl("dead", "show", task)[1])

        with open(mended, "w", encoding="ascii"):
            pass
        self.bed.do("dead", "replay", task)
        self.bed.wait_for_state(task, "succeeded")
        self.assertEqual(self.bed.ask("dead", "ls")["items"], [])

    def test_no_handler(self):
        """A worker runs only what its configuration defines: a task for another handler waits, explain says why."""
        self.bed.start_worker("w", {"noop": "command = /bin/true\nstdin = none"})
        other = self.bed.submit("rm")
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")
        self.assertEqual(self.bed.task(other)["state"], "ready")
        self.assertIn("no_worker_can", str(self.bed.ask("task", "explain", other)))

    def test_payload_as_json(self):
        """With `stdin = json` a process reads JSON, however the payload came; what cannot be JSON is invalid input."""
        self.bed.start_worker("w", {"echo": "command = /bin/cat\nstdin = json"})
        for given, words in (('{"a":1,"b":"\u00fc"}', ["--payload"]), ('{"a":1,"b":"\u00fc"}', ["--raw", "--payload"])):
            task = self.bed.submit("echo", *words, given)
            result = self.bed.wait_for_state(task, "succeeded")["detail"]["result"]
            self.assertEqual(json.loads(result["text"]) if "text" in result else result, {"a": 1, "b": "\u00fc"})
        task = self.bed.submit("echo", "--raw", "--payload", "no json")
        self.assertEqual(self.bed.wait_for_state(task, "dead")["outcome"], "invalid_input")

    def test_payload_is_data(self):
        """A parameter is one argument of the command, whatever is in it; a missing one is invalid input."""
        self.bed.start_worker("w", {"says": "command = /usr/bin/printf %s {param.text}\nstdin = none"})
        text = "a b; $(id) `id` 'q' \"d\" {task} ../.."
        task = self.bed.submit("says", payload={"text": text})
        self.assertEqual(self.bed.wait_for_state(task, "succeeded")["detail"]["result"]["text"], text)
        task = self.bed.submit("says", payload={"other": 1})
        self.assertEqual(self.bed.wait_for_state(task, "dead")["outcome"], "invalid_input")


if __name__ == "__main__":
    unittest.main()
