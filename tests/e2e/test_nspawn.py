#!/usr/bin/env python3
"""The units of conf/ under a real systemd, in a container over this machine's root: a task starts a worker that sleeps."""

import os
import shutil
import subprocess
import sys
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lib.bed import BIN, ROOT, Bed

NSPAWN = shutil.which("systemd-nspawn")
BOOT_S = 80

TARGET = "[Unit]\nRequires=jq-test.service\nAfter=jq-test.service\nAllowIsolate=yes\n"

# It has the last word: systemd ends with its exit code, and the container with it.
SERVICE = """[Unit]
DefaultDependencies=no
SuccessAction=exit-force
FailureAction=exit-force
FailureActionExitStatus=1
[Service]
Type=oneshot
StandardOutput=file:/jq/said
StandardError=file:/jq/said
TimeoutStartSec=70
ExecStart=/bin/bash -eux /jq/script
"""

SCRIPT = """
trap 'code=$?; (( code == 0 )) || journalctl --no-pager -n 60 || true' EXIT
systemd-sysusers
systemd-tmpfiles --create /usr/lib/tmpfiles.d/jqmesh.conf
systemctl start jqbroker.service jqworker@w.socket
export JQ_SERVER=ipc:///run/jqmesh/broker.sock
jqctl server wait --timeout 40s
until_state() { for _ in {1..800}; do [[ $(systemctl is-active jqworker@w.service) == "$1" ]] && return; sleep 0.05; done; false; }

# Rung by hand once, the worker makes itself known and goes to sleep.
/usr/bin/python3 -c 'import socket; socket.socket(socket.AF_UNIX).connect("/run/jqmesh/worker-w.sock")'
for _ in {1..800}; do jqctl worker ls --json | grep -q '"asleep": *true' && break; sleep 0.05; done
until_state inactive
jqctl worker ls --json | grep -q '"asleep": *true'

# A task wakes it through its socket, also where the broker was killed meanwhile and systemd has started it again.
systemctl kill --signal=KILL jqbroker.service
jqctl server wait --timeout 40s
jqctl task submit noop --wait --timeout 40s
until_state inactive
systemctl is-active jqworker@w.socket
[[ $(systemctl show -P NRestarts jqbroker.service) == 1 ]]
"""


def can_boot():
    """None, or why not."""
    if os.getuid() != 0:
        return "not root"
    if not NSPAWN:
        return "systemd-nspawn is not installed: apt-get install systemd-container"
    with open("/proc/filesystems", encoding="ascii") as file:
        kinds = file.read().split()
    missing = [kind for kind in ("overlay", "cgroup2") if kind not in kinds]
    return f"this kernel has no {missing[0]}" if missing else None


@unittest.skipIf(can_boot(), can_boot())
class Nspawn(unittest.TestCase):
    def setUp(self):
        self.bed = Bed()
        self.addCleanup(self.bed.end)
        self.upper = self.bed.open_folder("upper")

    def put(self, path, text):
        place = os.path.join(self.upper, path)
        os.makedirs(os.path.dirname(place), exist_ok=True)
        with open(place, "w", encoding="utf-8") as file:
            file.write(text)

    def install(self):
        """What a package would put into the root, and a target that starts nothing else."""
        for name in ("jqbroker", "jqworker", "jqctl"):
            os.makedirs(os.path.join(self.upper, "usr/bin"), exist_ok=True)
            shutil.copy2(os.path.join(BIN, name), os.path.join(self.upper, "usr/bin"))
        for kind, place in (("systemd", "system"), ("sysusers.d", "sysusers.d"), ("tmpfiles.d", "tmpfiles.d")):
            folder = os.path.join(self.upper, "usr/lib", "systemd/system" if kind == "systemd" else place)
            shutil.copytree(os.path.join(ROOT, "conf", kind), folder)
        listen = "listen_request = ipc:///run/jqmesh/broker.sock tcp://127.0.0.1:7601\n"
        self.put("etc/jqmesh/jqbroker.conf", "[broker]\nauth = off\n" + listen)
        self.put("etc/jqmesh/jqworker.conf", "[worker]\nidle_exit = 300ms\nrequest = tcp://127.0.0.1:7601\ntoken_file =\nsandbox = off\n")
        self.put("etc/jqmesh/handlers.d/noop.conf", "[handler noop]\ncommand = /bin/true\nstdin = none\n")
        self.put("etc/systemd/system/jq-test.target", TARGET)
        self.put("etc/systemd/system/jq-test.service", SERVICE)
        self.put("jq/script", SCRIPT)

    def boot(self):
        """The exit code. All mounts are in a namespace of their own, and go with it."""
        root, work = self.bed.open_folder("root"), self.bed.open_folder("work")
        mount = f"mount -t tmpfs none {work} && mkdir {work}/u {work}/w && cp -a {self.upper}/. {work}/u/ && " \
                f"mount -t overlay overlay -o lowerdir=/,upperdir={work}/u,workdir={work}/w {root} && "
        boot = f"timeout -k 5 {BOOT_S} {NSPAWN} -q -b -D {root} --register=no --keep-unit --private-network --link-journal=no " \
               "systemd.unit=jq-test.target"
        words = ["unshare", "-m", "sh", "-c", mount + boot + f"; code=$?; cp {work}/u/jq/said {self.bed.folder}; exit $code"]
        done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BOOT_S + 20, check=False,
                              env=dict(os.environ, SYSTEMD_NSPAWN_UNIFIED_HIERARCHY="1"))
        return done.returncode, done.stdout + done.stderr

    def test_a_task_wakes_a_worker_through_its_socket_unit(self):
        """Broker and doorbell are started by systemd; a worker that sleeps is started for each task, and none is restarted needlessly."""
        self.install()
        code, out = self.boot()
        if not os.path.exists(self.bed.path("said")):
            self.skipTest(f"no container boots here: exit {code}: {out.strip()[-300:]}")
        with open(self.bed.path("said"), encoding="utf-8", errors="replace") as file:
            said = file.read()
        self.assertEqual(code, 0, out[-2000:] + said[-6000:])


if __name__ == "__main__":
    unittest.main()
