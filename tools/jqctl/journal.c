/* journal.c - jqctl journal verify and stat, and the walk over a journal's records. */
#include "tools/jqctl/journal.h"

#include <inttypes.h>
#include <stdlib.h>

#include "broker/journal/archive.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

/* ---- the walk ----------------------------------------------------------------------------------------------------------- */

struct walk {
    jqctl_walk_fn *on_record;
    void *ctx;
    uint64_t block_lsn; /* of the block whose time `time_ms` is */
    int64_t time_ms;
    uint64_t faults;
    bool stopped;
};

/* The record's fields, and its body's own checksum. */
static enum jq_err decode(struct walk *walk, const struct jq_log_record *from, struct jq_record *record, bool *clock,
                          struct jq_error *error) {
    struct jq_bytes body;
    const enum jq_err err = jq_record_decode(from->type, from->body, &walk->time_ms, record, clock, error);
    if (err != JQ_OK || *clock)
        return err;
    return jq_record_body(from->type, from->body, &body, error);
}

static enum jq_err on_log_record(void *ctx, const struct jq_block_info *info, const struct jq_log_record *from,
                                 struct jq_error *reterr) {
    struct walk *walk = ctx;
    struct jq_record record;
    struct jq_error fault;
    bool clock = false;
    if (walk->block_lsn != info->lsn || walk->time_ms == 0)
        walk->time_ms = info->time_ms;
    walk->block_lsn = info->lsn;
    const enum jq_err err = decode(walk, from, &record, &clock, &fault);
    const struct jqctl_walked walked = {.block = info,
                                        .lsn = from->lsn,
                                        .type = from->type,
                                        .size_bytes = jq_record_size((uint32_t)from->body.size),
                                        .time_ms = walk->time_ms,
                                        .record = err == JQ_OK && !clock ? &record : NULL,
                                        .fault = err == JQ_OK ? NULL : &fault};
    walk->faults += err != JQ_OK;
    if (err != JQ_OK)
        jqctl_note("record at LSN %" PRIu64 ": %s", from->lsn, fault.message);
    walk->stopped = walk->on_record && !walk->on_record(walk->ctx, &walked);
    return walk->stopped ? jq_fail(reterr, JQ_ERR_CANCELED, "stopped") : JQ_OK;
}

static int tell_damage(const struct jq_journal_verdict *verdict) {
    const uint64_t told =
        verdict->damage_count < JQ_VERIFY_DAMAGE_COUNT_MAX ? verdict->damage_count : JQ_VERIFY_DAMAGE_COUNT_MAX;
    for (uint64_t i = 0; i < told; i++)
        jqctl_note("damage: %s", verdict->damages[i].error.message);
    if (verdict->damage_count > told)
        jqctl_note("and %" PRIu64 " more", verdict->damage_count - told);
    return verdict->damage_count > 0 ? EX_DATAERR : JQCTL_DONE;
}

int jqctl_journal_walk(const struct jqctl *ctl, jqctl_walk_fn *on_record, void *ctx,
                       struct jq_journal_verdict *ret_verdict) {
    struct jq_archive_disk *archive = NULL;
    struct jq_error error;
    if (jq_archive_disk_new(jq_disk_posix(), jqctl_value(&ctl->args, "archive"), &archive, &error) != JQ_OK)
        return jqctl_fail_err("journal", &error);
    const int code =
        jqctl_journal_walk_dir(jq_archive_disk(archive), jqctl_journal_dir(ctl), on_record, ctx, ret_verdict);
    jq_archive_disk_free(archive);
    return code;
}

const char *jqctl_journal_dir(const struct jqctl *ctl) {
    return ctl->args.operand_count > 0 ? ctl->args.operands[0] : JQCTL_JOURNAL_DIR;
}

