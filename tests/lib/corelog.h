/* corelog.h - a log of core records in memory, as bytes: what a core emits is encoded, decoded and applied to a shadow core.
 *
 * The shadow is never started: it only applies. Its digest must always be that of the core that emitted the records.
 */
#ifndef JQ_TESTS_LIB_CORELOG_H
#define JQ_TESTS_LIB_CORELOG_H

#include "broker/core/core.h"
#include "common/buf.h"

struct corelog_entry {
    uint64_t lsn;
    uint32_t at, size; /* of the body in `bytes` */
    uint8_t type;
    int64_t time_ms; /* before it: what a reader that begins here must know */
};

struct corelog {
    struct corelog_entry *entries;
    size_t count, capacity;
    size_t first; /* entries before it are deleted */
    struct jq_buf bytes;
    uint64_t end_lsn;
    int64_t time_ms; /* of the last record */
    struct jq_core *shadow;
};

void corelog_init(struct corelog *log, const struct jq_core_config *config);
void corelog_fini(struct corelog *log);

/* Encodes the record at the end of the log, sets its lsn and size, and applies its bytes to the shadow. */
void corelog_append(struct corelog *log, struct jq_record *record);

/* The whole of the log (from `first` on) into a core that has not started. */
enum jq_err corelog_replay(const struct corelog *log, struct jq_core *core, struct jq_error *reterr);

/* At most `most` records of [from_lsn, end_lsn); their texts are lent by `bytes`, a copy of log->bytes. *ret_next: where to read on. */
size_t corelog_read(const struct corelog *log, const uint8_t *bytes, uint64_t from_lsn, uint64_t end_lsn,
                    struct jq_record *records, size_t most, uint64_t *ret_next);

/* Deletes what stands below `lsn`. */
void corelog_delete_below(struct corelog *log, uint64_t lsn);

#endif
