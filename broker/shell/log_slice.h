/* log_slice.h - reads the log a slice at a time, for what is moved to its head: the records that carry a body or a key.
 *
 * A slice ends with a record, so that a block of very many small ones is cut, too. The next slice goes on where the last one ended
 * without looking anything up. What is damaged is passed over and counted.
 * Threads:   one at a time. Ownership: the records of a slice, and what they lend, live until the next.
 */
#ifndef JQ_BROKER_SHELL_LOG_SLICE_H
#define JQ_BROKER_SHELL_LOG_SLICE_H

#include "broker/core/record.h"
#include "broker/journal/disk.h"
#include "common/err.h"

enum {
    JQ_SLICE_RECORDS_MAX = 500,
    JQ_SLICE_BYTES_MAX = 128 * 1024, /* of records; a single one may be larger */
};

struct jq_log_slice {
    struct jq_record records[JQ_SLICE_RECORDS_MAX];
    size_t count;
    uint64_t next_lsn;      /* where the next begins; at least `end_lsn`: that was all */
    uint64_t damaged;       /* stretches of the log that were passed over */
    struct jq_error damage; /* what was wrong with the last of them */
};

struct jq_slicer; /* Opaque: jq_slicer_new() .. jq_slicer_free(). */

enum jq_err jq_slicer_new(const struct jq_disk *disk, const char *dir, struct jq_slicer **ret_slicer,
                          struct jq_error *reterr);
void jq_slicer_free(struct jq_slicer *slicer);

/* Of [from_lsn, end_lsn), which must be written and not deleted. `from_lsn`: where a record or a block begins. */
enum jq_err jq_slicer_read(struct jq_slicer *slicer, uint64_t from_lsn, uint64_t end_lsn,
                           struct jq_log_slice *ret_slice, struct jq_error *reterr);

#endif
