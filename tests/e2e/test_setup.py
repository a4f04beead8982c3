#!/usr/bin/env python3
"""What is wrong before the first task: folders, addresses, configurations, disks.

One line that names it, and the right exit code.
"""

import os
import shutil
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import sp
from lib.bed import ROOT, Bed, TestCase, program, shell, wait_until

EX_USAGE, EX_DATAERR, EX_UNAVAILABLE, EX_CANTCREAT, EX_IOERR, EX_TEMPFAIL, EX_CONFIG = 64, 65, 69, 73, 74, 75, 78
NOOP = {"noop": "command = /bin/true\nstdin = none"}
BUSY = 1


class Broker(TestCase):
    def refuses(self, settings, code, *names):
        """Starts one more broker, which must end by itself with one line of error."""
        broker = self.bed.new_broker(settings, name=f"broker{len(self.bed.processes)}").start()
        self.assertEqual(broker.wait(), code, broker.log())
        errors = [line for line in broker.log().splitlines() if "level=info" not in line and "level=warn" not in line]
        self.assertEqual(len(errors), 1, broker.log())
        for name in names:
            self.assertIn(name, errors[0])

    def test_owned(self):
        """A data folder belongs to one running broker: the second ends with 75 and names the first's pid."""
        first = self.bed.start_broker()
        self.bed.submit("noop")
        self.refuses({"broker.listen_http": ""}, EX_TEMPFAIL, self.bed.data, str(first.pid))
        self.assertIsNone(first.child.poll())
        self.bed.submit("noop")

    def test_port_in_use(self):
        """An address that another listens on: 75, naming it; the journal is left as it was."""
        self.bed.start_broker()
        other = {"broker.data_dir": self.bed.path("other"), "broker.listen_http": ""}
        self.refuses(other, EX_TEMPFAIL, self.bed.notice)
        free = {"broker.listen_survey": "tcp://127.0.0.1:0", "broker.listen_notice": "tcp://127.0.0.1:0"}
        self.refuses({**other, **free, "broker.listen_request": self.bed.request}, EX_TEMPFAIL, self.bed.request)
        http = {**other, **free, "broker.listen_request": "tcp://127.0.0.1:0"}
        taken = f"127.0.0.1:{self.bed.http_port}"
        self.refuses({**http, "broker.listen_http": taken}, EX_TEMPFAIL, taken)
        self.bed.submit("noop")

    def first_segment(self):
        return os.path.join(self.bed.data, min(name for name in os.listdir(self.bed.data) if name.endswith(".jql")))

    def test_other_version(self):
        """A journal of another format version is neither read nor touched: 65, naming the file and the version."""
        self.bed.start_broker().stop()
        path = self.first_segment()
        with open(path, "r+b") as file:
            head = bytearray(file.read(4096))
            head[7] = 2
            head[4092:4096] = crc32c(head[:4092]).to_bytes(4, "little")
            file.seek(0)
            file.write(head)
        with open(path, "rb") as file:
            before = file.read()
        self.refuses({}, EX_DATAERR, os.path.basename(path), "version")
        with open(path, "rb") as file:
            self.assertEqual(file.read(), before)

    def test_foreign_file(self):
        """A file that only looks like a segment by its name: 65, naming it."""
        self.bed.start_broker().stop()
        with open(self.first_segment(), "r+b") as file:
            file.write(b"#!/bin/sh\n")
        self.refuses({}, EX_DATAERR, os.path.basename(self.first_segment()))

    def test_data_dir(self):
        """A data folder that cannot be made, or is a file, is named."""
        path = self.bed.write("file", "text")
        broker = self.bed.new_broker({"broker.data_dir": path}, name="broker-file").start()
        self.assertIn(broker.wait(), (EX_CANTCREAT, EX_IOERR), broker.log())
        self.assertIn(path, broker.log())

    def config(self, text):
        """(exit code, the one line) of the broker with this configuration."""
        path = self.bed.write("jqbroker.conf", text)
        command = [program("jqbroker"), "-c", path]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        lines = done.stderr.splitlines()
        self.assertEqual(len(lines), 1, done.stderr)
        self.assertIn(path, lines[0])
        return done.returncode, lines[0]

    def test_configuration(self):
        """A wrong line of the configuration: 78, with file, line, key and reason."""
        cases = [
            ("[broker]\n\ndurabilty = fsync\n", 3, "durabilty"),
            ("[brokr]\ndurability = fsync\n", 1, "brokr"),
            ("[broker]\ndurability = maybe\n", 2, "fsync"),
            ("[limits]\ndepth_max = many\n", 2, "depth_max"),
            ("[limits]\ndepth_max = 0\n", 2, "depth_max"),
            ("[broker]\ndata_dir = here\n", 2, "data_dir"),
            ("what is this\n", 1, ""),
        ]
        for text, number, name in cases:
            with self.subTest(text=text):
                code, line = self.config(text)
                self.assertEqual(code, EX_CONFIG, line)
                self.assertIn(f":{number}:", line)
                self.assertIn(name, line)

    def test_command_line(self):
        """Unknown options, missing values, files that are not there."""
        cases = (["--frobnicate"], ["-c"], ["--set", "broker.nothing=1"], ["-c", "/no/such.conf"])
        names = ("--frobnicate", "-c", "nothing", "/no/such.conf")
        codes = (EX_USAGE, EX_USAGE, EX_CONFIG, EX_CONFIG)
        for words, name, code in zip(cases, names, codes):
            with self.subTest(words=words):
                command = [program("jqbroker"), *words]
                done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
                self.assertEqual(done.returncode, code, done.stderr)
                self.assertEqual(len(done.stderr.splitlines()), 1, done.stderr)
                self.assertIn(name, done.stderr)

    def test_damaged_log(self):
        """A torn end of the log is cut; what was acknowledged before it is there."""
        self.bed.start_broker()
        tasks = [self.bed.submit("noop") for _ in range(5)]
        self.bed.broker.kill()
        end = self.bed.ask("journal", "stat", self.bed.data)["item"]["end_lsn"]
        with open(self.first_segment(), "r+b") as file:
            file.seek(4096 + end)
            file.write(b"JQBK" + os.urandom(300))
        self.bed.broker.start()
        self.bed.wait_for_broker()
        for task in tasks:
            self.assertEqual(self.bed.task(task)["state"], "ready")


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = (crc >> 1) ^ (0x82F63B78 if crc & 1 else 0)
    return crc ^ 0xFFFFFFFF


