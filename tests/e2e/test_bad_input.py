#!/usr/bin/env python3
"""Garbage on every port, broken frames, wrong types: each is refused by name, the broker lives on, nothing is lost."""

import os
import random
import socket
import struct
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib import msgpack, sp
from lib.bed import TestCase, wait_until

INVALID, NOT_FOUND, TOO_BIG = 6, 7, 10
FRAME_MAX = 64 * 1024
ROUNDS = 40


class BadInput(TestCase):
    def setUp(self):
        super().setUp()
        self.bed.start_broker()
        self.kept = self.bed.submit("noop", "--priority", "high")

    def check_alive(self):
        """The same process, without a restart, still serves and still has what it acknowledged."""
        self.assertIsNone(self.bed.broker.child.poll(), self.bed.broker.log()[-2000:])
        self.assertEqual(self.bed.task(self.kept)["state"], "ready")
        self.bed.submit("noop")

    def ports(self):
        return {
            "request": self.bed.request_port, "notice": self.bed.notice_port, "survey": self.bed.survey_port,
            "http": self.bed.http_port,
        }

    def open_fds(self):
        return len(os.listdir(f"/proc/{self.bed.broker.pid}/fd"))

    def test_garbage(self):
        """Random bytes on every port, before and after a good SP handshake: no crash, no descriptor left open."""
        chance = random.Random(3)
        before = self.open_fds()
        for name, port in self.ports().items():
            for round_number in range(ROUNDS):
                with socket.create_connection(("127.0.0.1", port), 5) as stream:
                    if round_number % 2 and name != "http":
                        protocol = {"request": sp.REQ, "notice": sp.SUB, "survey": sp.RESPONDENT}[name]
                        stream.sendall(b"\0SP\0" + struct.pack(">HH", protocol, 0))
                    try:
                        stream.sendall(chance.randbytes(chance.randint(1, 4096)))
                    except OSError:
                        pass  # It was shown the door already.
        self.check_alive()
        wait_until("descriptors are closed", lambda: self.open_fds() <= before + 2)

    def test_garbage_on_ipc(self):
        """The same on the socket in the file system."""
        chance = random.Random(4)
        before = self.open_fds()
        for _ in range(ROUNDS):
            with socket.socket(socket.AF_UNIX) as stream:
                stream.connect(self.bed.path("broker.sock"))
                stream.sendall(chance.choice((b"", b"\0SP\0\0\x30\0\0")) + chance.randbytes(chance.randint(1, 2048)))
        self.check_alive()
        wait_until("descriptors are closed", lambda: self.open_fds() <= before + 2)

    def test_silent_peers(self):
        """Peers that connect and say nothing, or half a handshake, hold nobody up."""
        held = []
        for port in self.ports().values():
            for hello in (b"", b"\0SP", b"\0SP\0\0\x30\0\0\0\0\0"):
                stream = socket.create_connection(("127.0.0.1", port), 5)
                stream.sendall(hello)
                held.append(stream)
        self.check_alive()
        for stream in held:
            stream.close()

    def test_wrong_protocol(self):
        """A peer of another SP protocol is shown the door."""
        for protocol in (sp.REP, sp.PUB, sp.SURVEYOR, 0, 0xFFFF):
            pipe = sp.Pipe(self.bed.request, protocol)
            self.assertTrue(pipe.is_closed_by_peer(), hex(protocol))
            pipe.close()
        self.check_alive()

    def test_oversized_frame(self):
        """A frame said to be larger than 64 KiB closes the connection before it is read; one just below is read."""
        for size in (FRAME_MAX + 1024, 1 << 32, 1 << 62, (1 << 64) - 1):
            pipe = sp.Pipe(self.bed.request)
            try:
                pipe.send(b"\x80\0\0\1" + b"x" * 1000, size)
            except sp.Gone:
                pass
            self.assertTrue(pipe.is_closed_by_peer(), size)
            pipe.close()
        client = self.bed.client()
        status, body = client.ask("submit", {"tasks": [{"handler": "noop", "payload": b"x" * (48 * 1024)}]})
        self.assertEqual(status, sp.OK, body)
        self.assertIn("payload", self.refused_field({"handler": "noop", "payload": b"x" * (48 * 1024 + 1)}))
        self.check_alive()

    def refused_field(self, task):
        """The field that is named when one task is refused. An exception: index, status, task, retry, field, reason."""
        status, body = self.bed.client().ask("submit", {"tasks": [task]})
        if status == sp.OK:
            index, verdict, task_id = body["exceptions"][0][:3]
            self.assertEqual((index, verdict in (INVALID, TOO_BIG), task_id), (0, True, 0))
            _, _, _, _, field, reason = body["exceptions"][0]
        else:
            field, reason = body["field"], body["reason"]
        self.assertTrue(reason)
        return field

    def refusal_of(self, frame):
        """(status, field, reason) of the answer to a frame."""
        pipe = sp.Pipe(self.bed.request)
        version, status, _, body = msgpack.unpack(pipe.ask(frame))
        pipe.close()
        self.assertEqual(version, 1)
        self.assertNotIn("\n", body.get("reason", ""))
        return status, body.get("field"), body.get("reason")

    def test_truncated(self):
        """Every beginning of a good request is refused as invalid, with a reason; and with a byte too many."""
        client = self.bed.client()
        frame = client.frame("submit", {"tasks": [{"handler": "noop", "need": "cpu=1"}]})
        pipe = sp.Pipe(self.bed.request)
        for size in range(len(frame)):
            _, status, _, body = msgpack.unpack(pipe.ask(frame[:size]))
            self.assertEqual(status, INVALID, size)
            self.assertTrue(body["reason"], size)
        pipe.close()
        self.assertEqual(self.refusal_of(frame + b"\0")[0], INVALID)
        self.assertEqual(self.bed.ask("server", "status")["item"]["tasks_live"], 1)
        self.check_alive()

    def test_envelope(self):
        """Unknown versions and ops, wrong types and depths of the envelope are refused by name."""
        sender = bytes(range(16))
        deep = 1
        for _ in range(100):
            deep = [deep]
        cases = [
            ([2, "hello", sender, 1, 1, None, {}], "version"),
            ([1, "task.frobnicate", sender, 1, 1, None, {}], "op"),
            ([1, "", sender, 1, 1, None, {}], "op"),
            ([1, 7, sender, 1, 1, None, {}], "op"),
            ([1, "hello", b"short", 1, 1, None, {}], "sender"),
            ([1, "hello", "0123456789abcdef", 1, 1, None, {}], "sender"),
            ([1, "server.status", sender, 0, 0, None, {}], "id"),
            ([1, "server.status", sender, -1, 1, None, {}], "id"),
            ([1, "server.status", sender, 1, "1", None, {}], "done"),
            ([1, "server.status", sender, 1, 1, 5, {}], "token"),
            ([1, "server.status", sender, 1, 1, None, []], "body"),
        ]
        for frame, field in cases:
            with self.subTest(frame=frame):
                status, named, reason = self.refusal_of(msgpack.pack(frame))
                self.assertIn(status, (INVALID, NOT_FOUND))
                self.assertEqual(named, field, reason)
        for frame in ({}, [], None, "hello", 1, [1], deep):
            with self.subTest(frame=frame):
                self.assertEqual(self.refusal_of(msgpack.pack(frame))[0], INVALID)
        self.check_alive()

    def test_submit_fields(self):
        """Wrong types, bad names, bounds passed, needs that do not parse: the field is named, nothing is stored."""
        cases = [
            ({"handler": "a/b"}, "handler"), ({"handler": "a\0b"}, "handler"), ({"handler": ""}, "handler"),
            ({"handler": "../x"}, "handler"), ({"handler": "x" * 65}, "handler"), ({"handler": 5}, "handler"),
            ({"handler": "Noop"}, "handler"), ({}, "handler"),
            ({"handler": "noop", "queue": "a b"}, "queue"), ({"handler": "noop", "queue": b"q"}, "queue"),
            ({"handler": "noop", "priority": 10}, "priority"), ({"handler": "noop", "priority": "high"}, "priority"),
            ({"handler": "noop", "priority": -1}, "priority"), ({"handler": "noop", "payload": "text"}, "payload"),
            ({"handler": "noop", "delay_ms": 1 << 63}, "delay_ms"), ({"handler": "noop", "delay_ms": -5}, "delay_ms"),
            ({"handler": "noop", "need": "cpu="}, "need"), ({"handler": "noop", "need": "cpu=2 ||"}, "need"),
            ({"handler": "noop", "need": "((("}, "need"), ({"handler": "noop", "need": "cpu=1e999"}, "need"),
            ({"handler": "noop", "need": "x" * 1025}, "need"), ({"handler": "noop", "key": "k" * 256}, "key"),
            ({"handler": "noop", "retry": {"max": 1001}}, "retry.max"), ({"handler": "noop", "retry": 3}, "retry"),
            ({"handler": "noop", "headers": {"a": 1}}, "headers"),
            ({"handler": "noop", "headers": {"a": "x" * 9000}}, "headers"),
        ]
        client = self.bed.client()
        for task, field in cases:
            with self.subTest(task=str(task)[:80]):
                self.assertIn(field, self.refused_field(task))
        for tasks in ([], "noop", {"handler": "noop"}):
            self.assertEqual(client.ask("submit", {"tasks": tasks})[0], INVALID, tasks)
        self.assertEqual(self.bed.ask("server", "status")["item"]["tasks_live"], 1)
        self.check_alive()

    def test_good_beside_bad(self):
        """In a batch every task has its own verdict."""
        tasks = [{"handler": "noop"}, {"handler": "no/op"}, {"handler": "noop", "queue": "q2"}]
        status, body = self.bed.client().ask("submit", {"tasks": tasks})
        self.assertEqual((status, body["count"]), (sp.OK, 3))
        self.assertEqual([item[:2] for item in body["exceptions"]], [[1, INVALID]])
        self.assertEqual(self.bed.ask("server", "status")["item"]["tasks_live"], 3)

    def test_mutated(self):
        """Good frames with a few bytes changed, many times over: always an answer or a closed door, never an end."""
        chance = random.Random(11)
        client = self.bed.client()
        frames = [
            client.frame("submit", {"tasks": [{"handler": "noop", "headers": {"a": "b"}, "retry": {"max": 2}}] * 3}),
            client.frame("register", {"id": bytes(16), "name": "w", "incarnation": 7, "offers": {"cpu": 1000},
                                      "facts": {"os": "linux"}, "handlers": [{"name": "noop", "need": "cpu=1"}]}),
            client.frame("lease", {"session": bytes(16), "want": 3, "reports": [], "held": []}),
            client.frame("task.ls", {"limit": 5}),
        ]
        for round_number in range(400):
            frame = bytearray(chance.choice(frames))
            for _ in range(chance.randint(1, 6)):
                frame[chance.randrange(len(frame))] = chance.randrange(256)
            with self.subTest(round=round_number, frame=frame.hex()):
                reply = client.send_once(bytes(frame))
                self.assertEqual(reply[0], 1)
        self.assertIsNone(self.bed.broker.child.poll())

    def test_http(self):
        """Broken and oversized HTTP requests."""
        for text in (b"\r\n\r\n", b"GET\r\n\r\n", b"POST /metrics HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
                     b"GET /" + b"x" * 100000 + b" HTTP/1.1\r\n\r\n", b"GET /../../etc/passwd HTTP/1.0\r\n\r\n"):
            with socket.create_connection(("127.0.0.1", self.bed.http_port), 5) as stream:
                try:
                    stream.sendall(text)
                    stream.shutdown(socket.SHUT_WR)
                    answer = stream.recv(4096)
                except OSError:
                    answer = b""
            self.assertNotIn(b"root:", answer)
            self.assertNotIn(b" 200 ", answer[:20])
        self.check_alive()

    def test_survey_answers(self):
        """Answers to surveys from nobody, and broken ones, count for nothing."""
        chance = random.Random(5)
        self.bed.start_worker("w", {"other": "command = /bin/true"})
        pipe = sp.Pipe(self.bed.survey, sp.RESPONDENT)
        survey = pipe.receive()
        header, body = survey[:4], msgpack.unpack(survey[4:])
        stranger = [1, body[1], bytes(16), 1, 0, 0, 0, 0, None]
        for frame in (msgpack.pack(stranger), msgpack.pack([]), msgpack.pack(stranger[:3]), b"", chance.randbytes(500)):
            pipe.send(header + frame)
        pipe.send(b"\0\0")
        pipe.close()
        self.check_alive()
        self.assertTrue(self.bed.worker("w")["alive"])


if __name__ == "__main__":
    unittest.main()
