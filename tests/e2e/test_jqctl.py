#!/usr/bin/env python3
"""jqctl as people and scripts use it: what it prints, on which stream, and how it exits."""

import hashlib
import json
import os
import pty
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import ROOT, START_S, Bed, TestCase, free_ports, program, shell, wait_until

USAGE, DATA, NO_INPUT, UNAVAILABLE, IO_ERROR, TEMPORARY, DENIED, CONFIG = 64, 65, 66, 69, 74, 75, 77, 78
NONE = "tcp://127.0.0.1:1"  # Nobody listens there.


def jqctl(*words, environment=None, stdin=b"", **more):
    """(exit code, stdout, stderr), as text; without the JQ_ variables of this process."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("JQ_")}
    clean.update({"HOME": "/nonexistent", "XDG_CONFIG_HOME": ""}, **(environment or {}))
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **more}
    done = subprocess.run([program("jqctl"), *words], input=stdin, env=clean, timeout=60, check=False, **streams)
    return done.returncode, (done.stdout or b"").decode(), (done.stderr or b"").decode()


def on_terminal(words, environment, columns=80):
    """(exit code, all that a terminal of that width was sent)"""
    pid, terminal = pty.fork()
    if pid == 0:
        ours = {key: value for key, value in os.environ.items() if key != "NO_COLOR"}  # `zig build` sets it.
        os.execve(program("jqctl"), ["jqctl", *words], dict(ours, COLUMNS=str(columns), TERM="xterm", **environment))
    sent = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # The other end is closed.
            break
        if not chunk:
            break
        sent += chunk
    os.close(terminal)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), sent.decode()


class WithoutBroker(unittest.TestCase):
    def test_a_slip_is_named_with_what_was_meant(self):
        """Every word that is unknown costs one line on stderr, nothing on stdout, and exit code 64."""
        slips = [
            (["tsak", "ls"], "unknown command `tsak`; did you mean `task`?"),
            (["task", "sbumit"], "did you mean `submit`?"),
            (["task", "ls", "--limt", "3"], "unknown option `--limt`; did you mean `--limit`?"),
            (["task", "ls", "--bogus"], "see `jqctl task ls --help`"),
            (["task", "show"], "ID is missing"),
            (["task", "show", "1", "2"], "`2` is too much"),
            (["task", "show", "seventeen"], "not a task id such as 17 or 3-17"),
            (["task", "ls", "--json=yes"], "--json takes no value"),
            (["task", "ls", "--limit"], "--limit wants a value"),
            (["task", "ls", "--timeout", "soon"], "--timeout: "),
            (["task", "ls", "--state", "redy"], "no state \"redy\""),
            (["task", "submit"], "HANDLER is missing"),
            (["task", "submit", "h", "--priority", "asap"], "--priority: "),
            (["task", "submit", "h", "--eta", "tomorrow"], "--eta: "),
            (["task", "submit", "h", "--header", "novalue"], "is no NAME=VALUE"),
            (["task", "submit", "h", "--unique", "until_done"], "--unique without --key"),
            (["task", "submit", "h", "--unique", "throttle", "--key", "k"], "--unique throttle wants --unique-for"),
            (["dead", "replay"], "which ones?"),
            (["token", "new"], "--name is missing"),
            (["token", "new", "--name", "Bad/Name"], "Bad/Name"),
            (["token", "new", "--name", "x", "--role", "root"], "--role: "),
            (["task"], "task is no command without a verb; see `jqctl task --help`"),
            ([], "jqctl --help"),
        ]
        for words, message in slips:
            with self.subTest(words=words):
                code, out, err = jqctl("--server", NONE, *words)
                self.assertEqual((code, out), (USAGE, ""))
                self.assertIn(message, err)
                self.assertEqual(err.count("\n"), 1)

    def test_help_stands_at_every_level(self):
        """The help of the whole names every command, and each command has a help of its own with its options."""
        code, whole, err = jqctl("--help")
        self.assertEqual((code, err), (0, ""))
        rows = [line.split() for line in whole.splitlines() if line.startswith("  ") and not line.startswith("  -")]
        commands = [row[:2] for row in rows if row and row[0].isalpha() and row[1].isalpha() and row[0] != "--"]
        self.assertGreater(len(commands), 20)
        for noun, verb in commands:
            code, text, _ = jqctl(noun, verb, "--help")
            self.assertEqual(code, 0)
            self.assertIn(f"Usage: jqctl {noun} {verb}", text)
            self.assertIn(f"{noun} {verb}", jqctl(noun, "--help")[1])
        self.assertEqual(jqctl("help", "task", "submit")[1], jqctl("task", "submit", "--help")[1])
        self.assertEqual(jqctl("--version")[0], 0)

    def test_the_completion_scripts_are_those_of_the_table(self):
        """What lies in tools/completion is what the table of commands makes of it today."""
        for shell_name, file in (("bash", "jqctl.bash"), ("zsh", "_jqctl"), ("fish", "jqctl.fish")):
            with open(os.path.join(ROOT, "tools", "completion", file), encoding="utf-8") as kept:
                self.assertEqual(kept.read(), jqctl("completion", shell_name)[1], f"remake it: jqctl completion {shell_name}")

    def test_bash_completes_nouns_verbs_options_and_values(self):
        """The script really completes, options before the noun included."""
        lines = [("jqctl ta", "task"), ("jqctl task su", "submit"), ("jqctl -s tcp://h:1 queue re", "resume"),
                 ("jqctl task submit x --prio", "--priority"), ("jqctl task submit x --priority u", "urgent")]
        for line, expected in lines:
            words = " ".join(f"'{word}'" for word in line.split())
            script = f". tools/completion/jqctl.bash; COMP_WORDS=({words}); COMP_CWORD={len(line.split()) - 1}; _jqctl; " \
                     'echo "${COMPREPLY[*]}"'
            done = subprocess.run(["bash", "-c", script], cwd=ROOT, capture_output=True, text=True, check=True)
            self.assertEqual(done.stdout.strip(), expected, line)

    def test_a_new_token_is_shown_with_the_line_that_admits_it(self):
        """The line holds the token's SHA-256 and nothing of the token itself; two calls give two tokens."""
        code, out, _ = jqctl("token", "new", "--name", "web", "--role", "admin", "--queues", "cad.*,mail")
        token, line = out.splitlines()
        self.assertEqual(code, 0)
        self.assertRegex(token, "^jqt_[0-9a-f]{64}$")
        self.assertEqual(line.split(), ["admin", hashlib.sha256(token.encode()).hexdigest(), "cad.*,mail", "*", "web"])
        other = json.loads(jqctl("token", "new", "--name", "web", "--json")[1])
        self.assertEqual((other["version"], other["kind"]), (1, "token"))
        self.assertNotEqual(other["item"]["token"], token)

    def test_no_broker_is_said_once_and_exits_69(self):
        """Nobody listens: the address and the reason, after the time that was given."""
        code, out, err = jqctl("-s", NONE, "-t", "1500ms", "queue", "ls")
        self.assertEqual((code, out), (UNAVAILABLE, ""))
        self.assertEqual(err.count("trying again"), 1)
        self.assertIn("127.0.0.1:1: Connection refused", err.splitlines()[-1])

    def test_the_address_comes_from_option_then_environment_then_file(self):
        """--server > JQ_SERVER > [server] url; a bad one is a usage error on the command line, one of configuration elsewhere."""
        bed = Bed()
        self.addCleanup(bed.end)
        conf = bed.write("jqctl.conf", "[server]\nurl = file-is-bad\n")
        for words, environment, expected, named in (
            (["-c", conf, "-s", "option-is-bad"], {"JQ_SERVER": "environment-is-bad"}, USAGE, "option-is-bad"),
            (["-c", conf], {"JQ_SERVER": "environment-is-bad"}, CONFIG, "environment-is-bad"),
            (["-c", conf], {}, CONFIG, "file-is-bad"),
        ):
            code, _, err = jqctl(*words, "queue", "ls", environment=environment)
            self.assertEqual(code, expected)
            self.assertIn(named, err)
        os.makedirs(bed.path("home", ".config", "jqmesh"))
        os.rename(conf, bed.path("home", ".config", "jqmesh", "jqctl.conf"))
        self.assertIn("file-is-bad", jqctl("queue", "ls", environment={"HOME": bed.path("home")})[2])

    def test_a_bad_configuration_exits_78_and_names_the_line(self):
        bed = Bed()
        self.addCleanup(bed.end)
        conf = bed.write("jqctl.conf", "[server]\nulr = tcp://127.0.0.1:1\n")
        code, _, err = jqctl("-c", conf, "queue", "ls")
        self.assertEqual(code, CONFIG)
        self.assertIn("jqctl.conf:2", err)
        self.assertIn("url", err)

    def test_what_is_no_payload_never_leaves(self):
        """A payload that cannot be sent is found before a broker is asked: bad JSON 65, no such file 66, too large 65."""
        bed = Bed()
        self.addCleanup(bed.end)
        large = bed.write("large.bin", "x" * (48 * 1024 + 1))
        for words, expected, named in (
            (["--payload", "{bad"], DATA, "--payload: JSON: line 1"),
            (["--payload", "[" * 30 + "]" * 30], DATA, "deep"),
            (["--payload", json.dumps("x" * 50000)], DATA, "larger than"),
            (["--payload", "@" + large], DATA, "larger than 49152 bytes"),
            (["--payload", "@/nonexistent"], NO_INPUT, "/nonexistent: No such file"),
            (["--from-jsonl", "/nonexistent"], NO_INPUT, "/nonexistent: No such file"),
        ):
            code, out, err = jqctl("-s", NONE, "task", "submit", "h", *words)
            self.assertEqual((code, out), (expected, ""), err)
            self.assertIn(named, err)

    def test_a_folder_without_a_journal_exits_66(self):
        bed = Bed()
        self.addCleanup(bed.end)
        for verb in ("verify", "stat", "dump"):
            self.assertEqual(jqctl("journal", verb, bed.folder)[0], NO_INPUT)
            self.assertEqual(jqctl("journal", verb, bed.path("nowhere"))[0], NO_INPUT)


