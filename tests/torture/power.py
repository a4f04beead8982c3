"""The power of the broker's machine is cut: what the disk holds at that moment is all that is left."""

import time

from images import Machine
from lib.bed import Bed
from rounds import Round, Skip

# Each start makes a segment, and all of them are kept for the check.
SETTINGS = {"journal.segment_size": "1M", "journal.first_segment_size": "64k"}


def power(seconds, chance, recoveries):
    """The broker's folder lies on ext4 in a loop file. At random moments under load the power fails: the broker is gone, and the
    image is mounted again as it was, with whatever the page cache held lost. Nothing acknowledged may be."""
    bed = Bed()
    bed.data = bed.path("disk", "data")
    try:
        machine = Machine(bed.path("store"), bed.path("disk"))
    except Skip:
        bed.end()
        raise
    try:
        with Round(recoveries, SETTINGS, bed=bed) as place:
            cuts = cut_again_and_again(place, machine, time.monotonic() + seconds, chance)
            count = place.finish()
            machine.end()
        return "%d power cuts, %d tasks acknowledged and ended once" % (cuts, count)
    finally:
        machine.end()


def cut_again_and_again(place, machine, end, chance):
    place.load.start()
    cuts = 0
    while time.monotonic() < end or cuts == 0:
        place.load.more(chance.randint(1, 60))
        time.sleep(chance.random() * 0.05)
        with place.recoveries.timed():
            machine.cut_power(place.bed.broker)
            place.bed.broker.start()
            place.bed.wait_for_broker()
        cuts += 1
    place.load.more(5)
    return cuts
