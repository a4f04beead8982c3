/* commit.h - group commit: writes and syncs one block at a time, and releases the effects that waited for it.
 *
 *     core thread:    ... step ... -> hold(effects) -> [idle?] -> start(block)  ... step the next batch ... -> [done] -> start ...
 *     commit thread:  write -> release what waits for the write -> sync -> done -> release what waits for the sync
 *
 * While one block is under way the core thread decides the next one: that is the group commit, there is no timer. A core thread that
 * has nothing else to do commits by itself (run), which spares two changes of threads.
 *
 * Threads:   new, hold, idle, wait, start, run and free from the core thread. `release` is called from either thread, `done` from the commit
 *            thread, `failed` from either.
 * Errors:    a failed write or sync ends in `failed`, which must not return: nothing that waits may be released any more.
 */
#ifndef JQ_BROKER_SHELL_COMMIT_H
#define JQ_BROKER_SHELL_COMMIT_H

#include "broker/journal/journal.h"
#include "broker/shell/metrics.h"
#include "broker/shell/release.h"

struct jq_commit_config {
    struct jq_journal *journal; /* borrowed */
    struct jq_metrics *metrics; /* borrowed */
    bool durable_when_written;  /* durability = write: what waits for the sync is released by the write */
    void *ctx;                  /* first argument of the callbacks */
    /* Effects that are due, in order, as a list that ends in NULL: the receiver owns them now. */
    void (*release)(void *ctx, struct jq_release_item *items);
    /* A block given to start() is durable: the next may be given. */
    void (*done)(void *ctx);
    void (*failed)(void *ctx, const struct jq_error *error);
};

struct jq_commit; /* Opaque: jq_commit_new() .. jq_commit_free(). */

/* Starts the commit thread. Everything below the journal's durable_lsn is taken as released. */
enum jq_err jq_commit_new(const struct jq_commit_config *config, struct jq_commit **ret_commit,
                          struct jq_error *reterr);
/* Waits for the block under way. What still waits is the caller's loss: see jq_commit_waiting(). */
void jq_commit_free(struct jq_commit *commit);

/* Effects with level and lsn, in the order in which the core made them, as a list that ends in NULL. Releases what is due already. */
void jq_commit_hold(struct jq_commit *commit, struct jq_release_item *items);

/* True if no block is under way. */
bool jq_commit_idle(const struct jq_commit *commit);

/* Blocks until no block is under way. */
void jq_commit_wait(struct jq_commit *commit);

/* Commits a block: start() by the commit thread, run() before it returns. Only while idle. The block's bytes are lent until it is done. */
void jq_commit_start(struct jq_commit *commit, const struct jq_sealed_block *block);
void jq_commit_run(struct jq_commit *commit, const struct jq_sealed_block *block);

/* What the core thread asks when it is told that something was done. */
uint64_t jq_commit_durable_lsn(const struct jq_commit *commit);  /* end of the last block that is done */
uint64_t jq_commit_released_lsn(const struct jq_commit *commit); /* what waited below has been released, too */
uint32_t jq_commit_rotations(const struct jq_commit *commit);    /* segments begun since the start */
size_t jq_commit_waiting(struct jq_commit *commit);              /* effects held and not yet released */

#endif
