/* server_backup.c - jqctl server backup: the journal of a running broker, copied up to one moment.
 *
 * The copy is made in DIR.partial: the files piece by piece, then a check of all of it, the fold of its records against the digest that
 * the broker named, the blobs that it says are stored, and the recovery that ends every log at its start. Only then it gets its name.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/journal/journal.h"
#include "common/clock.h"
#include "common/entropy.h"
#include "common/json.h"
#include "tools/jqctl/backup_blobs.h"
#include "tools/jqctl/journal.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum {
    PATH_SIZE = JQ_DISK_PATH_SIZE_MAX - 64,
    /* Of the 2^20 that tokens have room for: the original goes on counting its starts, and no lease token of its may ever be one of a
     * broker that is started with the copy. */
    EPOCH_SKIP = 1024,
    SEGMENT_SIZE = 64 * 1024,
    TEXT_SIZE = 4096,
};
#define PARTIAL  ".partial"
#define MANIFEST "backup.json"

struct backup {
    struct jqctl *ctl;
    const struct jq_disk *disk;
    char dir[PATH_SIZE], partial[PATH_SIZE + sizeof(PARTIAL)];
    struct jq_uuid broker;
    uint64_t end_lsn, digest, epoch, time_ms;
    uint64_t files, bytes;
    struct jqctl_blobs_report blobs;
    struct jq_error error;
};

static int fail_disk(const struct backup *backup) {
    return jqctl_fail(jqctl_exit_of(backup->error.code), "backup: %s", backup->error.message);
}

/* ---- the folder ---------------------------------------------------------------------------------------------------------- */

static int choose_names(struct backup *backup, const char *given) {
    size_t size = strlen(given);
    while (size > 1 && given[size - 1] == '/')
        size--;
    if (size >= PATH_SIZE)
        return jqctl_fail(EX_USAGE, "the folder's name is too long");
    memcpy(backup->dir, given, size);
    (void)snprintf(backup->partial, sizeof(backup->partial), "%s" PARTIAL, backup->dir);
    if (access(backup->dir, F_OK) == 0 || errno != ENOENT)
        return jqctl_fail(EX_CANTCREAT, "%s is there already: a backup goes into a new folder", backup->dir);
    return JQCTL_DONE;
}

/* Removes what an attempt that was cut off has left; anything else is not ours. */
static enum jq_err remove_leftover(void *ctx, const char *name) {
    struct backup *backup = ctx;
    char path[JQ_DISK_PATH_SIZE_MAX];
    uint64_t lsn = 0;
    const bool ours = jq_segment_name_parse(name, &lsn) || strcmp(name, "spare.tmp") == 0 ||
                      strcmp(name, "LOCK") == 0 || strcmp(name, MANIFEST) == 0 || strncmp(name, "blob", 4) == 0;
    if (!ours)
        return jq_fail(&backup->error, JQ_ERR_EXISTS, "%.100s: there is a %.60s in it", backup->partial, name);
    if (strcmp(name, "LOCK") == 0 || strncmp(name, "blob", 4) == 0)
        return JQ_OK; /* Blobs have the names of what they hold: what is there need not be fetched again. */
    const enum jq_err err = jq_disk_path(path, backup->partial, name, &backup->error);
    return err == JQ_OK ? backup->disk->unlink(backup->disk->ctx, path, &backup->error) : err;
}

/* The lock keeps a second backup out of the same folder. */
static int make_partial(struct backup *backup, struct jq_file **ret_lock) {
    const struct jq_disk *disk = backup->disk;
    char path[JQ_DISK_PATH_SIZE_MAX];
    enum jq_err err = disk->make_dir(disk->ctx, backup->partial, &backup->error);
    if (err == JQ_OK)
        err = jq_disk_path(path, backup->partial, "LOCK", &backup->error);
    if (err == JQ_OK)
        err = disk->lock(disk->ctx, path, ret_lock, &backup->error);
    if (err == JQ_OK)
        err = disk->list(disk->ctx, backup->partial, remove_leftover, backup, &backup->error);
    return err == JQ_OK ? JQCTL_DONE : fail_disk(backup);
}

