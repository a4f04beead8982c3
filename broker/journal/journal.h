/* journal.h - the broker's log on disk: opaque records in blocks, blocks in segments, one commit in flight at a time.
 * Byte format and recovery table: broker/JOURNAL.md.
 *
 *     open (recovers; calls replay for every record) -> { write_block -> sync } ... -> free
 *
 * Units:     an LSN is a byte offset in the log since its birth (headers of segments do not count); sizes are bytes;
 *            times are ms.
 * Threads:   there are none inside, and nothing happens but in a call. One thread writes (write_block, sync). The
 *            getters, read, stat and fill_spare_step may be called from any thread beside it; delete_below from one
 *            thread at a time.
 * Entropy, clock: none inside. They come in through the configuration and with the blocks.
 * Errors:    after any failed write, sync or rotation the journal stays failed: write_block and sync give that error
 *            for ever. A lost fsync is never retried; the broker stops, and the next start recovers.
 */
#ifndef JQ_BROKER_JOURNAL_JOURNAL_H
#define JQ_BROKER_JOURNAL_JOURNAL_H

#include "broker/journal/block.h"
#include "broker/journal/disk.h"
#include "broker/journal/ring.h"

enum {
    JQ_SEGMENT_SIZE_DEFAULT = 64 * 1024 * 1024,
    JQ_SEGMENT_SIZE_FIRST = 4 * 1024 * 1024, /* of the first segment after a start, so that nobody waits for zeros */
    JQ_SEGMENT_SIZE_MIN = 8 * 1024,          /* a segment is made larger if a block needs it */
    JQ_JOURNAL_DIR_SIZE_MAX = JQ_DISK_PATH_SIZE_MAX - 64,
};

struct jq_journal; /* Opaque. */

struct jq_journal_config {
    const struct jq_disk *disk; /* borrowed until jq_journal_free() */
    struct jq_str dir;          /* made if missing (not its parents) */
    uint64_t segment_size_bytes;
    uint64_t first_segment_size_bytes;
    bool cut_damage;     /* an operator's decision: the log ends before its first damage, instead of being refused */
    uint64_t epoch_skip; /* epochs left out before that of this run: of a copy of a log whose original goes on */
    int64_t wall_ms;     /* now; goes into the header of the new segment */
    void (*random)(void *ctx, void *data, size_t size); /* fills data: the log's id and the salts of segments */
    void *random_ctx;
};

/* Called in the order of the log. An error ends the recovery and is what open() returns. Functions may be NULL. */
struct jq_journal_replay {
    void *ctx;
    enum jq_err (*on_block)(void *ctx, const struct jq_block_info *info,
                            struct jq_error *reterr); /* before its records */
    enum jq_err (*on_record)(void *ctx, const struct jq_block_info *info, const struct jq_log_record *record,
                             struct jq_error *reterr);
};

struct jq_recovery_report {
    bool born;              /* there was no log here before */
    uint64_t epoch;         /* of this run: on disk, and higher than any before */
    uint64_t segment_count; /* read */
    uint64_t block_count;
    uint64_t record_count;
    uint64_t block_bytes;
    uint64_t torn_bytes; /* dropped at the end; never acknowledged */
    bool cut;            /* with cut_damage: there was damage, and everything from there on is void */
    uint64_t first_lsn;
    uint64_t end_lsn;     /* where the next block goes */
    int64_t last_time_ms; /* of the last block; 0 in an empty log */
};

/* Locks the folder, reads the log by the recovery table, and begins a new segment with a new epoch at the last valid
 * block, which is written there again and synced before this returns.
 * JQ_ERR_LOCKED: a broker owns the folder. JQ_ERR_CORRUPT, JQ_ERR_VERSION, JQ_ERR_FOREIGN: see the recovery table; the
 * message names file, offset and LSN, and nothing was changed. JQ_ERR_NO_SPACE, JQ_ERR_IO, JQ_ERR_INVALID
 * (configuration). */
enum jq_err jq_journal_open(const struct jq_journal_config *config, const struct jq_journal_replay *replay,
                            struct jq_recovery_report *ret_report, struct jq_journal **ret_journal,
                            struct jq_error *reterr);

/* Closes and unlocks; syncs nothing. */
void jq_journal_free(struct jq_journal *journal);

/* Stamps the block (its header in place) and writes it behind the last one, in a new segment if the current one is
 * full. The last one must be synced, and the block must begin at written_lsn: anything else is a programming error. */
enum jq_err jq_journal_write_block(struct jq_journal *journal, const struct jq_sealed_block *block,
                                   struct jq_error *reterr);
enum jq_err jq_journal_sync(struct jq_journal *journal, struct jq_error *reterr);

uint64_t jq_journal_written_lsn(const struct jq_journal *journal); /* what is below survives a killed broker */
uint64_t jq_journal_durable_lsn(const struct jq_journal *journal); /* what is below survives power loss */
uint64_t jq_journal_epoch(const struct jq_journal *journal);

/* Works on the next segment: claims its space first, then writes zeros, at most `bytes_max` (at least 1) a call, each
 * call synced. *ret_ready tells whether it is whole. A rotation takes a spare as it is, ready or not; the next call
 * then begins a new one. JQ_ERR_NO_SPACE: there will be no next segment: take no new tasks. It may be called again
 * later. After any other error stop the broker. */
enum jq_err jq_journal_fill_spare_step(struct jq_journal *journal, size_t bytes_max, bool *ret_ready,
                                       struct jq_error *reterr);

/* Unlinks segments that lie wholly below `lsn`, oldest first, each durably before the next; never the one with the last
 * durable block. *ret_count (may be NULL) is set in any case. */
enum jq_err jq_journal_delete_below(struct jq_journal *journal, uint64_t lsn, uint32_t *ret_count,
                                    struct jq_error *reterr);

/* Copies [lsn, lsn + size), a part of one record, from the files. JQ_ERR_NOT_FOUND: deleted, or not written yet;
 * JQ_ERR_INVALID: a range over the border of two segments. What comes is not checked: bodies carry their own CRC. */
enum jq_err jq_journal_read(struct jq_journal *journal, uint64_t lsn, size_t size, void *ret_data,
                            struct jq_error *reterr);

/* A segment of the log: what stands in it is [base_lsn, end_lsn); the current one ends where was last written. */
struct jq_journal_segment {
    uint64_t base_lsn;
    uint64_t end_lsn;
    bool current; /* the newest: it grows */
};
/* The oldest segment with base_lsn >= `lsn`. JQ_ERR_NOT_FOUND: there is none. */
enum jq_err jq_journal_segment_from(struct jq_journal *journal, uint64_t lsn, struct jq_journal_segment *ret_segment,
                                    struct jq_error *reterr);

struct jq_journal_stat {
    uint64_t epoch;
    uint64_t segment_count;
    uint64_t first_lsn; /* of the oldest segment */
    uint64_t written_lsn;
    uint64_t durable_lsn;
    uint64_t file_bytes;    /* of all segments and the spare */
    uint64_t segment_bytes; /* of the current segment */
    uint64_t room_bytes;    /* left for blocks in it */
    uint64_t spare_bytes;   /* claimed for the next one; 0: there is none */
    uint64_t spare_filled_bytes;
    bool spare_ready; /* it is filled with zeros */
    bool failed;
};
void jq_journal_stat(struct jq_journal *journal, struct jq_journal_stat *ret_stat);

#endif
