"""The network between the broker and everybody else: cut, cut one way, lossy, slow."""

import time

from lib.bed import Bed, wait_until
from network import NEAR, Wire
from rounds import Round

LOSS, DELAY_S, JITTER_S = 0.05, 0.02, 0.03


def over_a_wire(recoveries, torment):
    """A round whose workers and clients are in another network than the broker; torment(place, wire) says what was done."""
    wire = Wire()
    wire.start()
    try:
        with wire.near.inside():
            bed = Bed(NEAR)
            with Round(recoveries, bed.use_tokens(), bed=bed, far=wire.far.inside) as place:
                place.load.start()
                told = torment(place, wire)
                wire.heal()
                place.load.stop()
                stale = place.bed.status()["stale_total"]
                return "%s, %d packets lost, %d late reports refused, %d tasks ended once" % (
                    told, wire.dropped, stale, place.finish())
    finally:
        wire.end()


def pull(wire):
    wire.carrier(False)


def cut(wire):
    wire.to_near.cut = wire.to_far.cut = True


def deafen(wire):
    wire.to_far.cut = True


def silence(wire):
    wire.to_near.cut = True


def heal(wire):
    wire.carrier(True)
    wire.heal()


def all_alive(place):
    return place.bed.status()["workers_alive"] == len(place.workers)


def links(seconds, chance, recoveries):
    """The wire is cut past the workers' liveness - the plug pulled, both ways, one way - and healed: leases are lost, workers come
    back with reports that nobody waits for, clients ask again under the same ids."""
    def torment(place, wire):
        cuts, end = 0, time.monotonic() + seconds
        while time.monotonic() < end or cuts == 0:
            place.load.more(20)
            chance.choice((pull, cut, deafen, silence))(wire)
            if chance.random() < 0.8:
                wait_until("all are taken for dead", lambda: place.bed.status()["workers_alive"] == 0)
            with place.recoveries.timed():
                heal(wire)
                wait_until("all are back", lambda: all_alive(place))
                place.load.more(1)
            cuts += 1
        return "%d cuts" % cuts

    return over_a_wire(recoveries, torment)


def lossy(seconds, chance, recoveries):
    """A wire that loses one packet in twenty and holds the others back for up to 50 ms, out of order; worse one way, then the
    other. Work goes on; recovered is when the wire is whole again and all workers are there."""
    def torment(place, wire):
        changes, end = 0, time.monotonic() + seconds
        while time.monotonic() < end or changes == 0:
            ways = [wire.to_far, wire.to_near]
            chance.shuffle(ways)
            for way, factor in zip(ways, (1, 4)):
                way.loss, way.delay_s, way.jitter_s = LOSS * factor, DELAY_S, JITTER_S
            place.load.more(10)
            changes += 1
        with place.recoveries.timed():
            wire.heal()
            wait_until("all are back", lambda: all_alive(place))
            place.load.more(1)
        return "%d changes of the weather" % changes

    return over_a_wire(recoveries, torment)
