/* ledger.h - between the core and the log: puts the core's records into blocks, its effects behind them, and commits.
 *
 *     core thread:  { record ... effect ... } for each step of a batch -> flush -> ... -> settle when the commit is done
 *
 * A record gets its place at once: its block is built in the ring of the newest log bytes, where its body can be read back until the
 * ring comes round. An effect gets the place where the log ended when it was made. flush() hands the block over if none is under
 * way; else the next flush after settle() does. Records that come meanwhile join the block: that is group commit.
 *
 * Threads:   one, the core thread's; the release callback also comes from the commit thread (commit.h).
 * Errors:    none but at the start: a log that cannot take a record stops the broker (`failed` of the commit).
 */
#ifndef JQ_BROKER_SHELL_LEDGER_H
#define JQ_BROKER_SHELL_LEDGER_H

#include "broker/core/record.h"
#include "broker/shell/commit.h"
#include "common/buf.h"

enum { JQ_LEDGER_RING_SIZE_DEFAULT = 16 * 1024 * 1024 };

struct jq_ledger; /* Opaque: jq_ledger_new() .. jq_ledger_free(). */

/* `ring_size_bytes`: of the newest log kept in memory, at least JQ_LOG_RING_SIZE_MIN. */
enum jq_err jq_ledger_new(const struct jq_commit_config *commit, size_t ring_size_bytes, struct jq_ledger **ret_ledger,
                          struct jq_error *reterr);
void jq_ledger_free(struct jq_ledger *ledger);

/* Writes the record into the block under construction and sets its `lsn` and `size`. Waits for the disk when blocks pile up. */
void jq_ledger_record(struct jq_ledger *ledger, struct jq_record *record);

/* Queues an effect behind all records so far. The item is the ledger's until it comes out of the release callback. */
void jq_ledger_effect(struct jq_ledger *ledger, enum jq_effect_level level, struct jq_release_item *item);

/* The end of a batch: effects go to where they wait, and what was decided goes to disk unless a block is under way. `alone`: nothing
 * else is to be done meanwhile, so the caller itself writes and syncs. */
void jq_ledger_flush(struct jq_ledger *ledger, bool alone);

/* The durable end of the log; also frees room in the ring. Call after a commit is done, before the next flush. */
uint64_t jq_ledger_settle(struct jq_ledger *ledger);

/* After a second of idleness: an empty block covers the last one, unless it is empty too or something is under way. */
void jq_ledger_mark_idle(struct jq_ledger *ledger, int64_t now_ms);

/* Nothing is undecided on its way to disk, and no effect waits. */
bool jq_ledger_quiet(struct jq_ledger *ledger);

/* The bytes of a whole record, or NULL: no longer in memory. Valid until the next record. */
const uint8_t *jq_ledger_find(const struct jq_ledger *ledger, uint64_t lsn, size_t size);

uint64_t jq_ledger_end_lsn(const struct jq_ledger *ledger);
struct jq_commit *jq_ledger_commit(struct jq_ledger *ledger);

#endif
