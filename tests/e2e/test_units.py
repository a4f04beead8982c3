#!/usr/bin/env python3
"""The units of conf/systemd, as systemd itself reads them: without a word to say against them, and the broker's hardened."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import BIN, ROOT, TestCase

ANALYZE = shutil.which("systemd-analyze")
EXPOSURE_MAX = 20  # tenths


@unittest.skipUnless(ANALYZE, "systemd-analyze is not installed")
class Units(TestCase):
    def unit(self, name, instance=None):
        """A copy that starts the programs as they were built; of a template the instance."""
        with open(os.path.join(ROOT, "conf/systemd", name), encoding="utf-8") as file:
            text = file.read().replace("/usr/bin/jq", BIN + "/jq")
        return self.bed.write(name.replace("@", f"@{instance}") if instance else name, text)

    def analyze(self, *words):
        done = subprocess.run([ANALYZE, *words], capture_output=True, text=True, timeout=120, check=False)
        if "Unknown command" in done.stderr or "unrecognized option" in done.stderr:
            self.skipTest("this systemd-analyze is too old")
        return done.returncode, done.stdout + done.stderr

    def test_verify(self):
        """Every unit is read without a complaint."""
        units = [self.unit("jqbroker.service"), self.unit("jqworker@.service", "w"), self.unit("jqworker@.socket", "w")]
        code, out = self.analyze("verify", "--man=no", *units)
        about_ours = [line for line in out.splitlines() if "jq" in line]
        self.assertEqual((code, about_ours), (0, []))

    def test_the_broker_is_hardened(self):
        """What the broker's unit leaves open is rated 2.0 of 10 at most."""
        code, out = self.analyze("security", "--offline=true", f"--threshold={EXPOSURE_MAX}", self.unit("jqbroker.service"))
        self.assertEqual(code, 0, out[-400:])


if __name__ == "__main__":
    unittest.main()