@unittest.skipUnless(os.geteuid() == 0 and shutil.which("mount"), "needs root, to mount a small disk")
class FullDisk(TestCase):
    def mount(self, size):
        os.makedirs(self.bed.path("disk"), exist_ok=True)
        command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", self.bed.path("disk")]
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        if done.returncode != 0:
            self.skipTest(f"cannot mount: {done.stderr.strip()}")
        self.addCleanup(self.unmount)
        self.bed.data = self.bed.path("disk", "data")

    def unmount(self):
        subprocess.run(["umount", "-l", self.bed.path("disk")], timeout=60, check=False)

    def start(self, mark):
        # From the oldest on, no room is given back: retention keeps every segment.
        sizes = {"journal.segment_size": "1M", "journal.first_segment_size": "1M", "limits.disk_free_min": mark}
        self.bed.start_broker(sizes)

    def fill(self, client):
        """Submits until refused. (ids acknowledged, the last answer or None if the broker is gone)"""
        acknowledged = []
        for _ in range(2000):
            try:
                tasks = [{"handler": "noop", "payload": b"x" * 40000}]
                reply = client.send_once(client.frame("submit", {"tasks": tasks}))
            except sp.Gone:
                return acknowledged, None
            if reply[1] != sp.OK or reply[3].get("exceptions"):
                return acknowledged, reply
            acknowledged.append(reply[3]["first"])
        self.fail("the disk did not fill")

    def check_kept(self, acknowledged):
        tasks = {int(task["id"]) for task in self.bed.ask("task", "ls", "--limit", "0")["items"]}
        self.assertEqual(set(acknowledged) - tasks, set(), "acknowledged and gone")

    def test_disk_mark(self):
        """Below the mark new tasks are refused with `busy`, naming the disk; outcomes are still taken."""
        self.mount("24m")
        self.start("8M")
        acknowledged, reply = self.fill(self.bed.client())
        self.assertGreater(len(acknowledged), 50)
        self.assertIsNotNone(reply, "the broker lives")
        text = str(reply)
        self.assertIn("disk", text)
        self.assertTrue(self.bed.ask("server", "status")["item"]["disk_busy"])
        self.bed.start_worker("w", NOOP)
        wait_until("all tasks end", lambda: self.bed.ask("server", "status")["item"]["tasks_live"] == 0, 60)
        self.check_kept(acknowledged)

    def test_disk_full(self):
        """Without a mark, a disk that is full ends the broker with 74 before it acknowledges what it cannot keep."""
        self.mount("12m")
        self.start("0")
        acknowledged, reply = self.fill(self.bed.client())
        if reply is None:
            self.assertEqual(self.bed.broker.wait(), EX_IOERR)
            last = self.bed.broker.log().strip().splitlines()[-1]
            self.assertIn("journal", last)
        else:
            self.bed.broker.signal(signal.SIGKILL)
            self.bed.broker.wait()
        subprocess.run(["mount", "-o", "remount,size=64m", self.bed.path("disk")], timeout=60, check=True)
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.check_kept(acknowledged)


