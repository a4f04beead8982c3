/* logkit.h - a journal on a simulated disk with numbered records, so that a test can say what a recovery must find.
 *
 * Record n carries n and bytes that follow from it; its LSN is remembered. The rule that open() checks: what is
 * replayed is a run of records as they were written, without a gap, that ends no earlier than the last acknowledged
 * one.
 */
#ifndef JQ_TESTS_LIB_LOGKIT_H
#define JQ_TESTS_LIB_LOGKIT_H

#include "broker/journal/journal.h"
#include "broker/journal/verify.h"
#include "common/rng.h"
#include "tests/lib/simdisk.h"

#define LOGKIT_DIR "log"

enum { LOGKIT_RECORDS_MAX = 16384 };

struct logkit {
    struct jq_simdisk *sim;
    struct jq_journal *journal; /* NULL: closed */
    struct jq_log_ring *ring;
    struct jq_rng rng;
    struct jq_recovery_report report; /* of the last open */
    struct jq_error error;            /* of the last failure */
    uint64_t written;                 /* records handed to a write */
    uint64_t acked;                   /* records whose sync succeeded */
    uint64_t deleted;                 /* records below may be gone */
    uint64_t epoch;                   /* highest that an open returned */
    uint64_t first_seen;              /* number of the first record of the last replay */
    uint64_t seen;                    /* one above the number of the last */
    bool wrong;                       /* the last replay broke the rule */
    uint32_t segment_size;
    uint32_t first_segment_size;
    uint64_t lsns[LOGKIT_RECORDS_MAX];
};

/* Segments of 16 KiB, first ones of 8. The kit owns `sim`. */
struct logkit *logkit_new(struct jq_simdisk *sim, uint64_t seed);
void logkit_free(struct logkit *kit);

/* Opens the journal and checks the rule; `wrong` is set if it is broken. From here on what was seen counts as
 * acknowledged. */
enum jq_err logkit_open(struct logkit *kit);
void logkit_close(struct logkit *kit);

/* One block of `count` records with bodies of `body_size` (at least 8) bytes, written, and synced. */
enum jq_err logkit_commit(struct logkit *kit, uint32_t count, uint32_t body_size);
enum jq_err logkit_write(struct logkit *kit, uint32_t count, uint32_t body_size);
enum jq_err logkit_sync(struct logkit *kit);
/* Fills the spare to its end. */
enum jq_err logkit_fill_spare(struct logkit *kit);
/* Deletes segments below the LSN of that record. */
enum jq_err logkit_delete_below(struct logkit *kit, uint64_t record);

/* Fails a cmocka test unless the journal reads back: every record not deleted, by jq_journal_read. */
bool logkit_reads_back(struct logkit *kit, uint64_t record, uint32_t body_size);

#endif
