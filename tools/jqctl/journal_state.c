/* journal_state.c - jqctl journal state: what the broker knew at a moment, by the same fold that its recovery is. */
#include <stdlib.h>

#include "common/clock.h"
#include "tools/jqctl/journal.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"
#include "tools/jqctl/when.h"

enum { ROWS_AT_A_TIME = 64 };

/* ---- what is told ---------------------------------------------------------------------------------------------------- */

#define STATE_COUNTS                                                                                                   \
    {"waiting", "waiting", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL},                                              \
        {"blocked", "blocked", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL},                                          \
        {"scheduled", "scheduled", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL},                                      \
        {"ready", "ready", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL},                                              \
        {"running", "running", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL}, {                                        \
        "dead", "dead", JQCTL_COUNT, JQCTL_SHEET | JQCTL_TABLE, NULL                                                   \
    }
static const struct jqctl_column queue_columns[] = {
    {"queue", "queue", JQCTL_TEXT, JQCTL_TABLE, NULL},
    STATE_COUNTS,
    {"finished", "finished", JQCTL_COUNT, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns queue_row = JQCTL_COLUMNS(queue_columns);
static const struct jqctl_column state_columns[] = {
    {"lsn", "up to LSN", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"time_ms", "time", JQCTL_TIME, JQCTL_SHEET, NULL},
    {"records", "records", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"digest", "digest", JQCTL_HEX, JQCTL_SHEET, NULL},
    STATE_COUNTS,
    {"tasks_finished", "finished", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"keys", "keys", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"queues", NULL, JQCTL_LIST, 0, &queue_row},
};
static const struct jqctl_columns state_row = JQCTL_COLUMNS(state_columns);

static void pack_count(struct jq_pack *pack, const char *key, uint64_t value) {
    jq_pack_str(pack, jq_str_of(key));
    jq_pack_uint(pack, value);
}

static void pack_queue(struct jq_pack *pack, const struct jq_queue_row *row) {
    jq_pack_map(pack, 8);
    jq_pack_str(pack, JQ_STR("queue"));
    jq_pack_str(pack, row->name);
    pack_count(pack, "waiting", row->waiting);
    pack_count(pack, "blocked", row->blocked);
    pack_count(pack, "scheduled", row->scheduled);
    pack_count(pack, "ready", row->ready);
    pack_count(pack, "running", row->running);
    pack_count(pack, "dead", row->dead);
    pack_count(pack, "finished", row->finished);
}

static void make_queues(struct jqctl_made *made, struct jq_core *core) {
    struct jq_pack *pack = jqctl_made_key(made, "queues");
    const size_t hole = jq_pack_array_begin(pack);
    struct jq_queue_row rows[ROWS_AT_A_TIME];
    uint32_t at = 0;
    size_t count = 0, got = 0;
    while ((got = jq_core_queue_rows(core, &at, rows, ROWS_AT_A_TIME)) > 0) {
        for (size_t i = 0; i < got; i++)
            pack_queue(pack, &rows[i]);
        count += got;
    }
    jq_pack_end(pack, hole, count);
}

static void print_state(struct jqctl *ctl, const struct jqctl_fold *fold) {
    struct jqctl_made made;
    struct jqctl_list list;
    struct jq_server_row now;
    jq_core_status(fold->core, &now);
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "lsn", fold->lsn);
    jqctl_made_uint(&made, "time_ms", (uint64_t)(fold->time_ms + fold->offset_ms));
    jqctl_made_uint(&made, "records", fold->records);
    jqctl_made_uint(&made, "digest", now.digest);
    jqctl_made_uint(&made, "waiting", now.waiting);
    jqctl_made_uint(&made, "blocked", now.blocked);
    jqctl_made_uint(&made, "scheduled", now.scheduled);
    jqctl_made_uint(&made, "ready", now.ready);
    jqctl_made_uint(&made, "running", now.running);
    jqctl_made_uint(&made, "dead", now.dead);
    jqctl_made_uint(&made, "tasks_finished", now.tasks_finished);
    jqctl_made_uint(&made, "keys", now.keys);
    make_queues(&made, fold->core);
    const struct jq_view row = jqctl_made_end(&made);
    jqctl_print_item(ctl, &state_row, "journal.state", row);
    if (!ctl->json) {
        const struct jq_view queues = jq_view_get(row, "queues");
        jqctl_list_begin(&list, ctl, &queue_row, "");
        for (size_t i = 0; i < jq_view_count(queues); i++)
            jqctl_list_row(&list, jq_view_at(queues, i));
        jqctl_list_end(&list, NULL, NULL);
    }
    jqctl_made_fini(&made);
}

/* ---- the command ------------------------------------------------------------------------------------------------------- */

int jqctl_journal_state(struct jqctl *ctl) {
    const char *at = jqctl_value(&ctl->args, "at");
    struct jqctl_fold fold;
    struct jq_journal_verdict verdict;
    struct jq_error error;
    int64_t until_ms = INT64_MAX;
    if (at && jqctl_when_parse_near(jq_str_of(at), jq_clock_wall_ms(), -1, &until_ms, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--at: %s", error.message);
    if (!jqctl_fold_init(&fold))
        return jqctl_fail(EX_OSERR, "out of memory");
    fold.until_ms = until_ms;
    int code = jqctl_journal_walk(ctl, jqctl_fold_record, &fold, &verdict);
    if (fold.failed)
        code = EX_DATAERR;
    else if (code == JQCTL_DONE && fold.records == 0)
        code = jqctl_fail(EX_NOINPUT, "the journal begins later");
    if (code == JQCTL_DONE || (code == EX_DATAERR && fold.records > 0))
        print_state(ctl, &fold);
    jqctl_fold_fini(&fold);
    return code;
}
