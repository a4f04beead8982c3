#!/usr/bin/env python3
"""Results of pure handlers, kept: the same question is answered without a run, over a killed broker, with its files."""

import hashlib
import os
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, shell, wait_until

PURE = "\nstdin = none\npure = yes\nversion = 3"
UPPER = shell('tr a-z A-Z < "$1" > "$2"; echo made', "{input.part}", "{output.mesh}") + PURE
DRAW = shell("od -An -N8 -tx8 /dev/urandom") + PURE


class Cache(TestCase):
    def mesh(self, part, *words):
        """Submits with a file, waits; the task's outcome and what came back."""
        out = self.bed.path("out")
        if os.path.exists(out):
            os.unlink(out)
        code, _, err = self.bed.run_jqctl("task", "submit", "upper", "--input", f"part={part}", "--output",
                                          f"mesh={out}", "--wait", *words)
        self.assertEqual(code, 0, err)
        with open(out, "rb") as file:
            return self.bed.ask("task", "ls", "--limit", "0")["items"][-1]["outcome"], file.read()

    def drawn(self, *words):
        """A number that nobody guesses: the same again only from the cache."""
        task = self.bed.wait_for_state(self.bed.submit("draw", *words), "succeeded")
        return task["outcome"], task["detail"]["result"]

    def records(self, kind):
        return [row for row in self.bed.journal() if row["type"] == kind]

    def test_files_and_a_killed_broker(self):
        """A part that was meshed before comes back at once, from a broker that was killed too; another part is meshed."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"upper": UPPER})
        part, other = self.bed.write("part", "a cube"), self.bed.write("other", "a ball")
        self.assertEqual(self.mesh(part), ("success", b"A CUBE"))
        self.assertEqual(self.mesh(part), ("cached", b"A CUBE"))
        self.assertEqual(self.mesh(other), ("success", b"A BALL"))
        self.assertEqual(self.mesh(part, "--no-cache"), ("success", b"A CUBE"))
        made = hashlib.sha256(b"A CUBE").hexdigest()
        refs = {blob["hash"]: blob["refs"] for blob in self.bed.ask("blob", "ls")["items"]}
        self.assertEqual(refs[made], 4, "three tasks, and what is kept")
        self.bed.broker.kill()
        kept = self.records("cache_stored")[0]
        self.assertEqual((kept["version"], kept["made"], kept["output_bytes"]), ("3", 1, 6))
        self.bed.broker.start()
        self.bed.wait_for_broker()
        wait_until("the worker has registered again", lambda: self.bed.ask("server", "status")["item"]["workers_alive"])
        self.assertEqual(self.mesh(part), ("cached", b"A CUBE"))

    def test_numbers(self):
        """What is answered is counted and shown; what was purged runs again; a payload that names a path is never answered."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"draw": DRAW})
        first = self.drawn("--param", "seed=1")
        self.assertEqual(first[0], "success")
        self.assertEqual(self.drawn("--param", "seed=1"), ("cached", first[1]))
        self.assertEqual(self.drawn("--param", "seed=2")[0], "success")
        stat = self.bed.ask("cache", "stat")["item"]
        self.assertEqual((stat["entries"], stat["hits_total"], stat["misses_total"]), (2, 1, 2))
        self.bed.do("cache", "purge")
        self.assertEqual(self.bed.ask("cache", "stat")["item"]["entries"], 0)
        again = self.drawn("--param", "seed=1")
        self.assertEqual((again[0], again[1] != first[1]), ("success", True))
        for _ in range(2):
            self.assertEqual(self.drawn("--param", "file=/data/part")[0], "success")


if __name__ == "__main__":
    unittest.main()
