/* scan.h - reading a journal: the list of its segments, and a scan over the blocks in them, in the order of the log.
 *
 * This is the one place that decides what is valid, torn or damaged. Recovery stops at the first damage; `jqctl journal
 * verify` goes on behind it. Nothing is written, no lock is taken: the journal of a running broker can be read too (its
 * end then looks like a torn tail at times).
 *
 * Units:     LSNs and sizes are bytes; offsets are in the segment's file.
 * Ownership: what an item lends is valid until the next call of jq_log_scan_next().
 * Errors:    JQ_ERR_IO and its like when a file cannot be read. Damage is not an error of a scan, but an item.
 */
#ifndef JQ_BROKER_JOURNAL_SCAN_H
#define JQ_BROKER_JOURNAL_SCAN_H

#include "broker/journal/block.h"
#include "broker/journal/disk.h"
#include "broker/journal/segment.h"

struct jq_segment_entry {
    char name[JQ_SEGMENT_NAME_SIZE];
    uint64_t base_lsn; /* from the name */
    uint64_t size_bytes;
    struct jq_segment_header header; /* set if error.code == JQ_OK */
    struct jq_error error; /* JQ_ERR_CORRUPT, JQ_ERR_VERSION or JQ_ERR_FOREIGN: what is wrong with the header */
    bool superseded;       /* a recovery went back to below base_lsn: nothing in here counts */
};

struct jq_segment_list {
    struct jq_segment_entry *entries; /* ascending by base_lsn */
    size_t count;
    uint64_t epoch_max; /* of all readable headers, superseded ones too; 0 if none */
};

/* Reads the names and headers of all segments in `dir`; other files are passed over. An empty list is no error. */
enum jq_err jq_segment_list_load(const struct jq_disk *disk, const char *dir, struct jq_segment_list *ret_list,
                                 struct jq_error *reterr);
void jq_segment_list_fini(struct jq_segment_list *list);

enum jq_scan_kind {
    JQ_SCAN_BLOCK,  /* a valid block: `block`, `data` */
    JQ_SCAN_DAMAGE, /* acknowledged bytes are bad or missing: `error`, `damage_size_bytes`; goes on behind them */
    JQ_SCAN_END,    /* the log's end: `torn_bytes` */
};

struct jq_scan_item {
    enum jq_scan_kind kind;
    const struct jq_segment_entry *segment; /* NULL only at the end of a log without segments */
    uint64_t offset;                        /* in the segment's file */
    struct jq_block_header block;
    const uint8_t *data; /* the block from its header on */
    struct jq_error error;
    uint64_t damage_size_bytes; /* in doubt; 0 if it cannot be told */
    uint64_t torn_bytes;        /* found behind the last valid block, never acknowledged */
};

struct jq_log_scan; /* Opaque. */

/* `list` is borrowed until free. */
enum jq_err jq_log_scan_new(const struct jq_disk *disk, const char *dir, const struct jq_segment_list *list,
                            struct jq_log_scan **ret_scan, struct jq_error *reterr);
void jq_log_scan_free(struct jq_log_scan *scan);
enum jq_err jq_log_scan_next(struct jq_log_scan *scan, struct jq_scan_item *ret_item, struct jq_error *reterr);

/* One pass over `count` records of a block; fails with JQ_ERR_CORRUPT if they do not fill it exactly, else with what
 * on_record returned. on_record may be NULL. */
typedef enum jq_err jq_on_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *record,
                                 struct jq_error *reterr);
enum jq_err jq_scan_records(const struct jq_scan_item *item, jq_on_record *on_record, void *ctx,
                            struct jq_error *reterr);

#endif
