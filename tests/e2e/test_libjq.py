#!/usr/bin/env python3
"""libjq's two examples, as its users would build and run them: a worker, and a client that waits for what it made of a task."""

import os
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, wait_until

EXAMPLES = os.environ.get("JQ_TEST_BIN", "")


class Header(unittest.TestCase):
    def setUp(self):
        self.prefix = os.environ.get("JQ_PREFIX", "")
        if not os.path.exists(os.path.join(self.prefix, "include", "jq.h")):
            self.skipTest("JQ_PREFIX does not name an installed jqmesh: run by `zig build e2e`")

    def build(self, compiler, language, source, output, *words):
        command = [*compiler, "-Wall", "-Wextra", "-Werror", "-x", language, "-I", self.prefix + "/include", "-", "-o", output,
                   "-L", self.prefix + "/lib", *words]
        done = subprocess.run(command, input=source, cwd="/", capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual(done.returncode, 0, done.stderr)

    def test_the_installed_header_needs_no_other(self):
        """A program outside this tree compiles with jq.h alone."""
        source = '#include "jq.h"\nint main(void) { return JQ_STATE_DEAD - 7; }\n'
        self.build(["gcc", "-std=c11"], "c", source, "/dev/null", "-fsyntax-only")

    def test_a_program_links_as_the_header_says(self):
        """With the libraries of "Building" in jq.h and no others, in C and, where there is a compiler of it, in C++."""
        with open(os.path.join(self.prefix, "include", "jq.h"), encoding="utf-8") as file:
            libraries = re.search(r"Building:  cc program.c ((?:-l\w+ ?)+)", file.read()).group(1).split()
        source = """#include "jq.h"
            #include <stdio.h>
            int main(void) {
                struct jq_client *client = NULL;
                struct jq_error error;
                const enum jq_err err = jq_connect(NULL, &client, &error);
                puts(jq_err_text(err));
                return jq_state_name(JQ_STATE_READY) == NULL;
            }"""
        with tempfile.TemporaryDirectory() as folder:
            for language, compiler in (("c", "gcc"), ("c++", "g++")):
                if not shutil.which(compiler):
                    continue
                program = os.path.join(folder, "program")
                self.build([compiler], language, source, program, "-x", "none", *libraries)
                done = subprocess.run([program], capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual((done.returncode, done.stdout), (0, "success\n"))


class Examples(TestCase):
    def run_client(self):
        client = [os.path.join(EXAMPLES, "example_client")]
        return subprocess.run(client, env=self.environment, capture_output=True, text=True, timeout=60, check=False)

    def setUp(self):
        super().setUp()
        self.environment = dict(os.environ, JQ_SERVER=self.bed.request, JQ_SURVEY=self.bed.survey)
        if not os.path.exists(os.path.join(EXAMPLES, "example_client")):
            self.skipTest("JQ_TEST_BIN does not name the folder of the examples: run by `zig build e2e`")

    def test_a_worker_in_c_runs_what_a_client_in_c_submits(self):
        """What jq_submit() accepted, a function registered by jq_worker_handle() runs; jq_wait() brings what it returned."""
        self.bed.start_broker()
        self.bed.process("worker", [os.path.join(EXAMPLES, "example_worker")], self.environment).start()
        done = self.run_client()
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertRegex(done.stdout, r"^task \d+ succeeded: HELLO\n$")

    def test_a_pure_handler_in_c_answers_from_the_cache(self):
        """What jq_worker_pure() declared is run once for the same payload, and the second client gets the same result."""
        self.bed.start_broker()
        self.bed.process("worker", [os.path.join(EXAMPLES, "example_worker")], self.environment).start()
        wait_until("the worker has registered", lambda: self.bed.ask("server", "status")["item"]["workers_alive"])
        first, second = self.run_client(), self.run_client()
        self.assertEqual((first.returncode, second.returncode), (0, 0), first.stderr + second.stderr)
        self.assertRegex(second.stdout, r"^task \d+ succeeded: HELLO\n$")
        self.assertEqual([task["outcome"] for task in self.bed.ask("task", "ls", "--limit", "0")["items"]],
                         ["success", "cached"])

    def test_a_chord_in_c_adds_up_what_its_group_gave(self):
        """jq_flow_chord() runs the callback behind the group; jq_job_parents() and jq_wait_all() bring it their results."""
        self.bed.start_broker()
        chord = [os.path.join(EXAMPLES, "example_chord"), "10"]
        done = subprocess.run(chord, env=self.environment, capture_output=True, text=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, "sum: 385\n"), done.stderr)

    def test_a_worker_that_stops_hands_back_what_was_on_its_way(self):
        """jq_worker_stop() ends jq_worker_run() soon, and nothing stays leased: tasks that come after it go back to their queue."""
        self.bed.start_broker()
        tasks = self.bed.write("tasks.jsonl", '{"handler": "count"}\n' * 5000)
        self.bed.do("task", "submit", "--from-jsonl", tasks)
        worker = self.bed.process("worker", [os.path.join(EXAMPLES, "stopping_worker")], self.environment)
        for _ in range(3):
            self.assertEqual(worker.start().wait(), 0, worker.log())
            queue = self.bed.ask("queue", "show", "default")["item"]
            self.assertEqual(queue["running"], 0)
            self.assertGreater(queue["ready"], 0)

    def test_a_client_outlives_a_broker_that_is_killed_and_comes_back(self):
        """A call that got no answer is asked again under the same request id: the user sees a delay, not an error."""
        broker = self.bed.start_broker()
        self.bed.process("worker", [os.path.join(EXAMPLES, "example_worker")], self.environment).start()
        broker.kill()
        client = subprocess.Popen(
            [os.path.join(EXAMPLES, "example_client")], env=self.environment, stdout=subprocess.PIPE, text=True)
        self.bed.start_broker()
        out, _ = client.communicate(timeout=60)
        self.assertEqual(client.returncode, 0)
        self.assertRegex(out, r"^task \d+ succeeded: HELLO\n$")


if __name__ == "__main__":
    unittest.main()
