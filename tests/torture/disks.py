"""The disk fails, by the kernel's word (strace), or is full."""

import os
import shutil
import subprocess
import time

from lib.bed import wait_until
from lib.load import DRAIN_S, Load
from rounds import Round, Skip

FULL_MIB, LEFT_BYTES = 40, 6 << 20


def injected(seconds, chance, recoveries, call, error):
    """The kernel fails one `call` of the broker: it must stop, and lose nothing that it acknowledged."""
    if not shutil.which("strace"):
        raise Skip("no strace")
    faults, total, end = 0, 0, time.monotonic() + seconds
    while time.monotonic() < end or faults == 0:
        wrapper = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=" + call, "-e",
                   "inject=%s:error=%s:when=%d" % (call, error, chance.randint(30, 120))]
        with Round(recoveries, wrapper=wrapper) as place:
            broker = place.bed.broker
            place.load.start()
            wait_until("the broker has stopped by itself", lambda: broker.child.poll() is not None, DRAIN_S)
            assert broker.child.returncode != 0, "a broker that cannot write says that all is well"
            broker.command = broker.command[len(wrapper):]
            place.start_broker_again()
            place.remember(broker)
            place.load.more(5)
            total += place.finish()
            faults += 1
    return "%d failed calls, %d tasks acknowledged and ended once" % (faults, total)


def sync(seconds, chance, recoveries):
    """fdatasync fails with EIO: it is never tried again."""
    return injected(seconds, chance, recoveries, "fdatasync", "EIO")


def write(seconds, chance, recoveries):
    """A write to the log fails for want of space."""
    return injected(seconds, chance, recoveries, "pwrite64", "ENOSPC")


def full(_seconds, _chance, recoveries):
    """A disk that fills: submits are refused as busy, what was taken ends, and with room again all goes on."""
    settings = {"limits.disk_free_min": "8M", "journal.segment_size": "4M", "journal.first_segment_size": "4M"}
    with Round(recoveries, settings) as place:
        place.bed.broker.stop()
        shutil.rmtree(place.bed.data)
        place.load.earlier.clear()  # What went with that folder.
        os.mkdir(place.bed.data)
        mount = ["mount", "-t", "tmpfs", "-o", "size=%dm" % FULL_MIB, "none", place.bed.data]
        if subprocess.run(mount, stderr=subprocess.DEVNULL, check=False).returncode != 0:
            raise Skip("may not mount")
        try:
            place.bed.broker.start()
            place.bed.wait_for_broker()
            return fill(place)
        finally:
            place.bed.broker.end(5)
            subprocess.run(["umount", "-l", place.bed.data], check=False)


def fill(place):
    ballast = os.path.join(place.bed.data, "ballast")
    place.load.start()
    place.load.more(50)
    place.load.stop()
    with open(ballast, "wb") as file:
        left = os.statvfs(place.bed.data)
        file.write(bytes(max(0, left.f_bavail * left.f_frsize - LEFT_BYTES)))
    wait_until("the disk mark", lambda: place.bed.status()["disk_busy"])
    code, _, err = place.bed.run_jqctl("task", "submit", "noop", "--timeout", "2s")
    assert code != 0 and "busy" in err, "a full disk took a task: %d %s" % (code, err)
    wait_until("what was taken has ended", lambda: place.bed.status()["tasks_live"] == 0, DRAIN_S)
    with place.recoveries.timed():
        os.unlink(ballast)
        wait_until("room again", lambda: not place.bed.status()["disk_busy"])
        again = Load(place.bed, 1)
        again.start()
        again.more(1)
    again.stop()
    place.load.adopt(again)
    return "%d tasks, refused while full, all outcomes accepted" % place.finish()