class Worker(TestCase):
    def refuses(self, handlers, settings, code, *names):
        worker = self.bed.new_worker(f"w{len(self.bed.processes)}", handlers, settings).start()
        self.assertEqual(worker.wait(), code, worker.log())
        for name in names:
            self.assertIn(name, worker.log())

    def test_configuration(self):
        """A handler that cannot be: 78, with file, line and reason."""
        self.refuses({"x": "command = /bin/true\nnede = cpu=1"}, {}, EX_CONFIG, "x.conf:3", "nede")
        self.refuses({"x": "command = /bin/true\nneed = cpu="}, {}, EX_CONFIG, "x.conf", "need")
        self.refuses({"x": "command = /bin/echo {nothing}"}, {}, EX_CONFIG, "x.conf", "{nothing}")
        self.refuses({"x": "kind = exec"}, {}, EX_CONFIG, "x.conf", "command")
        self.refuses(NOOP, {"worker.offers": "cpu=two"}, EX_CONFIG, "offers")
        self.refuses(NOOP, {"worker.handlers_dir": "/no/such/folder"}, EX_CONFIG, "/no/such/folder")

    def test_missing_program(self):
        """A handler whose program is not there fails its tasks by name, and the worker goes on."""
        self.bed.start_broker()
        self.bed.start_worker("w", {**NOOP, "gone": "command = /no/such/program\nstdin = none"})
        dead = self.bed.wait_for_state(self.bed.submit("gone", "--retry", "0"), "dead")
        self.assertIn("/no/such/program", dead["detail"]["message"])
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")

    def test_state_owned(self):
        """A state folder belongs to one running worker: the second ends with 75."""
        self.bed.start_broker()
        self.bed.start_worker("w", NOOP)
        self.refuses(NOOP, {"worker.state_dir": self.bed.path("w", "state")}, EX_TEMPFAIL, self.bed.path("w", "state"))

    def test_output_owned(self):
        """An output folder belongs to one running worker: the second ends with 75, and leaves what the first's task writes alone."""
        self.bed.start_broker()
        note = self.bed.path("go")
        script = "echo part > {output.part}; while [ ! -e \"$1\" ]; do sleep 0.05; done".replace("{output.part}", "$JQ_OUTPUT_DIR/part")
        self.bed.start_worker("w", {"writes": shell(script, note) + "\nstdin = none"})
        output = self.bed.path("w", "output")
        task = self.bed.submit("writes")
        wait_until("it has written", lambda: os.path.exists(os.path.join(output, f".{task}.1", "part")))
        self.refuses(NOOP, {"worker.output_dir": output}, EX_TEMPFAIL, f"output_dir: another worker runs on {output}")
        with open(note, "wb"):
            pass
        self.bed.wait_for_state(task, "succeeded")
        with open(os.path.join(output, task, "part"), encoding="ascii") as file:
            self.assertEqual(file.read(), "part\n")

    def check(self, handlers, settings):
        """(exit code, stdout, stderr) of --check."""
        worker = self.bed.new_worker(f"w{len(self.bed.processes)}", handlers, settings)
        done = subprocess.run([*worker.command, "--check"], capture_output=True, text=True, timeout=60, check=False)
        return done.returncode, done.stdout, done.stderr

    def test_check(self):
        """--check tells what it looked for and found: programs, folders, the user; and makes nothing."""
        state = self.bed.path("new", "state")
        handlers = {**NOOP, "named": "command = env\nenv = PATH=/usr/bin:/bin", "gone": "command = /bin/sh"}
        code, out, err = self.check(handlers, {"worker.state_dir": state, "fact.kernel.command": "uname -r"})
        self.assertEqual((code, err), (0, ""))
        for line in (r"handler +noop: /bin/true", r"handler +named: /usr/bin/env", r"fact +kernel: .*/uname", r"state_dir +" + state):
            self.assertRegex(out, line)
        self.assertFalse(os.path.exists(self.bed.path("new")))

    def test_check_refuses(self):
        """--check ends with 78, and names each thing that is not there, where it is named, and the reason; a worker would start, and fail tasks."""
        plain = self.bed.write("plain", "text")
        os.chmod(plain, 0o644)
        handlers = {
            **NOOP, "gone": "command = /no/such/program", "plain": f"command = {plain}", "named": "command = no-such-program",
            "folder": "command = /usr", "draws": "kind = freecad\nscript = nothing.py",
        }
        settings = {"worker.output_dir": plain, "worker.work_dir": plain + "/work", "worker.token_file": "/no/token",
                    "fact.kernel.command": "/no/such/fact", "freecad.command": "/no/freecadcmd",
                    "freecad.scripts_dir": self.bed.path()}
        code, out, err = self.check(handlers, settings)
        self.assertEqual(code, EX_CONFIG)
        self.assertRegex(out, r"not good.*\n(.*\n)* +handler +noop: /bin/true\n")
        for reason in (
                "gone.conf:1: [handler gone] command: /no/such/program: No such file or directory",
                f"plain.conf:1: [handler plain] command: {plain}: not executable",
                "named.conf:1: [handler named] command: no-such-program: no such program in PATH=/usr/local/sbin",
                "folder.conf:1: [handler folder] command: /usr: no file",
                f"draws.conf:1: [handler draws] script: {self.bed.path('nothing.py')}: No such file or directory",
                "[freecad] command: /no/freecadcmd: no such program",
                "[fact kernel] command: /no/such/fact: No such file or directory",
                f"[worker] output_dir: {plain}: no folder", f"[worker] work_dir: {plain}/work: Not a directory",
                "[worker] token_file: /no/token: No such file or directory"):
            self.assertIn(reason, err)
        self.assertEqual(len(err.splitlines()), 10, err)

    def test_one_name_two_brokers(self):
        """Workers of one name on one machine, each with a broker of its own, do not get into each other's tasks."""
        other = Bed()
        self.addCleanup(other.end)
        tasks = []
        for bed in (self.bed, other):
            bed.start_broker()
            bed.start_worker("twin", {"naps": "command = /bin/sleep 1\nstdin = none"})
            tasks.append((bed, bed.submit("naps", "--retry", "0")))
        for bed, task in tasks:
            self.assertEqual(bed.wait_for_state(task, "succeeded")["attempts"], 0)

    def test_freecad(self):
        """FreeCAD missing: 69, naming the program. FreeCAD broken: its tasks say what it said; others run."""
        handlers = {**NOOP, "cad": "kind = freecad\nscript = step2stl.py"}
        scripts = {"freecad.scripts_dir": os.path.join(ROOT, "worker", "freecad")}
        path = "/no/such/freecadcmd"
        self.refuses(handlers, {**scripts, "freecad.command": path}, EX_UNAVAILABLE, path)
        self.bed.start_broker()
        broken = "/bin/sh -c 'echo broken libraries >&2; exit 3'"
        self.bed.start_worker("w", handlers, {**scripts, "freecad.command": broken})
        task = self.bed.submit("cad", "--payload", "{}")
        failed = wait_until("an attempt has failed", lambda: self.bed.task(task)["detail"])
        self.assertIn("broken libraries", failed["message"])
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")

    def test_before_the_broker(self):
        """A worker that starts before its broker waits for it."""
        worker = self.bed.new_worker("w", NOOP).start()
        wait_until("the worker is up", lambda: "started" in worker.log())
        self.bed.start_broker()
        self.bed.wait_for_state(self.bed.submit("noop"), "succeeded")


if __name__ == "__main__":
    unittest.main()
