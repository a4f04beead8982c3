/* commit.h - group commit: writes and syncs one block at a time, and releases the effects that waited for it.
 *
 *     core thread:    ... step ... -> hold(effects) -> [idle?] -> start(block)  ... step the next batch ... hold ...
 *     commit thread:  write -> release what waits for the write -> sync -> release what waits for the sync -> [next?] write -> ...
 *
 * While one block is under way the core thread decides the next one: that is the group commit, there is no timer. The commit thread
 * asks for that next block itself (`next`), so that under load no change of threads stands between a sync and the next write.
 * Many effects that are due by a write are left to the core thread to send, so that the sync does not wait for the network.
 *
 * Threads:   new, hold, idle, wait, start, release_due and free from the core thread. `release` is called from either thread, `next` and
 *            `done` from the commit thread, `failed` from either.
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
    /* The block that was decided meanwhile; false: there is none, or the core thread is at it and will start it. */
    bool (*next)(void *next_ctx, struct jq_sealed_block *ret_block);
    void *next_ctx;
    /* A block is durable, or effects were left to release_due(): wakes the core thread. */
    void (*done)(void *ctx);
    void (*failed)(void *ctx, const struct jq_error *error);
};

struct jq_commit; /* Opaque: jq_commit_new() .. jq_commit_free(). */

/* Starts the commit thread. Everything below the journal's durable_lsn is taken as released. */
enum jq_err jq_commit_new(const struct jq_commit_config *config, struct jq_commit **ret_commit,
                          struct jq_error *reterr);
/* Waits for the block under way. What still waits is the caller's loss: see jq_commit_waiting(). */
void jq_commit_free(struct jq_commit *commit);

/* Effects with level and lsn, in the order in which the core made them, as a list that ends in NULL. What is due already is left to
 * release_due(). */
void jq_commit_hold(struct jq_commit *commit, struct jq_release_item *items);

/* True if no block is under way. */
bool jq_commit_idle(const struct jq_commit *commit);

/* Blocks until no block is under way. */
void jq_commit_wait(struct jq_commit *commit);

/* Commits a block. Only while idle. The block's bytes are lent until it is done. */
void jq_commit_start(struct jq_commit *commit, const struct jq_sealed_block *block);

/* The same on the calling thread, the core's: returns when the block is durable and what waited for it has been released. */
void jq_commit_run(struct jq_commit *commit, const struct jq_sealed_block *block);

/* Sends what is due and was left to the core thread. */
void jq_commit_release_due(struct jq_commit *commit);

/* What the core thread asks when it is told that something was done. */
uint64_t jq_commit_durable_lsn(const struct jq_commit *commit); /* end of the last block that is done */
uint32_t jq_commit_rotations(const struct jq_commit *commit);   /* segments begun since the start */
size_t jq_commit_waiting(struct jq_commit *commit);             /* effects held and not yet released */

#endif