int jqctl_journal_walk_dir(const struct jq_disk *disk, const char *dir, jqctl_walk_fn *on_record, void *ctx,
                           struct jq_journal_verdict *ret_verdict) {
    struct walk walk = {.on_record = on_record, .ctx = ctx};
    struct jq_error error;
    memset(ret_verdict, 0, sizeof(*ret_verdict));
    const enum jq_err err = jq_journal_verify(disk, dir, on_log_record, &walk, ret_verdict, &error);
    if (walk.stopped)
        return walk.faults > 0 ? EX_DATAERR : JQCTL_DONE;
    if (err == JQ_ERR_NOT_FOUND || err == JQ_ERR_DENIED)
        return jqctl_fail(err == JQ_ERR_DENIED ? EX_NOPERM : EX_NOINPUT, "journal: %s", error.message);
    if (err != JQ_OK)
        return jqctl_fail(jqctl_exit_of(err), "journal: %s", error.message);
    if (ret_verdict->segment_count == 0)
        return jqctl_fail(EX_NOINPUT, "%s holds no journal", dir);
    const int damage = tell_damage(ret_verdict);
    return walk.faults > 0 ? EX_DATAERR : damage;
}

/* ---- verify ------------------------------------------------------------------------------------------------------------- */

#define VERDICT_COLUMNS                                                                                                \
    {"segments", "segments", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                          \
        {"superseded", "superseded", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                  \
        {"blocks", "blocks", JQCTL_COUNT, JQCTL_SHEET, NULL}, {"records", "records", JQCTL_COUNT, JQCTL_SHEET, NULL},  \
        {"block_bytes", "data", JQCTL_SIZE, JQCTL_SHEET, NULL},                                                        \
        {"file_bytes", "files", JQCTL_SIZE, JQCTL_SHEET, NULL},                                                        \
        {"first_lsn", "first LSN", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                    \
        {"end_lsn", "end LSN", JQCTL_COUNT, JQCTL_SHEET, NULL}, {"epoch", "epoch", JQCTL_COUNT, JQCTL_SHEET, NULL},    \
        {"first_time_ms", "first", JQCTL_TIME, JQCTL_SHEET, NULL},                                                     \
        {"last_time_ms", "last", JQCTL_TIME, JQCTL_SHEET, NULL},                                                       \
        {"torn_bytes", "torn tail", JQCTL_SIZE, JQCTL_SHEET, NULL},                                                    \
        {"damages", "damages", JQCTL_COUNT, JQCTL_SHEET, NULL},                                                        \
        {"faults", "bad records", JQCTL_COUNT, JQCTL_SHEET, NULL}, {                                                   \
        "sound", "sound", JQCTL_FLAG, JQCTL_SHEET, NULL                                                                \
    }
static const struct jqctl_column type_columns[] = {
    {"type", "records of type", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"count", "count", JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"bytes", "bytes", JQCTL_COUNT, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns type_row = JQCTL_COLUMNS(type_columns);

static const struct jqctl_column verdict_columns[] = {VERDICT_COLUMNS};
static const struct jqctl_columns verdict_row = JQCTL_COLUMNS(verdict_columns);
static const struct jqctl_column stat_columns[] = {VERDICT_COLUMNS, {"types", NULL, JQCTL_LIST, 0, &type_row}};
static const struct jqctl_columns stat_row = JQCTL_COLUMNS(stat_columns);

static void make_verdict(struct jqctl_made *made, const struct jq_journal_verdict *verdict, uint64_t faults) {
    jqctl_made_begin(made);
    jqctl_made_uint(made, "segments", verdict->segment_count);
    jqctl_made_uint(made, "superseded", verdict->superseded_count);
    jqctl_made_uint(made, "blocks", verdict->block_count);
    jqctl_made_uint(made, "records", verdict->record_count);
    jqctl_made_uint(made, "block_bytes", verdict->block_bytes);
    jqctl_made_uint(made, "file_bytes", verdict->file_bytes);
    jqctl_made_uint(made, "first_lsn", verdict->first_lsn);
    jqctl_made_uint(made, "end_lsn", verdict->end_lsn);
    jqctl_made_uint(made, "epoch", verdict->epoch);
    jqctl_made_uint(made, "first_time_ms", (uint64_t)verdict->first_time_ms);
    jqctl_made_uint(made, "last_time_ms", (uint64_t)verdict->last_time_ms);
    jqctl_made_uint(made, "torn_bytes", verdict->torn_bytes);
    jqctl_made_uint(made, "damages", verdict->damage_count);
    jqctl_made_uint(made, "faults", faults);
    jqctl_made_bool(made, "sound", verdict->damage_count == 0 && faults == 0);
}

/* What a pass over all records counts. */
struct tally {
    struct jq_journal_verdict verdict;
    uint64_t faults;
    uint64_t counts[256], bytes[256]; /* by type */
};

static bool count_record(void *ctx, const struct jqctl_walked *walked) {
    struct tally *tally = ctx;
    tally->faults += walked->fault != NULL;
    tally->counts[walked->type]++;
    tally->bytes[walked->type] += walked->size_bytes;
    return true;
}

/* NULL: complained about, with the code in *ret_code. */
static struct tally *tally_new(const struct jqctl *ctl, int *ret_code) {
    struct tally *tally = calloc(1, sizeof(*tally));
    if (!tally) {
        *ret_code = jqctl_fail(EX_OSERR, "out of memory");
        return NULL;
    }
    *ret_code = jqctl_journal_walk(ctl, count_record, tally, &tally->verdict);
    if (*ret_code == JQCTL_DONE || *ret_code == EX_DATAERR)
        return tally;
    free(tally);
    return NULL;
}

int jqctl_journal_verify(struct jqctl *ctl) {
    struct jqctl_made made;
    int code = JQCTL_DONE;
    struct tally *tally = tally_new(ctl, &code);
    if (!tally)
        return code;
    jqctl_made_init(&made);
    make_verdict(&made, &tally->verdict, tally->faults);
    jqctl_print_item(ctl, &verdict_row, "journal.verdict", jqctl_made_end(&made));
    jqctl_made_fini(&made);
    free(tally);
    return code;
}

/* ---- stat --------------------------------------------------------------------------------------------------------------- */

static void make_types(struct jqctl_made *made, const struct tally *tally) {
    struct jq_pack *pack = jqctl_made_key(made, "types");
    const size_t hole = jq_pack_array_begin(pack);
    size_t count = 0;
    for (unsigned type = 0; type < 256; type++) {
        if (tally->counts[type] == 0)
            continue;
        jq_pack_map(pack, 3);
        jq_pack_str(pack, JQ_STR("type"));
        jq_pack_str(pack, jq_str_of(jq_record_type_name((uint8_t)type)));
        jq_pack_str(pack, JQ_STR("count"));
        jq_pack_uint(pack, tally->counts[type]);
        jq_pack_str(pack, JQ_STR("bytes"));
        jq_pack_uint(pack, tally->bytes[type]);
        count++;
    }
    jq_pack_end(pack, hole, count);
}

int jqctl_journal_stat(struct jqctl *ctl) {
    struct jqctl_made made;
    struct jqctl_list list;
    int code = JQCTL_DONE;
    struct tally *tally = tally_new(ctl, &code);
    if (!tally)
        return code;
    jqctl_made_init(&made);
    make_verdict(&made, &tally->verdict, tally->faults);
    make_types(&made, tally);
    const struct jq_view row = jqctl_made_end(&made);
    jqctl_print_item(ctl, &stat_row, "journal.stat", row);
    if (!ctl->json) {
        const struct jq_view types = jq_view_get(row, "types");
        jqctl_list_begin(&list, ctl, &type_row, "");
        for (size_t i = 0; i < jq_view_count(types); i++)
            jqctl_list_row(&list, jq_view_at(types, i));
        jqctl_list_end(&list, NULL, NULL);
    }
    jqctl_made_fini(&made);
    free(tally);
    return code;
}