class Submit(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def run_with(self, stdin, *words):
        return jqctl("-s", self.bed.request, *words, stdin=stdin)

    def test_what_is_submitted_is_what_is_shown(self):
        """Every option arrives, and a payload of JSON comes back as it was, through msgpack."""
        payload = {"to": "ann", "n": [1, -2, 3.5, None, True], "deep": {"ü": {}}, "big": 2**53 + 1}
        task_id = self.bed.submit(
            "mail", "--queue", "post.out", "--priority", "urgent", "--need", "mem=1G cpu=2", "--key", "k1", "--retry", "7",
            "--soft-limit", "5s", "--hard-limit", "1m", "--header", "a=b=c", "-H", "trace=1", "--delay", "1h", payload=payload,
        )
        task = self.bed.task(task_id)
        self.assertEqual(task["payload"], payload)
        self.assertEqual(task["headers"], {"a": "b=c", "trace": "1"})
        shown = [task[key] for key in ("handler", "queue", "priority", "state", "soft_limit_ms", "hard_limit_ms")]
        self.assertEqual(shown, ["mail", "post.out", 9, "scheduled", 5000, 60000])
        self.assertEqual(sorted(task["need"].split()), ["cpu=2", "mem=1G"])
        self.assertEqual(task["retry"]["max"], 7)
        again = self.bed.ask("task", "submit", "mail", "--queue", "post.out", "--key", "k1")
        self.assertEqual(again["item"], {"id": task_id, "duplicate": True})

    def test_payloads_come_from_files_and_stdin_as_json_or_as_bytes(self):
        """@FILE is JSON where its name says so, else bytes; - is JSON; --raw takes any of them as it is."""
        as_json = self.bed.write("p.json", '{"a": 1}')
        as_bytes = self.bed.write("p.txt", "plain text")
        cases = [
            (["-p", "@" + as_json], b"", {"a": 1}),
            (["-p", "@" + as_json, "--raw"], b"", {"text": '{"a": 1}'}),
            (["-p", "@" + as_bytes], b"", {"text": "plain text"}),
            (["-p", "-"], b"[1,2]", [1, 2]),
            (["-p", "-", "--raw"], b"\xff\x00", {"base64": "/wA="}),
            (["-p", "5", "--raw"], b"", {"text": "5"}),
        ]
        for words, stdin, expected in cases:
            code, out, err = self.run_with(stdin, "task", "submit", "h", *words)
            self.assertEqual(code, 0, err)
            self.assertEqual(self.bed.task(out.strip())["payload"], expected, words)

    def test_a_refusal_names_the_field_and_exits_65(self):
        for words, named in ((["Bad/Handler"], "handler"), (["h", "--need", "cpu=="], "need"), (["h", "--queue", "A"], "queue")):
            code, out, err = self.run_with(b"", "task", "submit", *words)
            self.assertEqual((code, out), (DATA, ""))
            self.assertIn(f"invalid: {named}", err)

    def test_lines_of_json_become_tasks_and_bad_ones_are_named_by_their_line(self):
        """Good lines are taken, bad ones told with their line, in order; the summary counts; exit code 1 says that some were refused."""
        lines = [
            '{"handler": "a", "payload": {"i": 1}, "priority": "high", "delay": "1h", "headers": {"x": "y"}, "retry": {"max": 2}}',
            "",
            '{"payload": [2], "queue": "other", "eta": "2999-01-01T00:00:00+01:00", "retry": 9, "key": null}',
            '{"handlr": "a"}',
            "not json",
            '{"handler": "a", "need": "=="}',
            '{"handler": "a", "priority": 10}',
            '["handler"]',
            '{"handler": "a", "headers": {"x": 1}}',
            '{"handler": "last"}',
        ]
        code, out, err = self.run_with("\n".join(lines).encode(), "task", "submit", "common", "--from-jsonl", "-", "-q", "lines")
        self.assertEqual(code, 1)
        ids = out.split()
        self.assertEqual(len(ids), 3)
        told = err.splitlines()
        self.assertEqual([line.split(":")[2] for line in told[:-1]], ["4", "5", "6", "7", "8", "9"])
        for line, reason in zip(told, ["did you mean handler", "JSON", "need", "priority", "not an object", "headers.x"]):
            self.assertIn(reason, line)
        self.assertIn("3 tasks accepted (0 of them known by their key), 6 refused", told[-1])
        first, second, last = map(self.bed.task, ids)
        self.assertEqual([first[k] for k in ("handler", "queue", "priority", "state")], ["a", "lines", 7, "scheduled"])
        self.assertEqual((first["payload"], first["headers"], first["retry"]["max"]), ({"i": 1}, {"x": "y"}, 2))
        self.assertEqual((second["handler"], second["queue"], second["retry"]["max"]), ("common", "other", 9))
        self.assertEqual(second["at_ms"], 32472140400000)
        self.assertEqual(last["handler"], "last")

    def test_the_document_of_lines_has_a_verdict_for_each(self):
        code, out, _ = self.run_with(b'{"handler":"a","key":"k"}\n{"handler":"a","key":"k"}\n{}\n', "task", "submit",
                                     "--from-jsonl", "-", "--json")
        document = json.loads(out)
        self.assertEqual((code, document["kind"], document["version"]), (1, "task.submitted.list", 1))
        self.assertEqual([(item["line"], item["status"], item["duplicate"]) for item in document["items"]],
                         [(1, "ok", False), (2, "ok", True), (3, "invalid", False)])
        self.assertEqual((document["accepted"], document["duplicates"], document["refused"]), (2, 1, 1))

    def test_many_lines_go_in_batches(self):
        """More lines than a batch holds all become tasks, each once; so do they come back, page after page."""
        count = 20000
        stdin = "".join(json.dumps({"payload": i}) + "\n" for i in range(count)).encode()
        code, out, err = self.run_with(stdin, "task", "submit", "bulk", "--from-jsonl", "-")
        self.assertEqual(code, 0, err)
        ids = out.split()
        self.assertEqual(len(set(ids)), count)
        listed = self.bed.ask("task", "ls", "--limit", "0")
        self.assertEqual([item["id"] for item in listed["items"]], sorted(ids, key=int))
        self.assertIsNone(listed["next"])

    def test_a_full_queue_is_waited_for_and_then_exits_75(self):
        """`busy` is no failure at once: jqctl says so once, tries again within its time, and then gives up with 75."""
        self.bed.broker.stop()
        self.bed.start_broker({"limits.depth_max": "2"})
        for _ in range(2):
            self.bed.submit("h")
        code, out, err = self.run_with(b"", "task", "submit", "h", "--timeout", "1s")
        self.assertEqual((code, out), (TEMPORARY, ""))
        self.assertIn("busy", err.splitlines()[-1])
        self.assertLessEqual(err.count("trying again"), 1)


class Look(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()

    def test_pages_are_followed_to_the_limit(self):
        """--limit rows come, whatever a page holds, and --after goes on where it stopped."""
        lines = b'{"handler":"a","queue":"one"}\n{"handler":"b","queue":"two"}\n' * 300
        code, _, err = jqctl("-s", self.bed.request, "task", "submit", "--from-jsonl", "-", stdin=lines)
        self.assertEqual(code, 0, err)
        first = self.bed.ask("task", "ls", "--limit", "450")
        self.assertEqual(len(first["items"]), 450)
        self.assertEqual(first["next"], first["items"][-1]["id"])
        rest = self.bed.ask("task", "ls", "--limit", "450", "--after", first["next"])
        self.assertEqual(len(rest["items"]), 150)
        self.assertEqual(len(self.bed.ask("task", "ls", "--queue", "two", "--limit", "0")["items"]), 300)
        self.assertEqual(len(self.bed.ask("task", "ls", "--handler", "a", "--state", "ready,dead", "-l", "7")["items"]), 7)
        self.assertEqual(self.bed.ask("task", "ls", "--state", "dead")["items"], [])
        _, out, err = self.bed.run_jqctl("task", "ls")
        self.assertEqual(len(out.splitlines()), 101)
        self.assertIn("--after", err)

    def test_a_table_is_aligned_and_plain_where_it_is_piped(self):
        self.bed.submit("short", "-q", "a")
        self.bed.submit("a.handler.with.a.long.name", "-q", "a.long.queue.name")
        _, out, err = self.bed.run_jqctl("task", "ls")
        head, *rows = out.splitlines()
        self.assertNotIn("\033", out)
        self.assertEqual(err, "")
        at = head.index("HANDLER")
        self.assertEqual([row[at:].split()[0] for row in rows], ["short", "a.handler.with.a.long.name"])

    def test_a_table_fits_its_terminal_and_obeys_no_color(self):
        """On a terminal no line is wider than it, cut cells end in an ellipsis, states have colours unless NO_COLOR is set."""
        self.bed.submit("a.handler.with.a.name.that.is.far.too.long.for.any.terminal", "-q", "a.long.queue.name.as.well")
        code, coloured = on_terminal(["-s", self.bed.request, "task", "ls"], {}, columns=60)
        self.assertEqual(code, 0)
        self.assertIn("\033[", coloured)
        code, plain = on_terminal(["-s", self.bed.request, "task", "ls"], {"NO_COLOR": "1"}, columns=60)
        self.assertNotIn("\033[", plain)
        self.assertIn("…", plain)
        self.assertLessEqual(max(len(line) for line in plain.splitlines()), 60)

    def test_explain_says_why_a_task_does_not_run(self):
        """A delay, a paused queue, a missing handler, a need that no worker meets: each by its own words."""
        fails = "command = /bin/sh -c 'echo no such part >&2; exit 65'"
        self.bed.start_worker("small", {"work": "command = /bin/true", "fails": fails}, {"worker.offers": "cpu=1 mem=64M"})
        late = self.bed.submit("work", "--delay", "1h")
        unknown = self.bed.submit("nobody.has.it")
        large = self.bed.submit("work", "--need", "mem=64G")
        self.bed.run_jqctl("queue", "pause", "halted", "--new")
        halted = self.bed.submit("work", "--queue", "halted")
        broken = self.bed.submit("fails")
        self.bed.wait_for_state(broken, "dead")
        for task_id, words in ((late, ["It is not due for another", "delay"]),
                               (unknown, ["No worker that the broker knows", "small does not define the handler nobody.has.it"]),
                               (large, ["No worker that the broker knows", "small does not meet mem=64G"]),
                               (halted, ["Its queue is paused", "jqctl queue resume halted"]),
                               (broken, ["is dead", "Its error: exit 65: no such part", f"jqctl dead show {broken}"])):
            code, out, _ = self.bed.run_jqctl("task", "explain", task_id)
            self.assertEqual(code, 0)
            for word in words:
                self.assertIn(word, out)
            self.assertLessEqual(len(out.splitlines()), 24)
        document = self.bed.ask("task", "explain", unknown)
        self.assertEqual((document["kind"], document["item"]["task"]["id"]), ("task.explanation", unknown))
        self.assertIn("no_worker_can", [line["why"] for line in document["item"]["lines"]])

    def test_what_is_not_there_exits_1(self):
        for words in (["task", "show", "4711"], ["task", "explain", "4711"], ["queue", "show", "none"], ["worker", "show", "none"],
                      ["worker", "drain", "none"], ["task", "cancel", "4711"], ["dead", "rm", "4711"]):
            code, _, err = self.bed.run_jqctl(*words)
            self.assertEqual(code, 1, words)
            self.assertIn("not_found", err)
        self.assertEqual(self.bed.run_jqctl("task", "wait", "4711")[0], 1)
        for words in (["flow", "show", "4711"], ["flow", "cancel", "4711"]):
            self.assertIn("flow 4711: not_found", self.bed.run_jqctl(*words)[2])

    def test_a_mistyped_name_makes_no_queue(self):
        """Of several queues one of which there is not none is touched; a queue may be made so, but not by mistake."""
        self.bed.submit("work", "--queue", "cad")
        for words in (["pause", "cad", "cda"], ["resume", "cda"], ["drain", "cda"]):
            code, _, err = self.bed.run_jqctl("queue", *words)
            self.assertEqual(code, 1, words)
            self.assertIn("queue cda: not_found", err)
            self.assertEqual("--new makes it" in err, words[0] != "resume", err)
        self.assertEqual([(queue["name"], queue["paused"]) for queue in self.bed.ask("queue", "ls")["items"]], [("cad", False)])
        self.assertEqual(self.bed.run_jqctl("queue", "pause", "cda", "--new")[0], 0)
        self.assertTrue(self.bed.ask("queue", "show", "cda")["item"]["paused"])

    def test_a_task_that_lives_is_no_dead_letter(self):
        task = self.bed.submit("work")
        code, out, err = self.bed.run_jqctl("dead", "show", task)
        self.assertEqual((code, out), (1, ""))
        self.assertIn(f"task {task} is ready, not dead", err)

    def test_queues_are_paused_and_workers_drained(self):
        self.bed.start_worker("w", {"work": "command = /bin/true"})
        self.assertEqual(self.bed.run_jqctl("queue", "pause", "a", "b", "--new")[0], 0)
        self.assertEqual([queue["paused"] for queue in self.bed.ask("queue", "ls")["items"]], [True, True])
        self.assertEqual(self.bed.run_jqctl("queue", "resume", "a")[0], 0)
        self.assertFalse(self.bed.ask("queue", "show", "a")["item"]["paused"])
        self.assertIn("queue a is paused until 2097-01-", self.bed.run_jqctl("queue", "pause", "a", "--until", "2097-01-02T00:00:00Z")[2])
        self.assertEqual(self.bed.run_jqctl("worker", "drain", "w")[0], 0)
        self.assertTrue(self.bed.ask("worker", "show", "w")["item"]["draining"])
        self.assertEqual(self.bed.run_jqctl("worker", "drain", "w", "--undo")[0], 0)
        worker = self.bed.ask("worker", "show", "w")["item"]
        self.assertFalse(worker["draining"])
        self.assertEqual([handler["name"] for handler in worker["handlers"]], ["work"])
        self.assertEqual(worker["offers"]["mem"], 2 << 30)

    def test_status_has_the_numbers_of_the_broker(self):
        self.bed.submit("h")
        status = self.bed.ask("server", "status")["item"]
        self.assertEqual((status["ready"], status["submitted_total"], status["durability"]), (1, 1, "fsync"))
        self.assertRegex(status["digest"], "^[0-9a-f]{16}$")
        self.assertIn("durability:", self.bed.run_jqctl("server", "status")[1])

    def test_what_cannot_be_written_exits_74_and_a_closed_pipe_is_quiet(self):
        self.bed.submit("h")
        with open("/dev/full", "wb") as full:
            code, _, err = jqctl("-s", self.bed.request, "task", "ls", stdout=full)
        self.assertEqual(code, IO_ERROR)
        self.assertIn("No space left", err)
        reading, writing = os.pipe()
        os.close(reading)
        try:
            self.assertEqual(jqctl("-s", self.bed.request, "task", "ls", stdout=writing)[2], "")
        finally:
            os.close(writing)


class Outcomes(TestCase):
    HANDLERS = {
        "say": shell('cat; echo "to stderr" >&2'),
        "fail": shell('printf "\\033[31mred"; echo "last words" >&2; exit 65'),
        "stay": shell("exec sleep 60"),
        "bytes": shell('printf "\\001\\377\\000"'),
    }

    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.bed.start_worker("w", {name: f"{lines}\nstdin = payload" for name, lines in self.HANDLERS.items()})

    def test_submit_wait_prints_the_result_and_exits_by_the_outcome(self):
        """The result alone is on stdout; a task that did not succeed exits 1, its cause and last words are on stderr."""
        code, out, err = self.bed.run_jqctl("task", "submit", "say", "--raw", "--payload", "hello", "--wait")
        self.assertEqual((code, out), (0, "hello"), err)
        code, _, err = self.bed.run_jqctl("task", "submit", "fail", "--wait")
        self.assertEqual(code, 1)
        self.assertIn("dead (invalid_input): exit 65", err)
        self.assertIn("last words", err)
        code, out, _ = self.bed.run_jqctl("task", "submit", "fail", "--wait", "--json")
        item = json.loads(out)["item"]
        self.assertEqual((code, item["state"], item["detail"]["exit"]), (1, "dead", 65))

    def test_a_result_of_bytes_is_given_as_it_is(self):
        done = subprocess.run([program("jqctl"), "-s", self.bed.request, "task", "submit", "bytes", "--wait"],
                              capture_output=True, timeout=60, check=False)
        self.assertEqual((done.returncode, done.stdout), (0, b"\x01\xff\x00"))
        code, sent = on_terminal(["-s", self.bed.request, "task", "submit", "bytes", "--wait"], {})
        self.assertEqual(code, 0)
        self.assertIn("not shown on a terminal", sent)
        self.assertNotIn("\x01", sent)

    def test_time_runs_out_with_exit_75_and_the_task_goes_on(self):
        code, out, err = self.bed.run_jqctl("task", "submit", "stay", "--wait", "--timeout", "1500ms")
        self.assertEqual((code, out), (TEMPORARY, ""))
        task_id = err.split()[2]
        self.assertIn("has not ended in time", err)
        self.bed.wait_for_state(task_id, "running")
        self.assertEqual(self.bed.run_jqctl("task", "wait", task_id, "--timeout", "0")[0], TEMPORARY)
        self.assertEqual(self.bed.run_jqctl("task", "cancel", task_id, "--grace", "1s")[0], 0)
        code, out, _ = self.bed.run_jqctl("task", "wait", task_id, "--json")
        self.assertEqual((code, json.loads(out)["items"][0]["state"]), (1, "cancelled"))

    def test_many_are_waited_for(self):
        """Each is told once, as it ends; one that failed makes the exit code 1."""
        lines = b'{"handler":"say"}\n{"handler":"fail"}\n{"handler":"say"}\n'
        code, out, err = jqctl("-s", self.bed.request, "task", "submit", "--from-jsonl", "-", "--wait", "--json", stdin=lines)
        document = json.loads(out)
        self.assertEqual((code, document["kind"]), (1, "task.outcomes"), err)
        self.assertEqual(sorted(item["state"] for item in document["items"]), ["dead", "succeeded", "succeeded"])
        ids = [item["id"] for item in document["items"]]
        code, out, _ = self.bed.run_jqctl("task", "wait", *ids)
        self.assertEqual((code, len(out.splitlines())), (1, 4))

    def test_a_wait_outlives_the_broker(self):
        """The broker is killed and comes back while jqctl waits: it says that it tries again, and gets the outcome."""
        task_id = self.bed.submit("stay")
        self.bed.wait_for_state(task_id, "running")
        waiting = subprocess.Popen([program("jqctl"), "-s", self.bed.request, "task", "wait", task_id], stdout=subprocess.PIPE,
                                   stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        wait_until("a parked wait", lambda: self.bed.ask("server", "status")["item"]["parked_waits"] == 1)
        self.bed.broker.kill()
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(self.bed.run_jqctl("task", "cancel", task_id)[0], 0)
        out, err = waiting.communicate(timeout=START_S)
        self.assertEqual(waiting.returncode, 1, err)
        self.assertIn("cancelled", out)

    def test_the_time_of_a_wait_ends_without_the_broker_too(self):
        """The broker goes and does not come back: the wait ends when its --timeout says, as one that is over, not as an error."""
        task_id = self.bed.submit("stay")
        self.bed.wait_for_state(task_id, "running")
        waiting = subprocess.Popen([program("jqctl"), "-s", self.bed.request, "-t", "1500ms", "task", "wait", task_id],
                                   stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        self.addCleanup(waiting.kill)
        wait_until("a parked wait", lambda: self.bed.ask("server", "status")["item"]["parked_waits"] == 1)
        self.bed.broker.kill()
        _, err = waiting.communicate(timeout=START_S)
        self.bed.broker.start()
        self.bed.wait_for_broker()
        self.assertEqual(waiting.returncode, TEMPORARY, err)
        self.assertIn(f"task {task_id} has not ended in time", err)

    def test_a_bar_is_drawn_on_a_terminal_and_wiped_out(self):
        code, sent = on_terminal(["-s", self.bed.request, "task", "submit", "stay", "--wait", "--timeout", "4s"], {})
        self.assertEqual(code, TEMPORARY)
        self.assertIn("] ", sent)
        self.assertIn("running", sent)
        self.assertIn("\r\033[Kjqctl: task", sent)

    def test_hostile_output_cannot_drive_the_terminal(self):
        """Escape sequences in what a handler wrote are shown, not obeyed."""
        task_id = self.bed.submit("fail")
        self.bed.run_jqctl("task", "wait", task_id)
        for words in (["task", "show", task_id], ["dead", "show", task_id], ["task", "wait", task_id]):
            out = self.bed.run_jqctl(*words)[1]
            self.assertNotIn("\033", out)
        self.assertIn("\\u001b[31mred", self.bed.run_jqctl("task", "show", task_id)[1])

    def test_waiting_for_what_cannot_run_says_so(self):
        """After a while jqctl says that no worker ever could, and goes on waiting."""
        code, _, err = self.bed.run_jqctl("task", "submit", "nobody.has.it", "--wait", "--timeout", "6s")
        self.assertEqual(code, TEMPORARY)
        self.assertIn("is not running: no_worker_can", err)

    def test_dead_letters_are_replayed_and_removed(self):
        """By id, or all of them; never all of them unasked."""
        ids = [self.bed.submit("fail", "-q", queue) for queue in ("a", "a", "b")]
        self.bed.run_jqctl("task", "wait", *ids)
        self.assertEqual(sorted(item["id"] for item in self.bed.ask("dead", "ls")["items"]), sorted(ids))  # By time of death.
        self.assertEqual(len(self.bed.ask("dead", "ls", "--queue", "b")["items"]), 1)
        self.assertEqual(self.bed.ask("dead", "show", ids[0])["item"]["detail"]["stderr"], "last words\n")
        code, _, err = self.bed.run_jqctl("dead", "rm", "--all")
        self.assertEqual(code, USAGE)
        self.assertIn("--yes", err)
        document = self.bed.ask("dead", "replay", ids[0], "4711", codes=(1,))
        self.assertEqual([item["status"] for item in document["items"]], ["ok", "not_found"])
        self.bed.wait_for_state(ids[0], "dead")
        self.assertEqual(len(self.bed.ask("dead", "rm", "--all", "--queue", "a", "--yes")["items"]), 2)
        self.assertEqual([item["id"] for item in self.bed.ask("dead", "ls")["items"]], ids[2:])
        self.assertEqual(self.bed.run_jqctl("dead", "rm", ids[2])[0], 0)
        self.assertEqual(self.bed.ask("dead", "ls")["items"], [])


class Tokens(TestCase):
    def setUp(self):
        super().setUp()
        self.tokens, lines = {}, []
        for role in ("admin", "client", "observer"):
            made = json.loads(jqctl("token", "new", "--name", role, "--role", role, "--queues", "mail", "--json")[1])["item"]
            self.tokens[role] = made["token"]
            lines.append(made["line"])
        file = self.bed.write("tokens", "\n".join(lines) + "\n")
        os.chmod(file, 0o600)
        self.bed.start_broker({"broker.auth": "tokens", "broker.tokens_file": file})

    def test_a_token_opens_what_its_role_and_queues_allow(self):
        submit = ["task", "submit", "h", "-q", "mail"]
        for words, role, expected in ((["queue", "ls"], None, DENIED), (["queue", "ls"], "observer", 0), (submit, "observer", DENIED),
                                      (submit, "client", 0), (["task", "submit", "h", "-q", "cad"], "client", DENIED),
                                      (["queue", "pause", "mail"], "client", DENIED), (["queue", "pause", "mail"], "admin", 0)):
            code, _, err = self.bed.run_jqctl(*words, token=self.tokens[role] if role else None)
            self.assertEqual(code, expected, f"{role}: {words}: {err}")

    def test_the_token_comes_from_option_then_environment_then_file(self):
        own = {role: self.bed.write(role + ".token", token + "\n") for role, token in self.tokens.items()}
        for path in own.values():
            os.chmod(path, 0o600)
        conf = self.bed.write("jqctl.conf", f"[server]\nurl = {self.bed.request}\ntoken_file = {own['admin']}\n")
        pause = ["-c", conf, "queue", "pause", "mail", "--new"]
        observer = {"JQ_TOKEN": self.tokens["observer"]}
        self.assertEqual(jqctl(*pause)[0], 0)
        self.assertEqual(jqctl(*pause, environment=observer)[0], DENIED)
        self.assertEqual(jqctl("--token-file", own["admin"], *pause, environment=observer)[0], 0)
        self.assertEqual(jqctl("--token-file", self.bed.path("none"), *pause)[0], NO_INPUT)
        os.chmod(own["admin"], 0o644)
        code, _, err = jqctl(*pause)
        self.assertEqual(code, DENIED)
        self.assertIn("admin.token", err)


class Journal(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.bed.start_worker("w", {"say": shell("echo said")})
        self.first = self.bed.submit("say", "--key", "k", payload={"i": 1})
        self.bed.run_jqctl("task", "wait", self.first)

    def dump(self, *words):
        code, out, err = jqctl("journal", "dump", self.bed.data, "--json", *words)
        self.assertEqual((code, err), (0, ""))
        return [json.loads(line) for line in out.splitlines()]

    def test_a_journal_is_read_beside_its_broker(self):
        """Verified, measured and dumped while the broker owns it, and changed by none of that."""
        before = self.listing()
        for verb in ("verify", "stat", "dump"):
            code, out, err = jqctl("journal", verb, self.bed.data)
            self.assertEqual((code, err), (0, ""))
            self.assertTrue(out)
        self.assertEqual(self.listing(), before)
        document = json.loads(jqctl("journal", "stat", self.bed.data, "--json")[1])["item"]
        counts = {row["type"]: row["count"] for row in document["types"]}
        self.assertTrue(document["sound"])
        self.assertEqual((counts["task_submitted"], counts["task_ended"]), (1, 1))
        self.assertEqual(sum(counts.values()), document["records"])

    def listing(self):
        return sorted((entry.name, entry.stat().st_mtime_ns) for entry in os.scandir(self.bed.data) if entry.name.endswith(".jql"))

    def test_the_dump_tells_the_story_of_a_task(self):
        """From submit to end: names for numbers, the payload and the report decoded."""
        story = self.dump("--task", self.first)
        self.assertEqual([record["type"] for record in story], ["task_submitted", "task_leased", "task_ended"])
        submitted, leased, ended = story
        self.assertEqual((submitted["handler"], submitted["queue"], submitted["key"]), ("say", "default", "k"))
        self.assertEqual(submitted["payload"], {"i": 1})
        self.assertEqual(leased["worker"], "w")
        self.assertEqual((ended["state"], ended["detail"]["result"]), ("succeeded", {"text": "said\n"}))
        lsns = [record["lsn"] for record in self.dump()]
        self.assertEqual(lsns, sorted(lsns))
        self.assertEqual([record["type"] for record in self.dump("--type", "task_ended")], ["task_ended"])
        self.assertEqual(len(self.dump("--limit", "3")), 3)
        self.assertEqual(self.dump("--from", str(ended["lsn"]))[0], ended)

    def test_damage_is_found_named_and_passed_over(self):
        """One flipped bit of acknowledged bytes: verify exits 65, names file and LSN, and the dump goes on behind it."""
        ended = self.dump("--type", "task_ended")[0]
        later = self.bed.submit("say")
        self.bed.run_jqctl("task", "wait", later)
        self.bed.broker.stop()
        segment = os.path.join(self.bed.data, "0" * 20 + ".jql")
        with open(segment, "r+b") as file:
            file.seek(4096 + ended["lsn"] + 2)
            byte = file.read(1)[0]
            file.seek(-1, os.SEEK_CUR)
            file.write(bytes([byte ^ 1]))
        code, out, err = jqctl("journal", "verify", self.bed.data, "--json")
        self.assertEqual(code, DATA)
        self.assertFalse(json.loads(out)["item"]["sound"])
        self.assertIn("0" * 20 + ".jql", err)
        code, out, err = jqctl("journal", "dump", self.bed.data, "--json")
        self.assertEqual(code, DATA)
        self.assertIn(later, [json.loads(line).get("task") for line in out.splitlines()])


class Waiting(TestCase):
    def test_server_wait_ends_when_the_broker_comes(self):
        """Started before there is a broker, it ends with 0 soon after; with none it ends with 69 when its time is over."""
        waiting = subprocess.Popen([program("jqctl"), "-s", self.bed.request, "server", "wait"], stderr=subprocess.PIPE)
        self.addCleanup(waiting.kill)
        self.assertIn(b"trying again", waiting.stderr.readline())
        self.bed.start_broker()
        self.assertEqual(waiting.wait(START_S), 0)
        waiting.stderr.close()
        port = free_ports(1)[0]
        self.assertEqual(jqctl("-s", f"tcp://127.0.0.1:{port}", "server", "wait", "--timeout", "300ms")[0], UNAVAILABLE)


if __name__ == "__main__":
    unittest.main()
