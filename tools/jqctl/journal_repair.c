/* journal_repair.c - jqctl journal repair: what would be lost, and, once that is agreed to, the end of the log before its damage. */
#include "broker/journal/repair.h"

#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/entropy.h"
#include "tools/jqctl/journal.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum { TOLD_MAX = 10, PATH_SIZE = 1024 };

/* What stands whole behind the first damage, and goes with it. */
struct loss {
    uint64_t from_lsn;
    uint64_t records, submitted, ended;
    jq_task_id told[TOLD_MAX]; /* the first of the tasks submitted there */
};

static enum jq_err count_loss(void *ctx, const struct jq_block_info *info, const struct jq_log_record *from,
                              struct jq_error *reterr) {
    struct loss *loss = ctx;
    struct jq_record record;
    bool clock = false;
    int64_t time_ms = info->time_ms;
    (void)reterr;
    if (from->lsn < loss->from_lsn ||
        jq_record_decode(from->type, from->body, &time_ms, &record, &clock, NULL) != JQ_OK || clock)
        return JQ_OK;
    loss->records++;
    if (record.type == JQ_RECORD_TASK_SUBMITTED && loss->submitted++ < TOLD_MAX)
        loss->told[loss->submitted - 1] = record.u.task_submitted.task;
    loss->ended += record.type == JQ_RECORD_TASK_ENDED;
    return JQ_OK;
}

static void tell_loss(const struct jq_journal_damage *first, const struct loss *loss) {
    jqctl_note("the log would end at LSN %" PRIu64 "; void from there on are %" PRIu64 " whole records:", first->lsn,
               loss->records);
    jqctl_note("%" PRIu64 " tasks submitted, %" PRIu64 " outcomes; what else was in the damaged bytes, nobody can tell",
               loss->submitted, loss->ended);
    for (uint64_t i = 0; i < loss->submitted && i < TOLD_MAX; i++)
        jqctl_note("lost: task %" PRIu64 "%s", loss->told[i].value,
                   i + 1 == TOLD_MAX && loss->submitted > TOLD_MAX ? ", and more" : "");
}

/* ---- the repair ---------------------------------------------------------------------------------------------------------- */

static void random_bytes(void *ctx, void *data, size_t size) {
    (void)ctx;
    JQ_CHECK(jq_random_bytes(data, size, NULL) == JQ_OK);
}

static const struct jqctl_column repair_columns[] = {
    {"copy", "copy of before", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"files", "files copied", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"file_bytes", "size", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"end_lsn", "the log ends at LSN", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"records", "records kept", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"epoch", "epoch", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns repair_row = JQCTL_COLUMNS(repair_columns);

static void print_report(struct jqctl *ctl, const char *copy, const struct jq_repair_report *report) {
    struct jqctl_made made;
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_text(&made, "copy", copy);
    jqctl_made_uint(&made, "files", report->file_count);
    jqctl_made_uint(&made, "file_bytes", report->file_bytes);
    jqctl_made_uint(&made, "end_lsn", report->recovery.end_lsn);
    jqctl_made_uint(&made, "records", report->recovery.record_count);
    jqctl_made_uint(&made, "epoch", report->recovery.epoch);
    jqctl_print_item(ctl, &repair_row, "journal.repair", jqctl_made_end(&made));
    jqctl_made_fini(&made);
}

static int repair(struct jqctl *ctl, const char *dir) {
    const struct jq_journal_config config = {.disk = jq_disk_posix(),
                                             .dir = jq_str_of(dir),
                                             .segment_size_bytes = JQ_SEGMENT_SIZE_DEFAULT,
                                             .first_segment_size_bytes = JQ_SEGMENT_SIZE_FIRST,
                                             .wall_ms = jq_clock_wall_ms(),
                                             .random = random_bytes};
    const char *given = jqctl_value(&ctl->args, "copy");
    char copy[PATH_SIZE];
    struct jq_repair_report report;
    struct jq_error error;
    if (given)
        (void)snprintf(copy, sizeof(copy), "%s", given);
    else
        (void)snprintf(copy, sizeof(copy), "%.900s.before-repair-%lld", dir, (long long)(config.wall_ms / 1000));
    const enum jq_err err = jq_journal_repair(&config, copy, &report, &error);
    if (err != JQ_OK)
        return jqctl_fail(jqctl_exit_of(err), "journal: %s", error.message);
    print_report(ctl, copy, &report);
    return JQCTL_DONE;
}

static int agree(const struct jqctl *ctl) {
    if (jqctl_given(&ctl->args, "yes"))
        return JQCTL_DONE;
    if (isatty(STDIN_FILENO) != 1 || !ctl->terminal.err)
        return jqctl_fail(EX_USAGE, "nothing was changed: say --yes to end the log there");
    return jqctl_confirm("End the log there?") ? JQCTL_DONE : jqctl_fail(JQCTL_FAILED, "nothing was changed");
}

int jqctl_journal_repair(struct jqctl *ctl) {
    const char *dir = jqctl_journal_dir(ctl);
    struct jq_journal_verdict verdict;
    int code = jqctl_journal_walk_dir(jq_disk_posix(), dir, NULL, NULL, &verdict);
    if (code != JQCTL_DONE && code != EX_DATAERR)
        return code;
    if (verdict.damage_count == 0)
        return code == JQCTL_DONE
                   ? jqctl_fail(JQCTL_FAILED, "every block is whole: there is nothing to repair")
                   : jqctl_fail(code, "the blocks are whole, but a record is not; no cut would mend that");
    struct loss loss = {.from_lsn = verdict.damages[0].lsn};
    struct jq_error error;
    if (jq_journal_verify(jq_disk_posix(), dir, count_loss, &loss, &verdict, &error) != JQ_OK)
        return jqctl_fail(EX_IOERR, "journal: %s", error.message);
    tell_loss(&verdict.damages[0], &loss);
    code = agree(ctl);
    return code == JQCTL_DONE ? repair(ctl, dir) : code;
}
