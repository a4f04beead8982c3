/* ledger.h - between the core and the log: puts the core's records into blocks, its effects behind them, and commits.
 *
 *     core thread:  begin -> { record ... effect ... } for each step of a batch -> end
 *
 * A record gets its place at once: its block is built in the ring of the newest log bytes, where its body can be read back until the
 * ring comes round. An effect gets the place where the log ended when it was made. The end of a batch hands the block over if none
 * is under way; else the commit thread takes it when it is done with that one, between two batches. Records that come
 * meanwhile join the block: that is group commit.
 *
 * Threads:   the core thread; record, effect, find, mark_idle and end_lsn between begin and end only. The release callback also comes from
 *            the commit thread (commit.h).
 * Errors:    none but at the start: a log that cannot take a record stops the broker (`failed` of the commit).
 */
#ifndef JQ_BROKER_SHELL_LEDGER_H
#define JQ_BROKER_SHELL_LEDGER_H

#include "broker/core/record.h"
#include "broker/shell/commit.h"
#include "common/buf.h"

enum { JQ_LEDGER_RING_SIZE_DEFAULT = 16 * 1024 * 1024 };

struct jq_ledger; /* Opaque: jq_ledger_new() .. jq_ledger_free(). */

/* `config` without `next`. `ring_size_bytes`: of the newest log kept in memory, at least JQ_LOG_RING_SIZE_MIN. */
enum jq_err jq_ledger_new(const struct jq_commit_config *config, size_t ring_size_bytes, struct jq_ledger **ret_ledger,
                          struct jq_error *reterr);
void jq_ledger_free(struct jq_ledger *ledger);

/* Writes the record into the block under construction and sets its `lsn` and `size`. Waits for the disk when blocks pile up. */
void jq_ledger_record(struct jq_ledger *ledger, struct jq_record *record);

/* Queues an effect behind all records so far. The item is the ledger's until it comes out of the release callback. */
void jq_ledger_effect(struct jq_ledger *ledger, enum jq_effect_level level, struct jq_release_item *item);

/* Ends the block under construction, if there is one: what was recorded so far stands in whole blocks. Returns where they end. In a
 * batch, between two steps. */
uint64_t jq_ledger_cut(struct jq_ledger *ledger);

/* A batch: effects go at its end to where they wait, what was decided goes to disk unless a block is under way, and what is due
 * already is sent. */
void jq_ledger_begin(struct jq_ledger *ledger);
void jq_ledger_end(struct jq_ledger *ledger);

/* The same for a batch that nothing follows: a small block is written and synced by this thread, which is sooner than waking another.
 * Nothing is lost by waiting here: what comes meanwhile could not be written before this block is synced. */
void jq_ledger_end_here(struct jq_ledger *ledger);

/* Waits until everything recorded so far is durable. Outside a batch. */
void jq_ledger_sync(struct jq_ledger *ledger);

/* After a second of idleness: an empty block covers the last one, unless it is empty too or something is under way. */
void jq_ledger_mark_idle(struct jq_ledger *ledger, int64_t now_ms);

/* Nothing is on its way to disk, and no effect waits. Outside a batch. */
bool jq_ledger_quiet(struct jq_ledger *ledger);

/* The bytes of a whole record, or NULL: no longer in memory. Valid until the next record. */
const uint8_t *jq_ledger_find(const struct jq_ledger *ledger, uint64_t lsn, size_t size);

uint64_t jq_ledger_end_lsn(const struct jq_ledger *ledger);
struct jq_commit *jq_ledger_commit(struct jq_ledger *ledger);

#endif
