"""File systems in loop files, and power cuts: the disk as it is at one moment, whatever the page cache above it holds.

The image on which the broker's folder lies is a file of another file system, which is frozen for the moment in which the image is
copied: the writes of the loop device, with those of the journal's syncs among them, stand still wherever they are just then, and
nothing that was not yet written gets into the copy. (Copied without that, early blocks would be older than late ones.)
"""

import os
import shutil
import signal
import subprocess
import time

from rounds import Skip

OUTER_MIB, INNER_MIB = 128, 64
NEEDED = ("losetup", "mkfs.ext4", "fsfreeze", "mount", "umount")
BUSY_S = 20


def run(*command):
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise OSError("%s: %s" % (" ".join(command), (done.stderr or done.stdout).strip()))
    return done.stdout.strip()


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self, image, place, mib):
        self.image, self.place, self.device = image, place, None
        with open(image, "wb") as file:
            file.truncate(mib << 20)
        run("mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=0,lazy_journal_init=0", image)
        os.makedirs(place, exist_ok=True)
        self.mount()

    def mount(self):
        self.device = run("losetup", "--find", "--show", self.image)
        try:
            run("mount", "-o", "commit=1", self.device, self.place)
        except OSError:
            self.detach()
            raise

    def unmount(self):
        deadline = time.monotonic() + BUSY_S
        while subprocess.run(["umount", self.place], capture_output=True, check=False).returncode != 0:
            if not os.path.ismount(self.place):
                break
            if time.monotonic() > deadline:
                run("umount", "-l", self.place)
            time.sleep(0.02)
        self.detach()

    def detach(self):
        if self.device:
            run("losetup", "--detach", self.device)
        self.device = None


class Machine:
    """A disk whose power can be cut. `folder` must be empty or absent: the disk is mounted there."""

    def __init__(self, store, folder):
        missing = [name for name in NEEDED if not shutil.which(name)]
        if missing:
            raise Skip("not installed: " + ", ".join(missing))
        os.makedirs(store, exist_ok=True)
        self.copy, self.outer, self.inner = os.path.join(store, "copy.img"), None, None
        try:
            self.outer = Disk(os.path.join(store, "outer.img"), os.path.join(store, "outer"), OUTER_MIB)
            self.inner = Disk(os.path.join(store, "outer", "inner.img"), folder, INNER_MIB)
        except OSError as error:
            self.end()
            raise Skip("no loop devices: %s" % error) from error

    def cut_power(self, process):
        """The process dies, and with it all that was not on the disk at that moment; the disk is mounted again, as it was."""
        run("fsfreeze", "--freeze", self.outer.place)
        try:
            process.signal(signal.SIGKILL)  # A thread that waits for the disk dies when the disk goes on.
            run("cp", "--sparse=always", self.inner.image, self.copy)
        finally:
            run("fsfreeze", "--unfreeze", self.outer.place)
        process.kill()
        self.inner.unmount()
        run("cp", "--sparse=always", self.copy, self.inner.image)
        self.inner.mount()

    def end(self):
        disks, self.inner, self.outer = (self.inner, self.outer), None, None
        for disk in disks:
            if disk is not None:
                disk.unmount()
