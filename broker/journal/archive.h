/* archive.h - segments that left the log, kept in another folder and compressed; and a disk that shows them as if they had stayed.
 *
 * An archived segment is NAME.jql.zst: one zstd frame with its content's size and checksum, of the segment's file up to where the next
 * segment begins. `zstd -d` gives the file back. LSNs are never used twice, so neither is a name, but by another log.
 *
 * Errors:    as disk.h; JQ_ERR_CORRUPT for a frame that does not hold.
 */
#ifndef JQ_BROKER_JOURNAL_ARCHIVE_H
#define JQ_BROKER_JOURNAL_ARCHIVE_H

#include "broker/journal/disk.h"
#include "broker/journal/journal.h"

#define JQ_ARCHIVE_SUFFIX ".zst"

/* Puts a segment of `dir` that no longer grows into `archive_dir`, which is made if it is missing (not its parents): whole and durable under
 * its name, or not at all. Doing it again does no harm. JQ_ERR_FOREIGN: a segment of another log has that name there.
 * May take a while: segment_size / 300 MB/s. */
enum jq_err jq_archive_segment(const struct jq_disk *disk, const char *dir, const struct jq_journal_segment *segment,
                               const char *archive_dir, struct jq_error *reterr);

/* How much of an archive is kept; 0: all of it. */
struct jq_archive_keep {
    int64_t time_ms; /* a segment goes when the next one was begun so long ago */
    uint64_t bytes;  /* compressed */
};

/* Removes segments of that log from the old end of an archive for as long as it holds more than is to be kept; but never the newest. What
 * is not that log's, or cannot be read, stays. *ret_count: how many went (after an error too). A folder that is missing is empty. */
enum jq_err jq_archive_prune(const struct jq_disk *disk, const char *archive_dir, const struct jq_uuid *log_id,
                             const struct jq_archive_keep *keep, int64_t now_ms, uint32_t *ret_count,
                             struct jq_error *reterr);

/* Removes what a crash has left half done there. */
enum jq_err jq_archive_tidy(const struct jq_disk *disk, const char *archive_dir, struct jq_error *reterr);

/* A disk for reading journals: list() of a folder names segments, compressed ones too, and those of `archive_dir` (may be NULL) with
 * them; open() for reading finds them in this order. open, close, read, size and list are all it has. Reads of a compressed file are
 * meant to go forward; one step back begins at its start again.
 * Ownership: `under` and `archive_dir` are borrowed; lives until jq_archive_disk_free(), which takes NULL. One thread. */
struct jq_archive_disk;
enum jq_err jq_archive_disk_new(const struct jq_disk *under, const char *archive_dir, struct jq_archive_disk **ret_disk,
                                struct jq_error *reterr);
void jq_archive_disk_free(struct jq_archive_disk *archive);
const struct jq_disk *jq_archive_disk(const struct jq_archive_disk *archive);

#endif
