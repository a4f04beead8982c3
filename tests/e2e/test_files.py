#!/usr/bin/env python3
"""Files that travel with tasks: through the broker's store to the worker and back, and what happens when it goes wrong."""

import hashlib
import json
import os
import shutil
import struct
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import ROOT, START_S, TestCase, program, shell, wait_until
from lib.relay import Relay

PIECE = 49152
UPPER = shell('tr a-z A-Z < "$1" > "$2"', "{input.part}", "{output.mesh}") + "\nstdin = none"


def flip(path, offset):
    with open(path, "r+b") as file:
        file.seek(offset)
        byte = file.read(1)[0]
        file.seek(offset)
        file.write(bytes([byte ^ 0x20]))


class Files(TestCase):
    def file(self, name, size, seed=0):
        """Lower-case letters, never twice the same for another seed: (path, content, SHA-256 in hex)."""
        block = hashlib.sha256(f"{seed}".encode()).hexdigest().translate(str.maketrans("0123456789", "ghijklmnop"))
        data = (block * (size // len(block) + 1))[:size].encode()
        with open(self.bed.path(name), "wb") as file:
            file.write(data)
        return self.bed.path(name), data, hashlib.sha256(data).hexdigest()

    def stored(self, digest):
        return self.bed.path("data", "blobs", digest[:2], digest)

    def read(self, *names):
        with open(self.bed.path(*names), "rb") as file:
            return file.read()

    def blobs(self):
        return {blob["hash"]: blob for blob in self.bed.ask("blob", "ls")["items"]}

    def run_upper(self, part, *words):
        return self.bed.run_jqctl("task", "submit", "upper", "--input", f"part={part}", "--output",
                                  f"mesh={self.bed.path('out')}", "--wait", *words)

    def test_there_and_back(self):
        """An input comes to the handler, its output to the client; the same content is stored once, and kept while tasks name it.
        What the worker has in its cache is checked before it is used again."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"upper": UPPER})
        part, data, digest = self.file("part", 3 * PIECE + 11)
        for _ in range(2):
            code, _, err = self.run_upper(part)
            self.assertEqual(code, 0, err)
            self.assertEqual(self.read("out"), data.upper())
            flip(self.bed.path("w", "state", "blobs", digest), PIECE + 1)
        made = hashlib.sha256(data.upper()).hexdigest()
        self.assertEqual({name: blob["refs"] for name, blob in self.blobs().items()}, {digest: 2, made: 2})
        task = self.bed.task(self.bed.ask("task", "ls")["items"][0]["id"])
        self.assertEqual((task["inputs"], task["outputs"], task["detail"]["outputs"]),
                         ({"part": digest}, ["mesh"], {"mesh": made}))
        left = [files for _, _, files in os.walk(self.bed.path("w", "work")) if files]
        self.assertEqual(left, [], "nothing is left in the work dir")

    def test_what_a_handler_did_not_make_is_said(self):
        """An output that is not there, or is a link to what is not the task's, ends the attempt as a failure that names it."""
        self.bed.start_broker({"retry.max": "1"})
        self.bed.start_worker("w", {"none": "command = /bin/true",
                                    "link": shell('ln -s /etc/hostname "$1"', "{output.mesh}") + "\nstdin = none"})
        for handler, words in (("none", "made no file"), ("link", "no plain file of the task's own")):
            code, _, err = self.bed.run_jqctl("task", "submit", handler, "--output", "mesh", "--wait")
            self.assertEqual(code, 1)
            self.assertIn(words, err)

    def test_a_handler_that_makes_no_files(self):
        """It gets no output folder, and who asks it for an output is told so at once, for good."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"plain": shell('ls -d "${JQ_OUTPUT_DIR-none}"') + "\nstdin = none\noutput_files_max = 0"})
        code, out, _ = self.bed.run_jqctl("task", "submit", "plain", "--wait")
        self.assertEqual((code, os.listdir(self.bed.path("w", "output"))), (1, []))
        self.assertIn("cannot access 'none'", self.bed.task(self.bed.ask("task", "ls")["items"][0]["id"])["detail"]["stderr"])
        code, _, err = self.bed.run_jqctl("task", "submit", "plain", "--output", "mesh", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("handler plain makes no files", err)

    def test_killed_broker_goes_on_with_a_put(self):
        """A put that the broker's SIGKILL cut off goes on where it was; what is stored then is what was put."""
        self.bed.start_broker()
        part, data, digest = self.file("part", 100 * PIECE + 5)
        client = self.bed.client()
        request = {"hash": bytes.fromhex(digest), "size": len(data)}
        for i in range(90):
            piece = {"offset": i * PIECE, "data": data[i * PIECE:(i + 1) * PIECE]}
            self.assertEqual(client.ask("blob.put", {**request, **piece}), (0, {"have": (i + 1) * PIECE, "whole": False}))
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertGreater(self.bed.client().ask("blob.put", request)[1]["have"], 20 * PIECE)
        self.bed.do("blob", "put", part)
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.bed.do("blob", "get", digest, self.bed.path("back"))
        self.assertEqual(self.read("back"), data)
        for words in (("blob", "put", "/no/such/file"), ("task", "submit", "upper", "--input", "part=/no/such/file")):
            code, _, err = self.bed.run_jqctl(*words)
            self.assertEqual(code, os.EX_NOINPUT, err)
            self.assertIn("/no/such/file: No such file or directory", err)
        printed = subprocess.run([program("jqctl"), "-s", self.bed.request, "blob", "get", digest, "-"],
                                 stdout=subprocess.PIPE, cwd=self.bed.folder, timeout=START_S, check=True)
        self.assertEqual(printed.stdout, data)

    def test_a_large_file_is_sent_while_it_is_added_up(self):
        """A large file comes as a draft; one that a killed broker cut off goes on where it was.
        Put again, nothing is sent."""
        self.bed.start_broker()
        part, data, digest = self.file("part", 200 * PIECE + 7)
        client, draft = self.bed.client(), b"d" * 32
        request = {"draft": draft, "size": len(data)}
        self.assertIs(client.ask("blob.put", request)[1]["draft"], True)
        for i in range(150):
            piece = {"offset": i * PIECE, "data": data[i * PIECE:(i + 1) * PIECE]}
            self.assertEqual(client.ask("blob.put", {**request, **piece}), (0, {"have": (i + 1) * PIECE, "whole": False}))
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        client = self.bed.client()
        have = client.ask("blob.put", request)[1]["have"]
        self.assertGreater(have, 20 * PIECE)
        for at in range(have, len(data), PIECE):
            _, body = client.ask("blob.put", {**request, "offset": at, "data": data[at:at + PIECE]})
        self.assertEqual(body, {"have": len(data), "whole": False})
        self.assertEqual(self.blobs(), {})
        self.assertIs(client.ask("blob.put", {**request, "hash": bytes.fromhex(digest)})[1]["whole"], True)
        self.assertEqual(os.listdir(self.bed.path("data", "blobs", "tmp")), [])
        relay = Relay(self.bed.request_port, [])
        direct, self.bed.request = self.bed.request, f"tcp://127.0.0.1:{relay.port}"
        self.bed.do("blob", "put", part)
        self.assertLess(relay.passed, PIECE)
        other, data, digest = self.file("other", 200 * PIECE + 8, seed=1)
        self.bed.do("blob", "put", other)
        self.assertGreater(relay.passed, len(data))
        self.bed.request = direct
        relay.close()
        self.bed.do("blob", "get", digest, self.bed.path("back"))
        self.assertEqual(self.read("back"), data)

    def test_a_draft_that_another_has_begun(self):
        """A draft is gone on with by the next process that puts the file. Where what came before was not the file's, it comes anew, by its hash."""
        self.bed.start_broker()
        part, data, digest = self.file("part", 180 * PIECE)
        about = os.stat(part)
        name = hashlib.sha256(struct.pack("=5q", about.st_dev, about.st_ino, about.st_size, about.st_mtime_ns // 10**9,
                                          about.st_mtime_ns % 10**9) + data[:PIECE]).digest()
        client, request = self.bed.client(), {"draft": name, "size": len(data)}
        for count, wrong in ((100, False), (100, True)):
            self.assertIs(client.ask("blob.put", request)[1]["draft"], True)
            for at in range(0, count * PIECE, PIECE):
                piece = {"offset": at, "data": bytes(PIECE) if wrong and at else data[at:at + PIECE]}
                self.assertEqual(client.ask("blob.put", {**request, **piece}), (0, {"have": at + PIECE, "whole": False}))
            relay = Relay(self.bed.request_port, [])
            direct, self.bed.request = self.bed.request, f"tcp://127.0.0.1:{relay.port}"
            self.bed.do("blob", "put", part)
            self.bed.request = direct
            relay.close()
            self.assertEqual(relay.passed > len(data), wrong)
            self.assertEqual(list(self.blobs()), [digest])
            self.assertEqual(os.listdir(self.bed.path("data", "blobs", "tmp")), [])
            self.bed.do("blob", "gc")
            wait_until("it is gone", lambda: not os.path.exists(self.stored(digest)))

    def test_a_line_that_breaks_within_a_piece(self):
        """A transfer whose connection breaks in the middle of a large piece, and breaks again, goes on where it was, both ways."""
        self.bed.start_broker()
        part, data, digest = self.file("part", 200 * PIECE + 7)
        direct = self.bed.request
        for words in (("blob", "put", part), ("blob", "get", digest, self.bed.path("back"))):
            relay = Relay(self.bed.request_port, [3 << 20, 5 << 20])
            self.bed.request = f"tcp://127.0.0.1:{relay.port}"
            self.bed.do(*words)
            self.bed.request = direct
            self.assertEqual(relay.broken, 2)
            relay.close()
        self.assertEqual(self.read("back"), data)

    def test_killed_worker_fetches_again(self):
        """A worker that SIGKILL took in the middle of a fetch goes on with what it had of it, checks it, and runs the task."""
        self.bed.start_broker()
        part, data, digest = self.file("part", 64 * PIECE + 5)
        worker = self.bed.start_worker("w", {"upper": UPPER})
        self.bed.do("blob", "put", part)
        task = self.bed.submit("upper", "--input", f"part=sha256:{digest}", "--output", "mesh")
        worker.kill()
        cache = self.bed.path("w", "state", "blobs")
        os.makedirs(cache, exist_ok=True)
        for name in os.listdir(cache):
            os.remove(os.path.join(cache, name))
        with open(os.path.join(cache, digest + ".part"), "wb") as file:
            file.write(data[:40 * PIECE - 7] + b"#" * 100)  # As if cut off within a piece, or worse.
        worker.start()
        made = self.bed.wait_for_state(task, "succeeded")["detail"]["outputs"]["mesh"]
        self.assertEqual(made, hashlib.sha256(data.upper()).hexdigest())

    def test_files_of_lines_flows_and_schedules(self):
        """A task of a line, of a flow or of a schedule has files as any other, by the fields of the protocol; a blob that nobody has is
        refused in each place."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"upper": UPPER})
        part, data, digest = self.file("part", 1000)
        made = hashlib.sha256(data.upper()).hexdigest()
        self.bed.do("blob", "put", part)
        for known, blob in ((True, digest), (False, "0" * 64)):
            task = {"handler": "upper", "inputs": {"part": blob}, "outputs": ["mesh"], "params": {"scale": 2}}
            lines = self.bed.write("lines", json.dumps(task) + "\n")
            flow = self.bed.write("flow.json", json.dumps({"tasks": [task]}))
            for words in (("task", "submit", "--from-jsonl", lines), ("flow", "submit", flow),
                          ("schedule", "set", "daily", "@daily", "upper", "--input", f"part=sha256:{blob}", "--output",
                           "mesh", "--param", "scale=2")):
                code, _, err = self.bed.run_jqctl(*words)
                self.assertEqual(code == 0, known, err)
                self.assertTrue(known or "not stored" in err, err)
        self.bed.do("schedule", "run", "daily")
        wait_until("all three have ended", lambda: [task["state"] for task in self.bed.ask("task", "ls")["items"]] ==
                   ["succeeded"] * 3)
        for item in self.bed.ask("task", "ls")["items"]:
            task = self.bed.task(item["id"])
            self.assertEqual((task["inputs"], task["outputs"], task["detail"]["outputs"]),
                             ({"part": digest}, ["mesh"], {"mesh": made}))
        scheduled = self.bed.ask("schedule", "show", "daily")["item"]["task"]
        self.assertEqual((scheduled["inputs"], scheduled["outputs"]), ({"part": digest}, ["mesh"]))

    def hold_back(self, name, digest):
        """The worker's fetch of this blob comes to nothing while what is returned stays open."""
        cache = self.bed.path(name, "state", "blobs")
        os.makedirs(cache, exist_ok=True)
        os.mkfifo(os.path.join(cache, digest))

        def writer():
            try:
                return os.open(os.path.join(cache, digest), os.O_WRONLY | os.O_NONBLOCK)
            except OSError:
                return None  # Nobody reads yet.
        return writer

    def test_a_file_that_does_not_come_holds_up_nothing_else(self):
        """While a task waits for its file, others get theirs; a cancel ends it at once, and its fetch at the next piece; a worker that stops
        hands it back."""
        self.bed.start_broker()
        worker = self.bed.start_worker("w", {"upper": UPPER})
        stuck, held = [], []
        for i in range(2):
            part, _, digest = self.file(f"part{i}", PIECE, i)
            self.bed.do("blob", "put", part)
            writer = self.hold_back("w", digest)
            stuck.append(self.bed.submit("upper", "--input", f"part=sha256:{digest}", "--output", "mesh"))
            held.append(wait_until("its fetch waits", writer))
        part, data, _ = self.file("part", PIECE, 7)
        self.assertEqual(self.run_upper(part)[0], 0)
        self.assertEqual(self.read("out"), data.upper())
        self.bed.do("task", "cancel", stuck[0])
        self.bed.wait_for_state(stuck[0], "cancelled")

        def given_up():
            try:
                os.write(held[0], b"a")
            except BrokenPipeError:
                return True
            except BlockingIOError:
                pass
            return False
        wait_until("nobody reads it any more", given_up)
        self.assertEqual(self.bed.task(stuck[1])["state"], "running")
        self.assertEqual(worker.stop(), 0)
        self.assertEqual(self.bed.task(stuck[1])["state"], "ready")
        for fd in held:
            os.close(fd)

    def test_quotas(self):
        """The cache gives up what it used longest ago for what comes; what is too large for it goes past it. Outputs that are larger in all than
        their handler may give back are a failure that says so, and none is kept."""
        self.bed.start_broker({"retry.max": "1"})
        both = shell('cat "$1" > "$2" && cat "$1" > "$3"', "{input.part}", "{output.a}", "{output.b}")
        self.bed.start_worker("w", {"both": both + "\nstdin = none\noutput_files_max = 1M"},
                              {"worker.blob_cache": "500K"})
        parts = [self.file(f"part{i}", size, i) for i, size in enumerate((300000, 400000, 520000, 530000))]
        for i, (path, _, digest) in enumerate(parts):
            code, _, err = self.bed.run_jqctl("task", "submit", "both", "--input", f"part={path}", "--output", "a",
                                              "--output", "b", "--wait")
            self.assertEqual(code, 1 if i == 3 else 0, err)
            cached = os.listdir(self.bed.path("w", "state", "blobs"))
            self.assertEqual(cached, [parts[min(i, 1)][2]])
        self.assertIn("output b: the task's outputs are larger than output_files_max, 1048576 bytes", err)
        self.assertEqual(self.bed.ask("dead", "ls")["items"][0]["outcome"], "process_failure")

    def test_a_flipped_byte_and_a_lost_file(self):
        """A blob that changed on disk, or is gone, is never handed out: its task is dead and says so. Put again, it is whole, and the
        task can be replayed."""
        self.bed.start_broker()
        self.bed.start_worker("w", {"upper": UPPER}, {"worker.blob_cache": "0"})
        part, data, digest = self.file("part", 5 * PIECE)
        self.assertIn("not stored", self.bed.run_jqctl("blob", "get", 64 * "0", self.bed.path("none"))[2])
        self.bed.do("blob", "put", part)
        flip(self.stored(digest), 3 * PIECE + 100)
        code, _, err = self.run_upper(f"sha256:{digest}")
        self.assertEqual(code, 1)
        self.assertIn("input part: not_found: hash: its file is damaged", err)
        wait_until("the blob counts as lost", lambda: not self.blobs()[digest]["stored"])
        code, _, err = self.run_upper(f"sha256:{digest}")
        self.assertIn("part: its blob is not stored", err)
        self.bed.do("blob", "put", part)
        dead = self.bed.ask("dead", "ls")["items"][0]
        self.assertEqual(dead["outcome"], "invalid_input")
        self.bed.do("dead", "replay", dead["id"])
        self.bed.wait_for_state(dead["id"], "succeeded")
        self.bed.broker.stop()
        os.remove(self.stored(digest))
        self.bed.broker.start()
        self.bed.wait_for_broker()
        wait_until("the start misses it", lambda: not self.blobs()[digest]["stored"])

    @unittest.skipUnless(shutil.which("freecadcmd"), "freecadcmd not found: apt-get install freecad-python3")
    def test_a_model_travels_through_freecad(self):
        """A STEP file from the client becomes a mesh at the client, under the names that the client gave."""
        scripts = os.path.join(ROOT, "worker", "freecad")
        self.bed.write("block.py", "import Part\ndef run(params, ctx):\n"
                       "    Part.makeBox(10, 20, 30).exportStep(ctx.require_output_dir() + '/block.step')\n")
        self.bed.start_broker()
        self.bed.start_worker("w", {
            "block": f"kind = freecad\nscript = {self.bed.path('block.py')}\nneed = freecad=1",
            "cad.step2stl": f"kind = freecad\nscript = {scripts}/step2stl.py\nneed = freecad=1",
        }, {"worker.offers": "cpu=4 mem=2G freecad=1", "freecad.scripts_dir": scripts})
        step, stl = self.bed.path("block.step"), self.bed.path("block.stl")
        self.assertEqual(self.bed.run_jqctl("task", "submit", "block", "--output", f"solid={step}", "--wait")[0], 0)
        code, out, err = self.bed.run_jqctl("task", "submit", "cad.step2stl", "--input", f"part={step}", "--param",
                                            "tolerance=0.05", "--output", f"mesh={stl}", "--wait")
        self.assertEqual(code, 0, err)
        self.assertAlmostEqual(json.loads(out)["mesh_volume_mm3"], 6000, delta=0.01)
        self.assertEqual(os.path.getsize(stl), json.loads(out)["bytes"])

    def test_a_full_store(self):
        """A store that is full says so at once, and takes it when there is room again."""
        self.bed.start_broker({"limits.blob_bytes_max": "1M"})
        first, _, _ = self.file("first", 700000, 1)
        second, _, _ = self.file("second", 700000, 2)
        self.bed.do("blob", "put", first)
        code, _, err = self.bed.run_jqctl("blob", "put", second)
        self.assertNotEqual(code, 0)
        self.assertIn("the store is full", err)
        self.bed.do("blob", "gc")
        wait_until("there is room", lambda: self.bed.run_jqctl("blob", "put", second)[0] == 0)


if __name__ == "__main__":
    unittest.main()
