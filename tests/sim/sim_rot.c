/* sim_rot.c - bit rot at rest. Before a start one bit of the log is flipped in a copy of the disk, and the copy is opened:
 * it must be refused, or give the very state that the unharmed log gives. The one exception is JOURNAL.md's: damage to exactly
 * the last block cannot be told from a torn tail. */
#include <inttypes.h>
#include <stdio.h>

#include "broker/journal/scan.h"
#include "tests/sim/sim.h"

/* A place in some segment; places that hold something are more likely than the zeros behind. */
static bool choose_place(struct sim *sim, struct sim_rot *rot) {
    struct jq_segment_list list;
    if (jq_segment_list_load(jq_simdisk_disk(sim->disk), "log", &list, NULL) != JQ_OK) {
        return false;
    }
    if (list.count > 0) {
        const struct jq_segment_entry *entry = &list.entries[sim_detail(sim, list.count)];
        (void)snprintf(rot->file, sizeof(rot->file), "log/%s", entry->name);
        rot->offset = sim_detail(sim, entry->size_bytes);
        if (sim_detail(sim, 2) && entry->size_bytes > 8192) {
            rot->offset = 4096 + sim_detail(sim, 4096);
        }
    }
    jq_segment_list_fini(&list);
    return rot->file[0] != '\0';
}

static void open_copy(struct sim *sim, struct jq_simdisk *copy, struct sim_rot *rot) {
    struct sim_replay replaying = {.sim = sim};
    struct jq_recovery_report report = {.epoch = 0};
    struct jq_journal *journal = NULL;
    struct jq_error error;
    const struct jq_rng rng = sim->rng;
    replaying.core = core_make(sim, 1);
    rot->tried = true;
    rot->opened = replay_open(&replaying, copy, &report, &journal, &error) == JQ_OK;
    rot->end_lsn = replaying.end_lsn;
    rot->blocks = report.block_count;
    rot->digest = jq_core_digest(replaying.core);
    if (!rot->opened) {
        sim_say(sim, "a flipped bit was found: %s", error.message);
        sim->counts.rots_caught++;
    }
    jq_journal_free(journal);
    core_end(replaying.core);
    sim->rng = rng; /* what was drawn for the copy's salts leaves no trace */
}

void rot_try(struct sim *sim, struct sim_rot *rot) {
    if (!choose_place(sim, rot)) {
        return;
    }
    struct jq_simdisk *copy = jq_simdisk_clone(sim->disk, sim->options->seed);
    if (jq_simdisk_flip(copy, rot->file, rot->offset, (uint8_t)(1u << sim_detail(sim, 8)))) {
        open_copy(sim, copy, rot);
    }
    jq_simdisk_free(copy);
}

void rot_check(struct sim *sim, const struct sim_rot *rot, uint64_t end_lsn, uint64_t blocks) {
    if (!rot->tried || !rot->opened) {
        return;
    }
    const bool same = rot->end_lsn == end_lsn && rot->digest == jq_core_digest(sim->broker.core);
    if (!same && rot->blocks + 1 != blocks) {
        sim_fail(sim,
                 "a bit flipped at offset %" PRIu64 " of %s went unseen: the log ended at lsn %" PRIu64
                 ", not %" PRIu64,
                 rot->offset, rot->file, rot->end_lsn, end_lsn);
    }
}
