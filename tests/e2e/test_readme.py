#!/usr/bin/env python3
"""What README.md says that a machine can check: its first steps run, its files are there, its commands exist."""

import os
import re
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import BIN, ROOT, START_S, Bed, free_ports, program

with open(os.path.join(ROOT, "README.md"), encoding="utf-8") as file:
    README = file.read()


class Readme(unittest.TestCase):
    def test_the_first_steps_run(self):
        """The block under "Start your own", but for the build and the ports, prints what it says."""
        bed = Bed()
        self.addCleanup(bed.end)
        block = README.split("## Start your own")[1].split("\n\n")[2]
        lines = [line[4:] for line in block.splitlines() if "tools/dev install" not in line]
        self.assertGreater(len(lines), 5)
        request, notice, survey = free_ports(3)
        script = "\n".join(lines).replace("/tmp/jq/", bed.folder + "/").replace("127.0.0.1:7710", f"127.0.0.1:{request}")
        script = script.replace("jqbroker --set", f"jqbroker --set broker.listen_notice=tcp://127.0.0.1:{notice} --set broker.listen_http= "
                                                  f"--set broker.listen_survey=tcp://127.0.0.1:{survey} --set")
        script = script.replace("jqworker --set", f"jqworker --set worker.request=tcp://127.0.0.1:{request} "
                                                  f"--set worker.survey=tcp://127.0.0.1:{survey} --set")
        environment = dict(os.environ, PATH=BIN + ":" + os.environ["PATH"], JQ_SERVER=f"tcp://127.0.0.1:{request}")
        environment.pop("JQ_TOKEN", None)
        shell = subprocess.Popen(["/bin/sh", "-ec", script], env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
                                 start_new_session=True)
        try:
            said = shell.stdout.readline()
            while said and "hello world" not in said:
                said = shell.stdout.readline()
            self.assertEqual(shell.wait(START_S), 0)
            self.assertEqual(said, "hello world\n")
        finally:
            os.killpg(shell.pid, signal.SIGKILL)
            shell.communicate(timeout=START_S)

    def test_its_files_are_there(self):
        """Every file of this repository that it names."""
        named = re.findall(r"\]\(([^)#:]+)", README)
        named += re.findall(r"`((?:tests|broker|worker|common|tools|conf)/[\w./]+)`", README)
        self.assertGreater(len(named), 40)
        self.assertEqual([name for name in named if not os.path.exists(os.path.join(ROOT, name))], [])

    def test_its_commands_exist(self):
        """Every `jqctl NOUN VERB|VERB` in it."""
        found = set()
        for noun, verbs in re.findall(r"(?:`|  |\$ )jqctl ([a-z]+) ([a-z]+(?:\|[a-z0-9]+)*)", README):
            found |= {(noun, verb) for verb in verbs.split("|")}
        self.assertGreater(len(found), 50)
        missing = [words for words in sorted(found)
                   if subprocess.run([program("jqctl"), *words, "--help"], capture_output=True, timeout=START_S, check=False).returncode]
        self.assertEqual(missing, [])


if __name__ == "__main__":
    unittest.main()
