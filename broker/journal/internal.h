/* internal.h - what the files of the journal share: its struct, and the steps that more than one of them takes. */
#ifndef JQ_BROKER_JOURNAL_INTERNAL_H
#define JQ_BROKER_JOURNAL_INTERNAL_H

#include "broker/journal/journal.h"
#include "broker/journal/segment.h"

#include <pthread.h>
#include <stdatomic.h>

enum {
    JQ_OPEN_FILES_MAX = 32, /* kept open for reading */
    JQ_ZERO_SIZE = 256 * 1024,
};

#define JQ_SPARE_NAME "spare.tmp"
#define JQ_LOCK_NAME  "LOCK"

/* A segment that can be read. */
struct jq_segment_slot {
    uint64_t base_lsn;
    uint64_t size_bytes;
    struct jq_file *file; /* for reading; NULL until needed */
    uint32_t users;       /* reads under way */
    uint64_t used_at;     /* the table's clock at the last read */
    bool gone;            /* deleted; the last user frees it */
};

/* The segments, oldest first, guarded by its lock: the writer adds, the deleter removes, readers look up. */
struct jq_segment_table {
    pthread_mutex_t lock;
    struct jq_segment_slot **slots;
    size_t count;
    size_t capacity;
    size_t open_count;
    uint64_t clock;
};

/* The next segment, guarded by its lock: any thread fills it, the writer takes it. */
struct jq_spare {
    pthread_mutex_t lock;
    struct jq_file *file; /* NULL: none */
    uint64_t size_bytes;
    uint64_t filled_bytes; /* zeros written and synced */
};

struct jq_journal {
    const struct jq_disk *disk;
    char dir[JQ_JOURNAL_DIR_SIZE_MAX];
    char spare_path[JQ_DISK_PATH_SIZE_MAX];
    uint64_t segment_size_bytes;
    uint64_t first_segment_size_bytes;
    bool cut_damage;
    uint64_t epoch_skip;
    void (*random)(void *ctx, void *data, size_t size);
    void *random_ctx;
    struct jq_file *lock_file;
    uint64_t epoch;

    /* The writer's. */
    struct jq_segment_header header; /* of the current segment */
    struct jq_file *file;            /* the current segment */
    uint32_t chain_crc;              /* of the last block's payload */
    struct jq_error failure;         /* why the journal failed */

    /* Written by the writer, read by all. */
    _Atomic uint64_t written_lsn;
    _Atomic uint64_t durable_lsn;
    _Atomic uint64_t segment_bytes; /* of the current segment */
    _Atomic uint64_t room_bytes;
    _Atomic bool failed;

    struct jq_segment_table table;
    struct jq_spare spare;
};

/* table.c */
void jq_segment_table_init(struct jq_segment_table *table);
void jq_segment_table_fini(struct jq_segment_table *table, const struct jq_disk *disk);
/* A segment of the same base takes the place of the last one: the first block of a log may be too large for its first segment. */
enum jq_err jq_segment_table_add(struct jq_segment_table *table, uint64_t base_lsn, uint64_t size_bytes,
                                 struct jq_error *reterr);

/* spare.c */
void jq_spare_init(struct jq_spare *spare);
void jq_spare_fini(struct jq_spare *spare, const struct jq_disk *disk);
/* Writes zeros over [from, to). */
enum jq_err jq_zero_fill(const struct jq_disk *disk, struct jq_file *file, uint64_t from, uint64_t to,
                         struct jq_error *reterr);
/* With the spare's lock held: a spare of `size_bytes` with room for at least `size_min`, made on the spot if there is
 * none. */
enum jq_err jq_spare_claim(struct jq_journal *journal, uint64_t size_min, struct jq_error *reterr);
/* With the spare's lock held: the spare, whose header is synced, becomes the segment at `base_lsn`, durably, and the
 * current one. */
enum jq_err jq_spare_enter_service(struct jq_journal *journal, const struct jq_segment_header *header,
                                   struct jq_error *reterr);

/* recover.c */
struct jq_recovery {
    struct jq_recovery_report report;
    struct jq_segment_header header; /* of the new segment, but for its salt */
    uint8_t *carried;                /* the last valid block, or NULL */
    uint64_t *stale;                 /* base LSNs of the segments that the new one makes void */
    size_t stale_count;
};
/* Reads the log of journal->dir; fills the table with the segments that count. Changes nothing on disk. */
enum jq_err jq_recovery_read(struct jq_journal *journal, const struct jq_journal_replay *replay,
                             struct jq_recovery *ret_recovery, struct jq_error *reterr);
void jq_recovery_fini(struct jq_recovery *recovery);

#endif
