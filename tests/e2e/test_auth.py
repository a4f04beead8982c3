#!/usr/bin/env python3
"""Who may do what: tokens with roles and globs; no door is open beyond this machine without them."""

import json
import os
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import TestCase, program

NOOP = {"noop": "command = /bin/true\nstdin = none"}
EX_NOPERM = 77
EX_CONFIG = 78


class Auth(TestCase):
    def start_with_tokens(self):
        """Tokens of every role; the client's may use the queues cad.* and the handler noop only."""
        made = {role: self.bed.new_token(role, role) for role in ("observer", "worker", "admin")}
        made["client"] = self.bed.new_token("client", "client", "--queues", "cad.*", "--handlers", "noop")
        self.tokens = {role: token for role, (token, _) in made.items()}
        path = self.bed.write_secret("tokens", "".join(line + "\n" for _, line in made.values()))
        self.bed.new_broker({"broker.auth": "tokens", "broker.tokens_file": path}).start()
        code, _, err = self.bed.run_jqctl("server", "wait", "--timeout", "60s", token=self.tokens["admin"])
        self.assertEqual(code, 0, err + self.bed.broker.log())

    def jqctl(self, role, *words):
        code, out, err = self.bed.run_jqctl(*words, token=self.tokens.get(role, role))
        return code, out + err

    def refused(self, role, *words, naming=""):
        code, text = self.jqctl(role, *words)
        self.assertEqual(code, EX_NOPERM, text)
        self.assertEqual(len(text.strip().splitlines()), 1, "one line: " + text)
        self.assertIn(naming, text)

    def allowed(self, role, *words):
        code, text = self.jqctl(role, *words)
        self.assertEqual(code, 0, text)
        return text.strip().split("\n")[0]

    def test_check(self):
        """Settings are called good where a broker would start by them: with a file of tokens that can be read, or without any."""
        conf = self.bed.write("jqbroker.conf", "[broker]\nlisten_http =\n")
        path = self.bed.write_secret("tokens", self.bed.new_token("boss", "admin")[1] + "\n")

        def check(*words):
            done = subprocess.run([program("jqbroker"), "--check", "-c", conf, *words], capture_output=True, text=True, timeout=60)
            return done.returncode, done.stdout, done.stderr
        code, out, err = check("--set", "broker.tokens_file=" + path)
        self.assertEqual((code, err), (0, ""))
        self.assertIn(f"good: {conf}\n", out)
        self.assertIn(f"1 tokens in {path}\n", out)
        self.assertRegex(out, r"http +none\n")
        self.assertRegex(check("--set", "broker.auth=off")[1], r"auth +off\n")
        code, out, err = check("--set", "broker.tokens_file=/nowhere")
        self.assertEqual((code, out), (EX_CONFIG, ""))
        self.assertEqual(err, "jqbroker: [broker] tokens_file: /nowhere: No such file or directory\n")

    def test_roles(self):
        """Each role does what the table of ops gives it, and no more."""
        self.start_with_tokens()
        submit = ("task", "submit", "noop", "--queue", "cad.parts")
        task = self.allowed("client", *submit)
        self.refused("observer", *submit)
        self.refused("worker", *submit)
        self.allowed("observer", "task", "show", task)
        self.refused("observer", "task", "cancel", task)
        self.refused("client", "queue", "pause", "cad.parts")
        self.allowed("admin", "queue", "pause", "cad.parts")
        self.allowed("admin", *submit)
        self.refused("worker", "dead", "rm", task)

    def test_globs(self):
        """A token's queues and handlers bound what it may submit; a task beyond them is refused by name."""
        self.start_with_tokens()
        self.allowed("client", "task", "submit", "noop", "--queue", "cad.parts")
        self.refused("client", "task", "submit", "noop", "--queue", "mail", naming="queue")
        self.refused("client", "task", "submit", "rm", "--queue", "cad.parts", naming="handler")

    def test_other_queues(self):
        """What is in other queues is not there for such a token, by its id as little as in a list; nor is what it prints."""
        self.start_with_tokens()
        other = self.allowed("admin", "task", "submit", "noop", "--queue", "mail")
        own = self.allowed("client", "task", "submit", "noop", "--queue", "cad.parts")
        for words in (("task", "show"), ("task", "explain"), ("task", "cancel"), ("task", "logs")):
            code, text = self.jqctl("client", *words, other)
            self.assertNotEqual(code, 0, text)
        self.assertEqual(self.bed.client(self.tokens["client"]).ask("task.logs", {"id": int(other)})[1], {"known": False})
        self.assertIn("ready", self.allowed("admin", "task", "ls", "--where", f"id={other}", "--json"))
        code, text = self.jqctl("client", "task", "ls", "--json")
        self.assertEqual([str(item["id"]) for item in json.loads(text)["items"]], [own], text)
        self.refused("client", "blob", "ls")

    def test_wrong_token(self):
        """No token, an unknown one, a cut one: refused, and the broker goes on."""
        self.start_with_tokens()
        good = self.tokens["admin"]
        self.refused("jqt_" + "0" * 64, "task", "ls")
        self.refused(good[:-1] + ("0" if good[-1] != "0" else "1"), "task", "ls")
        for token in (None, "", good[:20], "x" * 128):
            status, body = self.bed.client(token).ask("task.ls")
            self.assertEqual(status, 4, body)
        self.allowed("admin", "task", "ls")

    def test_worker_token(self):
        """A worker needs a worker's token; with it tasks run."""
        self.start_with_tokens()
        path = self.bed.write("worker.token", self.tokens["worker"] + "\n")
        os.chmod(path, 0o600)
        self.bed.new_worker("w", NOOP, {"worker.token_file": path}).start()
        task = self.allowed("client", "task", "submit", "noop", "--queue", "cad.parts")
        self.assertEqual(self.jqctl("observer", "task", "wait", task, "--timeout", "60s")[0], 0)

    def test_worker_without_token(self):
        """A worker whose token is a client's is told so and ends, or keeps asking; it never gets a task."""
        self.start_with_tokens()
        path = self.bed.write("worker.token", self.tokens["client"] + "\n")
        os.chmod(path, 0o600)
        worker = self.bed.new_worker("w", NOOP, {"worker.token_file": path}).start()
        self.assertNotEqual(worker.wait(), 0)
        self.assertIn("forbidden", worker.log())

    def refuses_to_start(self, settings, *names):
        broker = self.bed.new_broker(settings, name=f"broker{len(self.bed.processes)}").start()
        self.assertEqual(broker.wait(), EX_CONFIG, broker.log())
        for name in names:
            self.assertIn(name, broker.log())

    def test_beyond_loopback(self):
        """Without tokens the broker does not listen beyond this machine, on no socket: exit 78, naming the address."""
        port = self.bed.request_port
        for key in ("listen_request", "listen_notice", "listen_survey"):
            self.refuses_to_start({f"broker.{key}": f"tcp://0.0.0.0:{port}"}, "0.0.0.0", "auth")
        self.refuses_to_start({"broker.listen_http": f"0.0.0.0:{port}"}, "0.0.0.0")

    def test_no_tokens_file(self):
        """auth = tokens without a file of tokens: exit 78, naming the file; so is one that others may write."""
        path = self.bed.path("no-such-file")
        self.refuses_to_start({"broker.auth": "tokens", "broker.tokens_file": path}, path)
        path = self.bed.write("tokens", "client nothex * * name\n")
        os.chmod(path, 0o600)
        self.refuses_to_start({"broker.auth": "tokens", "broker.tokens_file": path}, path + ":1")
        os.chmod(path, 0o666)
        self.refuses_to_start({"broker.auth": "tokens", "broker.tokens_file": path}, path)


if __name__ == "__main__":
    unittest.main()