/* ---- the copy ------------------------------------------------------------------------------------------------------------ */

static void fill_hello(struct jq_pack *pack, void *ctx) {
    (void)ctx;
    jq_pack_field_str(pack, &jq_message_hello, JQ_AT_HELLO_NAME, JQ_STR("jqctl"));
    jq_pack_field_str(pack, &jq_message_hello, JQ_AT_HELLO_VERSION, JQ_STR(""));
}

static int begin(struct backup *backup) {
    struct jq_flight flight;
    int code = jqctl_call(backup->ctl, &flight, "hello", "hello", 2, fill_hello, NULL);
    if (code != JQCTL_DONE)
        return code;
    backup->broker = jq_view_uuid(flight.view.body, "broker");
    jq_flight_end(&flight);
    code = jqctl_call(backup->ctl, &flight, "backup", "backup.begin", 0, NULL, NULL);
    if (code != JQCTL_DONE)
        return code;
    backup->end_lsn = jq_view_uint(flight.view.body, "end_lsn", 0);
    backup->digest = jq_view_uint(flight.view.body, "digest", 0);
    backup->epoch = jq_view_uint(flight.view.body, "epoch", 0);
    backup->time_ms = jq_view_uint(flight.view.body, "time_ms", 0);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* A question for a piece, and what the answer says of its file. */
struct piece {
    bool oldest;
    uint64_t segment, offset, end_lsn;
    uint64_t size, next;
};

static void fill_piece(struct jq_pack *pack, void *ctx) {
    const struct piece *piece = ctx;
    if (!piece->oldest)
        jq_pack_field_uint(pack, &jq_message_backup_read, JQ_AT_BACKUP_READ_SEGMENT, piece->segment);
    jq_pack_field_uint(pack, &jq_message_backup_read, JQ_AT_BACKUP_READ_OFFSET, piece->offset);
    jq_pack_field_uint(pack, &jq_message_backup_read, JQ_AT_BACKUP_READ_END, piece->end_lsn);
}

/* Fetches a piece and writes it; the file is opened with its first. */
static int copy_piece(struct backup *backup, struct piece *piece, struct jq_file **file) {
    const struct jq_disk *disk = backup->disk;
    struct jq_flight flight;
    char name[JQ_SEGMENT_NAME_SIZE], path[JQ_DISK_PATH_SIZE_MAX];
    enum jq_err err = JQ_OK;
    const int code =
        jqctl_call(backup->ctl, &flight, "backup", "backup.read", piece->oldest ? 2 : 3, fill_piece, piece);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_bytes data = jq_view_bin(flight.view.body, "data");
    piece->segment = jq_view_uint(flight.view.body, "segment", 0);
    piece->size = jq_view_uint(flight.view.body, "size", 0);
    piece->next = jq_view_uint(flight.view.body, "next", 0);
    piece->oldest = false;
    jq_segment_name(piece->segment, name);
    if (*file == NULL)
        err = jq_disk_path(path, backup->partial, name, &backup->error);
    if (err == JQ_OK && *file == NULL)
        err = disk->open(disk->ctx, path, JQ_DISK_CREATE, file, &backup->error);
    if (err == JQ_OK && data.size == 0)
        err = jq_fail(&backup->error, JQ_ERR_PROTOCOL, "the broker sent an empty piece of %s", name);
    if (err == JQ_OK)
        err = disk->write(disk->ctx, *file, data.data, data.size, piece->offset, &backup->error);
    piece->offset += data.size;
    jq_flight_end(&flight);
    return err == JQ_OK ? JQCTL_DONE : fail_disk(backup);
}

static int copy_segment(struct backup *backup, struct piece *piece) {
    struct jq_file *file = NULL;
    int code = JQCTL_DONE;
    do {
        code = copy_piece(backup, piece, &file);
    } while (code == JQCTL_DONE && piece->offset < piece->size);
    if (code == JQCTL_DONE && backup->disk->sync(backup->disk->ctx, file, &backup->error) != JQ_OK)
        code = fail_disk(backup);
    backup->disk->close(backup->disk->ctx, file);
    backup->files++;
    backup->bytes += piece->size;
    return code;
}

static int copy_all(struct backup *backup) {
    struct piece piece = {.oldest = true, .end_lsn = backup->end_lsn};
    int code = copy_segment(backup, &piece);
    while (code == JQCTL_DONE && piece.next != 0) {
        if (piece.next <= piece.segment)
            return jqctl_fail(EX_PROTOCOL, "backup: the broker's segments go backwards");
        piece = (struct piece){.segment = piece.next, .end_lsn = backup->end_lsn};
        code = copy_segment(backup, &piece);
    }
    return code;
}

/* ---- the proof, and the end of the log ------------------------------------------------------------------------------------ */

static int check_digest(struct backup *backup, struct jqctl_fold *fold) {
    struct jq_journal_verdict verdict;
    const int code = jqctl_journal_walk_dir(backup->disk, backup->partial, jqctl_fold_record, fold, &verdict);
    const uint64_t digest = jq_core_digest(fold->core);
    if (code == JQCTL_DONE && (fold->failed || verdict.end_lsn != backup->end_lsn || digest != backup->digest))
        return jqctl_fail(EX_DATAERR,
                          "backup: the copy ends at LSN %" PRIu64 " with digest %016" PRIx64
                          ", the broker said %" PRIu64 " and %016" PRIx64,
                          verdict.end_lsn, digest, backup->end_lsn, backup->digest);
    return code;
}

/* The state that the copy makes is the one that the broker had; and what it says is stored is fetched, too. */
static int prove(struct backup *backup) {
    struct jqctl_fold fold;
    if (!jqctl_fold_init(&fold))
        return jqctl_fail(EX_OSERR, "out of memory");
    int code = check_digest(backup, &fold);
    if (code == JQCTL_DONE)
        code = jqctl_backup_blobs(backup->ctl, fold.core, backup->partial, &backup->blobs);
    jqctl_fold_fini(&fold);
    return code;
}

static void random_bytes(void *ctx, void *data, size_t size) {
    (void)ctx;
    JQ_CHECK(jq_random_bytes(data, size, NULL) == JQ_OK);
}

/* The recovery that a start would make, with an epoch that the original will not come to. It reads and checks every block. */
static int end_log(struct backup *backup) {
    const struct jq_journal_config config = {.disk = backup->disk,
                                             .dir = jq_str_of(backup->partial),
                                             .segment_size_bytes = SEGMENT_SIZE,
                                             .first_segment_size_bytes = SEGMENT_SIZE,
                                             .epoch_skip = EPOCH_SKIP,
                                             .wall_ms = jq_clock_wall_ms(),
                                             .random = random_bytes};
    const struct jq_journal_replay nothing = {.ctx = NULL};
    struct jq_recovery_report report;
    struct jq_journal *journal = NULL;
    if (jq_journal_open(&config, &nothing, &report, &journal, &backup->error) != JQ_OK)
        return fail_disk(backup);
    jq_journal_free(journal);
    if (report.torn_bytes > 0 || report.end_lsn != backup->end_lsn)
        return jqctl_fail(EX_DATAERR, "backup: the copy ends at LSN %" PRIu64 ", the broker said %" PRIu64,
                          report.end_lsn, backup->end_lsn);
    backup->epoch = report.epoch;
    return JQCTL_DONE;
}

/* ---- what is told -------------------------------------------------------------------------------------------------------- */

static const struct jqctl_column backup_columns[] = {
    {"dir", "backup", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"broker", "of broker", JQCTL_UUID, JQCTL_SHEET, NULL},
    {"time_ms", "as of", JQCTL_TIME, JQCTL_SHEET, NULL},
    {"end_lsn", "up to LSN", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"digest", "digest", JQCTL_HEX, JQCTL_SHEET, NULL},
    {"folded", "digest proven", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"epoch", "epoch", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"segments", "segments", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"bytes", "size", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"blobs", "blobs", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"blob_bytes", "size of these", JQCTL_SIZE, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns backup_row = JQCTL_COLUMNS(backup_columns);

static struct jq_view describe(const struct backup *backup, struct jqctl_made *made) {
    jqctl_made_begin(made);
    jqctl_made_text(made, "dir", backup->dir);
    jqctl_made_uuid(made, "broker", &backup->broker);
    jqctl_made_uint(made, "time_ms", backup->time_ms);
    jqctl_made_uint(made, "end_lsn", backup->end_lsn);
    jqctl_made_uint(made, "digest", backup->digest);
    jqctl_made_uint(made, "epoch", backup->epoch);
    jqctl_made_uint(made, "segments", backup->files);
    jqctl_made_uint(made, "bytes", backup->bytes);
    jqctl_made_uint(made, "blobs", backup->blobs.count);
    jqctl_made_uint(made, "blob_bytes", backup->blobs.bytes);
    return jqctl_made_end(made);
}

static int write_manifest(struct backup *backup, struct jq_view row) {
    const struct jq_disk *disk = backup->disk;
    char path[JQ_DISK_PATH_SIZE_MAX];
    struct jq_file *file = NULL;
    struct jq_buf text;
    struct jq_json json;
    jq_buf_init(&text, TEXT_SIZE);
    jq_json_init(&json, &text);
    jqctl_write_row(&json, &backup_row, row);
    jq_buf_append_u8(&text, '\n');
    enum jq_err err = jq_disk_path(path, backup->partial, MANIFEST, &backup->error);
    if (err == JQ_OK)
        err = disk->open(disk->ctx, path, JQ_DISK_CREATE, &file, &backup->error);
    if (err == JQ_OK)
        err = disk->write(disk->ctx, file, text.data, text.size, 0, &backup->error);
    if (err == JQ_OK)
        err = disk->sync(disk->ctx, file, &backup->error);
    disk->close(disk->ctx, file);
    jq_buf_fini(&text);
    return err == JQ_OK ? JQCTL_DONE : fail_disk(backup);
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

/* Everything in it is durable before it gets its name, and then the name is. */
static int give_name(struct backup *backup) {
    const struct jq_disk *disk = backup->disk;
    char lock[JQ_DISK_PATH_SIZE_MAX], parent[PATH_SIZE];
    (void)snprintf(parent, sizeof(parent), "%s", backup->dir);
    char *slash = strrchr(parent, '/');
    if (slash)
        slash[slash == parent ? 1 : 0] = '\0';
    enum jq_err err = jq_disk_path(lock, backup->partial, "LOCK", &backup->error);
    if (err == JQ_OK)
        err = disk->unlink(disk->ctx, lock, &backup->error);
    if (err == JQ_OK)
        err = disk->sync_dir(disk->ctx, backup->partial, &backup->error);
    if (err == JQ_OK)
        err = disk->rename(disk->ctx, backup->partial, backup->dir, &backup->error);
    if (err == JQ_OK)
        err = disk->sync_dir(disk->ctx, slash ? parent : ".", &backup->error);
    return err == JQ_OK ? JQCTL_DONE : fail_disk(backup);
}

static int finish(struct backup *backup) {
    struct jqctl_made made;
    int code = prove(backup);
    if (code == JQCTL_DONE)
        code = end_log(backup);
    if (code != JQCTL_DONE)
        return code;
    jqctl_made_init(&made);
    const struct jq_view row = describe(backup, &made);
    code = write_manifest(backup, row);
    if (code == JQCTL_DONE)
        code = give_name(backup);
    if (code == JQCTL_DONE)
        jqctl_print_item(backup->ctl, &backup_row, "server.backup", row);
    jqctl_made_fini(&made);
    return code;
}

int jqctl_server_backup(struct jqctl *ctl) {
    struct backup backup = {.ctl = ctl, .disk = jq_disk_posix()};
    struct jq_file *lock = NULL;
    int code = choose_names(&backup, ctl->args.operands[0]);
    if (code == JQCTL_DONE)
        code = make_partial(&backup, &lock);
    if (code == JQCTL_DONE)
        code = begin(&backup);
    if (code == JQCTL_DONE)
        code = copy_all(&backup);
    backup.disk->close(backup.disk->ctx, lock);
    return code == JQCTL_DONE ? finish(&backup) : code;
}
