/* schedule.c - jqctl schedule: listed, shown, set, removed, paused, resumed, run; and when an expression is due, without a broker. */
#include <stdio.h>
#include <stdlib.h>

#include "common/civil.h"
#include "common/clock.h"
#include "common/cron.h"
#include "common/libjq/submit.h"
#include "common/text.h"
#include "common/zone_file.h"
#include "tools/jqctl/files.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/pages.h"
#include "tools/jqctl/print.h"
#include "tools/jqctl/spec.h"
#include "tools/jqctl/when.h"

enum { WHAT_SIZE = JQ_NAME_SIZE_MAX + 16, TIMES_DEFAULT = 5, TIMES_MAX = 1000 };

/* ---- columns ------------------------------------------------------------------------------------------------------------ */

static const struct jqctl_column time_columns[] = {
    {"due_ms", "due", JQCTL_TIME, JQCTL_BOTH, NULL},
    {"local", "on the clock there", JQCTL_TEXT, JQCTL_BOTH, NULL},
};
static const struct jqctl_columns time_row = JQCTL_COLUMNS(time_columns);

static const struct jqctl_column retry_columns[] = {
    {"max", "failures", JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"base_ms", "first after", JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"cap_ms", "at most", JQCTL_SPAN, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns retry_row = JQCTL_COLUMNS(retry_columns);

static const struct jqctl_column task_columns[] = {
    {"priority", "priority", JQCTL_COUNT, JQCTL_TABLE, NULL},
    {"delay_ms", "delay", JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"need", "need", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"want", "want", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"group", "group", JQCTL_TEXT, JQCTL_TABLE, NULL},
    {"retry", "retry", JQCTL_MAP, JQCTL_TABLE, &retry_row},
    {"soft_limit_ms", "soft limit", JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"hard_limit_ms", "hard limit", JQCTL_LIMIT, JQCTL_TABLE, NULL},
    {"result_ttl_ms", "result kept", JQCTL_SPAN, JQCTL_TABLE, NULL},
    {"inputs", "inputs", JQCTL_TEXTS, JQCTL_TABLE, NULL},
    {"outputs", "outputs", JQCTL_WORDS, JQCTL_TABLE, NULL},
    {"headers", "headers", JQCTL_HEADERS, JQCTL_TABLE, NULL},
    {"payload", "payload", JQCTL_DATA, JQCTL_TABLE, NULL},
};
static const struct jqctl_columns task_row = JQCTL_COLUMNS(task_columns);

#define ROW_COLUMNS                                                                                                    \
    {"name", "schedule", JQCTL_TEXT, JQCTL_BOTH, NULL}, {"when", "when", JQCTL_TEXT, JQCTL_BOTH, NULL},                \
        {"zone", "zone", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},                                                   \
        {"handler", "handler", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL},                                             \
        {"queue", "queue", JQCTL_TEXT, JQCTL_SHEET, NULL}, {"paused", "paused", JQCTL_FLAG, JQCTL_BOTH, NULL},         \
        {"next_ms", "next", JQCTL_TIME, JQCTL_BOTH, NULL}, {"last_due_ms", "last", JQCTL_TIME, JQCTL_BOTH, NULL},      \
        {"last_task", "last task", JQCTL_ID, JQCTL_BOTH, NULL}, {"fired", "fired", JQCTL_COUNT, JQCTL_BOTH, NULL},     \
        {"missed", "missed", JQCTL_COUNT, JQCTL_BOTH, NULL}, {"skipped", "skipped", JQCTL_COUNT, JQCTL_BOTH, NULL},    \
        {"catch_up", "catch up", JQCTL_TEXT, JQCTL_SHEET, NULL},                                                       \
        {"overlap", "overlap", JQCTL_TEXT, JQCTL_SHEET, NULL},                                                         \
        {"jitter_ms", "jitter", JQCTL_LIMIT, JQCTL_SHEET, NULL}, {                                                     \
        "trouble", "trouble", JQCTL_TEXT, JQCTL_BOTH | JQCTL_SOFT, NULL                                                \
    }

static const struct jqctl_column row_columns[] = {ROW_COLUMNS};
static const struct jqctl_column whole_columns[] = {
    ROW_COLUMNS,
    {"due", "due", JQCTL_LIST, JQCTL_SHEET, &time_row},
    {"task", "task", JQCTL_MAP, JQCTL_SHEET, &task_row},
};
static const struct jqctl_columns schedule_row = JQCTL_COLUMNS(row_columns);
static const struct jqctl_columns schedule_whole = JQCTL_COLUMNS(whole_columns);

/* ---- times -------------------------------------------------------------------------------------------------------------- */

/* "2026-03-29T03:00:00+02:00 Sun" */
static void format_local(const struct jq_zone *zone, int64_t at_ms, char place[64]) {
    static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    const int64_t at_s = jq_floor_div(at_ms, 1000), offset_s = jq_zone_span_at(zone, at_s).offset_s;
    const struct jq_civil local = jq_civil_of_s(at_s + offset_s);
    const int64_t size_s = offset_s < 0 ? -offset_s : offset_s;
    snprintf(place, 64, "%04d-%02d-%02dT%02d:%02d:%02d%c%02d:%02d %s", (int)local.year, local.month, local.day,
             local.hour, local.minute, local.second, offset_s < 0 ? '-' : '+', (int)(size_s / 3600),
             (int)(size_s % 3600 / 60), days[jq_civil_weekday(jq_floor_div(at_s + offset_s, JQ_DAY_S))]);
}

static void pack_time(struct jq_pack *pack, const struct jq_zone *zone, int64_t at_ms) {
    char local[64];
    jq_pack_map(pack, zone ? 2 : 1);
    jq_pack_str(pack, JQ_STR("due_ms"));
    jq_pack_ms(pack, at_ms);
    if (!zone)
        return;
    format_local(zone, at_ms, local);
    jq_pack_str(pack, JQ_STR("local"));
    jq_pack_str(pack, jq_str_of(local));
}

/* The zone of `name`, or NULL where this machine does not have it. */
static struct jq_zone *zone_if(struct jq_str name) {
    struct jq_zone *zone = NULL;
    return jq_zone_read(name, &zone, NULL) == JQ_OK ? zone : NULL;
}

/* ---- next: without a broker --------------------------------------------------------------------------------------------- */

struct next_job {
    struct jq_cron cron;
    struct jq_zone *zone;
    int64_t from_ms;
    uint64_t count;
};

static int next_options(const struct jqctl *ctl, struct next_job *job) {
    const char *zone = jqctl_value(&ctl->args, "zone"), *from = jqctl_value(&ctl->args, "from");
    struct jq_error error;
    job->from_ms = jq_clock_wall_ms();
    job->count = TIMES_DEFAULT;
    if (jq_cron_parse(jq_str_of(ctl->args.operands[0]), &job->cron, &error) != JQ_OK)
        return jqctl_fail(EX_DATAERR, "%s", error.message);
    if (from && jqctl_when_parse_near(jq_str_of(from), job->from_ms, 1, &job->from_ms, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--from: %s", error.message);
    const int code = jqctl_option_uint(ctl, "count", TIMES_MAX, &job->count);
    if (code != JQCTL_DONE)
        return code;
    if (jq_zone_read(zone ? jq_str_of(zone) : JQ_STR("UTC"), &job->zone, &error) != JQ_OK)
        return jqctl_fail(jqctl_exit_of(error.code), "--zone: %.64s: %s", zone ? zone : "UTC", error.message);
    return JQCTL_DONE;
}

static void print_times(struct jqctl *ctl, const struct next_job *job) {
    struct jqctl_made made;
    struct jqctl_list list;
    int64_t at_ms = job->from_ms;
    jqctl_made_init(&made);
    jqctl_list_begin(&list, ctl, &time_row, "schedule.times");
    for (uint64_t i = 0; i < job->count; i++) {
        char local[64];
        if (!jq_cron_next(&job->cron, job->zone, job->from_ms, at_ms, &at_ms))
            break;
        format_local(job->zone, at_ms, local);
        jqctl_made_begin(&made);
        jqctl_made_uint(&made, "due_ms", (uint64_t)at_ms);
        jqctl_made_text(&made, "local", local);
        jqctl_list_row(&list, jqctl_made_end(&made));
    }
    jqctl_list_end(&list, NULL, NULL);
    jqctl_made_fini(&made);
}

int jqctl_schedule_next(struct jqctl *ctl) {
    struct next_job job = {.zone = NULL};
    int64_t first_ms = 0;
    int code = next_options(ctl, &job);
    if (code == JQCTL_DONE && !jq_cron_next(&job.cron, job.zone, job.from_ms, job.from_ms, &first_ms))
        code = jqctl_fail(JQCTL_FAILED, "\"%.64s\" is never due", ctl->args.operands[0]);
    if (code == JQCTL_DONE)
        print_times(ctl, &job);
    jq_zone_free(job.zone);
    return code;
}

/* ---- ls, show ----------------------------------------------------------------------------------------------------------- */

int jqctl_schedule_ls(struct jqctl *ctl) {
    const struct jqctl_pages pages = {.op = "schedule.ls",
                                      .message = &jq_message_schedule_ls,
                                      .after_place = JQ_AT_SCHEDULE_LS_AFTER,
                                      .limit_place = JQ_AT_SCHEDULE_LS_LIMIT,
                                      .limit = JQ_LIST_COUNT_MAX,
                                      .rows = "schedules",
                                      .columns = &schedule_row,
                                      .kind = "schedule.list"};
    return jqctl_pages_list(ctl, &pages);
}

static void fill_name(struct jq_pack *pack, void *ctx) {
    jq_pack_field_str(pack, &jq_message_schedule_name, JQ_AT_SCHEDULE_NAME_NAME, jq_str_of(ctx));
}

/* A call about the schedule that the operand names. */
static int call_named(struct jqctl *ctl, const char *given, const char *op, struct jq_flight *flight) {
    char name[JQ_NAME_SIZE_MAX + 1], what[WHAT_SIZE];
    snprintf(name, sizeof(name), "%s", given);
    snprintf(what, sizeof(what), "schedule %.64s", name);
    return jqctl_call(ctl, flight, what, op, 1, fill_name, name);
}

static void print_schedule(struct jqctl *ctl, struct jq_view row) {
    const struct jq_view times = jq_view_get(row, "times");
    struct jq_zone *zone = zone_if(jq_view_to_str(jq_view_get(row, "zone")));
    struct jqctl_made made;
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_copy(&made, row);
    struct jq_pack *pack = jqctl_made_key(&made, "due");
    jq_pack_array(pack, jq_view_count(times));
    for (size_t i = 0; i < jq_view_count(times); i++)
        pack_time(pack, zone, (int64_t)jq_view_to_uint(jq_view_at(times, i), 0));
    jqctl_print_item(ctl, &schedule_whole, "schedule", jqctl_made_end(&made));
    jqctl_made_fini(&made);
    jq_zone_free(zone);
}

int jqctl_schedule_show(struct jqctl *ctl) {
    struct jq_flight flight;
    const int code = call_named(ctl, ctl->args.operands[0], "schedule.show", &flight);
    if (code != JQCTL_DONE)
        return code;
    print_schedule(ctl, jq_view_at(jq_view_get(flight.view.body, "schedules"), 0));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* ---- set ---------------------------------------------------------------------------------------------------------------- */

struct setting {
    const struct jqctl *ctl;
    int64_t jitter_ms;
    struct jq_task_spec task;
};

static void fill_text(struct jq_pack *pack, const struct jqctl *ctl, const char *option, unsigned place) {
    const char *value = jqctl_value(&ctl->args, option);
    if (value)
        jq_pack_field_str(pack, &jq_message_schedule_set, place, jq_str_of(value));
}

static size_t field_count(const struct setting *setting) {
    static const char *const options[] = {"zone", "catch-up", "overlap", "paused"};
    size_t count = 3 + (setting->jitter_ms > 0);
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++)
        count += jqctl_given(&setting->ctl->args, options[i]);
    return count;
}

static void fill_set(struct jq_pack *pack, void *ctx) {
    const struct setting *setting = ctx;
    const struct jq_message *message = &jq_message_schedule_set;
    const char *const *operands = setting->ctl->args.operands;
    jq_pack_field_str(pack, message, JQ_AT_SCHEDULE_SET_NAME, jq_str_of(operands[0]));
    jq_pack_field_str(pack, message, JQ_AT_SCHEDULE_SET_WHEN, jq_str_of(operands[1]));
    fill_text(pack, setting->ctl, "zone", JQ_AT_SCHEDULE_SET_ZONE);
    fill_text(pack, setting->ctl, "catch-up", JQ_AT_SCHEDULE_SET_CATCH_UP);
    fill_text(pack, setting->ctl, "overlap", JQ_AT_SCHEDULE_SET_OVERLAP);
    if (setting->jitter_ms > 0)
        jq_pack_field_ms(pack, message, JQ_AT_SCHEDULE_SET_JITTER, setting->jitter_ms);
    if (jqctl_given(&setting->ctl->args, "paused"))
        jq_pack_field_bool(pack, message, JQ_AT_SCHEDULE_SET_PAUSED, true);
    jq_pack_key(pack, message, JQ_AT_SCHEDULE_SET_TASK);
    jq_task_pack(pack, &setting->task);
}

/* Its task, by the options; its files are stored first: the broker keeps what a schedule refers to. */
static int read_task(struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *ret_task) {
    struct jqctl_files files = {.paths = NULL};
    int code = jqctl_spec_of_options(ctl, ctl->args.operands[2], memory, ret_task);
    code = code == JQCTL_DONE ? jqctl_spec_payload(ctl, memory, ret_task) : code;
    code = code == JQCTL_DONE ? jqctl_files_params(ctl, memory, ret_task) : code;
    code = code == JQCTL_DONE ? jqctl_files_of_options(ctl, memory, ret_task, &files) : code;
    if (code != JQCTL_DONE || ret_task->input_count == 0)
        return code;
    code = jqctl_connect(ctl);
    return code == JQCTL_DONE ? jqctl_files_put(ctl, &files, ret_task) : code;
}

int jqctl_schedule_set(struct jqctl *ctl) {
    struct jqctl_memory memory = {.chunks = NULL};
    struct setting setting = {.ctl = ctl};
    struct jq_flight flight;
    char what[WHAT_SIZE];
    int code = jqctl_option_duration(ctl, "jitter", &setting.jitter_ms);
    code = code == JQCTL_DONE ? read_task(ctl, &memory, &setting.task) : code;
    snprintf(what, sizeof(what), "schedule %.64s", ctl->args.operands[0]);
    if (code == JQCTL_DONE)
        code = jqctl_call(ctl, &flight, what, "schedule.set", field_count(&setting), fill_set, &setting);
    if (code == JQCTL_DONE) {
        jq_flight_end(&flight);
        jqctl_note("%s is set", what);
    }
    jqctl_memory_free(&memory);
    return code;
}

/* ---- rm, pause, resume, run --------------------------------------------------------------------------------------------- */

int jqctl_schedule_rm(struct jqctl *ctl) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        struct jq_flight flight;
        const int code = call_named(ctl, ctl->args.operands[i], "schedule.rm", &flight);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("schedule %.64s is removed", ctl->args.operands[i]);
    }
    return JQCTL_DONE;
}

struct pausing {
    const char *name;
    bool paused;
};

static void fill_pause(struct jq_pack *pack, void *ctx) {
    const struct pausing *pausing = ctx;
    jq_pack_field_str(pack, &jq_message_schedule_pause, JQ_AT_SCHEDULE_PAUSE_NAME, jq_str_of(pausing->name));
    jq_pack_field_bool(pack, &jq_message_schedule_pause, JQ_AT_SCHEDULE_PAUSE_PAUSED, pausing->paused);
}

static int pause_all(struct jqctl *ctl, bool paused) {
    for (size_t i = 0; i < ctl->args.operand_count; i++) {
        struct pausing pausing = {ctl->args.operands[i], paused};
        struct jq_flight flight;
        char what[WHAT_SIZE];
        snprintf(what, sizeof(what), "schedule %.64s", pausing.name);
        const int code = jqctl_call(ctl, &flight, what, "schedule.pause", 2, fill_pause, &pausing);
        if (code != JQCTL_DONE)
            return code;
        jq_flight_end(&flight);
        jqctl_note("%s is %s", what, paused ? "paused" : "resumed");
    }
    return JQCTL_DONE;
}

int jqctl_schedule_pause(struct jqctl *ctl) {
    return pause_all(ctl, true);
}

int jqctl_schedule_resume(struct jqctl *ctl) {
    return pause_all(ctl, false);
}

static const struct jqctl_column run_columns[] = {{"id", NULL, JQCTL_ID, JQCTL_BOTH, NULL}};
static const struct jqctl_columns run_row = JQCTL_COLUMNS(run_columns);

int jqctl_schedule_run(struct jqctl *ctl) {
    struct jq_flight flight;
    struct jqctl_made made;
    char place[JQ_TASK_ID_TEXT_SIZE];
    const int code = call_named(ctl, ctl->args.operands[0], "schedule.run", &flight);
    if (code != JQCTL_DONE)
        return code;
    const jq_task_id id = {jq_view_uint(flight.view.body, "first", 0)};
    jq_flight_end(&flight);
    if (!ctl->json) {
        (void)printf("%s\n", jq_text_format_task_id(id, place));
        return JQCTL_DONE;
    }
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "id", id.value);
    jqctl_print_item(ctl, &run_row, "task.submitted", jqctl_made_end(&made));
    jqctl_made_fini(&made);
    return JQCTL_DONE;
}
