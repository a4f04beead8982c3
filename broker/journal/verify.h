/* verify.h - a whole journal checked without changing it, for `jqctl journal verify` and `stat`. */
#ifndef JQ_BROKER_JOURNAL_VERIFY_H
#define JQ_BROKER_JOURNAL_VERIFY_H

#include "broker/journal/scan.h"

enum { JQ_VERIFY_DAMAGE_COUNT_MAX = 64 };

struct jq_journal_damage {
    char segment[JQ_SEGMENT_NAME_SIZE];
    uint64_t offset; /* in the segment's file */
    uint64_t lsn;    /* of that offset; the segment's base for damage to its header */
    uint64_t size_bytes;
    struct jq_error error; /* one line with all of this, and the reason */
};

struct jq_journal_verdict {
    uint64_t segment_count; /* that count: without the superseded */
    uint64_t superseded_count;
    uint64_t block_count;
    uint64_t record_count;
    uint64_t block_bytes; /* of valid blocks */
    uint64_t file_bytes;  /* of all segments */
    uint64_t first_lsn;
    uint64_t end_lsn; /* end of the last valid block */
    uint64_t epoch;   /* highest of any segment */
    int64_t first_time_ms;
    int64_t last_time_ms;
    uint64_t torn_bytes;   /* at the end; no damage: they were never acknowledged */
    uint64_t damage_count; /* the journal is sound if and only if this is 0 */
    struct jq_journal_damage damages[JQ_VERIFY_DAMAGE_COUNT_MAX]; /* the first of them */
};

/* Reads every segment of `dir`. on_record (may be NULL) is called for the records of valid blocks; its error ends the
 * scan.
 * Damage is no error: it is in the verdict. */
enum jq_err jq_journal_verify(const struct jq_disk *disk, const char *dir, jq_on_record *on_record, void *ctx,
                              struct jq_journal_verdict *ret_verdict, struct jq_error *reterr);

#endif
