/* many.c - requests about many tasks: jqctl task cancel, retry, hold, release, move, rm, and queue purge. */
#include "tools/jqctl/many.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum { COMPLAINTS_MAX = 20 };

static const struct jqctl_column verdict_columns[] = {
    {"id", NULL, JQCTL_ID, 0, NULL},
    {"status", NULL, JQCTL_TEXT, 0, NULL},
    {"reason", NULL, JQCTL_TEXT, 0, NULL},
};
static const struct jqctl_columns verdict_row = JQCTL_COLUMNS(verdict_columns);

struct doing {
    struct jqctl *ctl;
    const struct jqctl_many *many;
    const jq_task_id *ids; /* of this frame */
    size_t count;
    uint64_t done, refused;
    struct jqctl_list list;
    struct jqctl_made made;
};

static void fill(struct jq_pack *pack, void *ctx) {
    const struct doing *doing = ctx;
    jq_pack_key(pack, doing->many->message, 0);
    jq_pack_array(pack, doing->count);
    for (size_t i = 0; i < doing->count; i++)
        jq_pack_uint(pack, doing->ids[i].value);
    jqctl_fill_many(pack, doing->many);
}

size_t jqctl_many_fields(const struct jqctl_many *many) {
    return (many->grace_ms > 0 ? 1U : 0U) + (many->interval_us > 0 ? 1U : 0U) + (many->queue ? 1U : 0U);
}

void jqctl_fill_many(struct jq_pack *pack, const struct jqctl_many *many) {
    if (many->grace_ms > 0)
        jq_pack_field_ms(pack, &jq_message_task_cancel, JQ_AT_TASK_CANCEL_GRACE, many->grace_ms);
    if (many->interval_us > 0)
        jq_pack_field_ms(pack, &jq_message_dead_replay, JQ_AT_DEAD_REPLAY_INTERVAL, many->interval_us);
    if (many->queue)
        jq_pack_field_str(pack, &jq_message_task_move, JQ_AT_TASK_MOVE_QUEUE, jq_str_of(many->queue));
}

/* `exception` is absent for a task with which it was done. */
static void take_verdict(struct doing *doing, jq_task_id id, struct jq_view exception) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    const enum jq_reply status = (enum jq_reply)jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_STATUS), 0);
    const struct jq_str reason = jq_view_to_str(jq_view_at(exception, JQ_AT_EXCEPTION_REASON));
    doing->done += status == JQ_REPLY_OK;
    if (doing->ctl->json) {
        jqctl_made_begin(&doing->made);
        jqctl_made_uint(&doing->made, "id", id.value);
        jqctl_made_text(&doing->made, "status", jq_reply_name(status));
        if (reason.size > 0)
            jqctl_made_str(&doing->made, "reason", reason);
        jqctl_list_row(&doing->list, jqctl_made_end(&doing->made));
    }
    if (status != JQ_REPLY_OK && doing->refused++ < COMPLAINTS_MAX)
        jqctl_note("task %s: %s%s%.*s", jq_text_format_task_id(id, place), jq_reply_name(status),
                   reason.size ? ": " : "", JQ_STR_ARG(reason));
}

static void take_answer(struct doing *doing, struct jq_view body) {
    const struct jq_view exceptions = jq_view_get(body, "exceptions");
    size_t at = 0;
    for (size_t i = 0; i < doing->count; i++) {
        const struct jq_view exception = jq_view_at(exceptions, at);
        const bool is_this = jq_view_to_uint(jq_view_at(exception, JQ_AT_EXCEPTION_INDEX), UINT64_MAX) == i;
        at += is_this;
        take_verdict(doing, doing->ids[i], is_this ? exception : (struct jq_view){NULL});
    }
}

static int do_all(struct doing *doing, const jq_task_id *ids, size_t count) {
    for (size_t at = 0; at < count; at += doing->count) {
        struct jq_flight flight;
        doing->ids = ids + at;
        doing->count = count - at < JQ_IDS_COUNT_MAX ? count - at : JQ_IDS_COUNT_MAX;
        const int code = jqctl_call(doing->ctl, &flight, doing->many->op, doing->many->op,
                                    1 + jqctl_many_fields(doing->many), fill, doing);
        if (code != JQCTL_DONE)
            return code;
        take_answer(doing, flight.view.body);
        jq_flight_end(&flight);
    }
    return doing->refused > 0 ? JQCTL_FAILED : JQCTL_DONE;
}

int jqctl_do_many(struct jqctl *ctl, const struct jqctl_many *many, const jq_task_id *ids, size_t count) {
    struct doing doing = {.ctl = ctl, .many = many};
    int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    jqctl_made_init(&doing.made);
    if (ctl->json)
        jqctl_list_begin(&doing.list, ctl, &verdict_row, many->kind);
    code = do_all(&doing, ids, count);
    if (ctl->json)
        jqctl_list_end(&doing.list, NULL, NULL);
    jqctl_made_fini(&doing.made);
    if (doing.refused > 0)
        jqctl_note("%" PRIu64 " %s, %" PRIu64 " refused", doing.done, many->done, doing.refused);
    else if (code == JQCTL_DONE)
        jqctl_note("%" PRIu64 " %s", doing.done, many->done);
    return code;
}

static int do_ids(struct jqctl *ctl, const struct jqctl_many *many) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    if (jqctl_given(&ctl->args, "dry-run"))
        return jqctl_fail(EX_USAGE, "--dry-run goes with --where");
    if (ctl->args.operand_count == 0)
        return jqctl_fail(EX_USAGE, "which ones? jqctl task %s ID.., or --where", ctl->args.command->verb);
    int code = jqctl_operand_ids(ctl, &ids, &count);
    code = code == JQCTL_DONE ? jqctl_do_many(ctl, many, ids, count) : code;
    free(ids);
    return code;
}

int jqctl_do_tasks(struct jqctl *ctl, const struct jqctl_many *many) {
    const char *where = jqctl_value(&ctl->args, "where");
    if (where && ctl->args.operand_count > 0)
        return jqctl_fail(EX_USAGE, "either ids or --where");
    return where ? jqctl_do_where(ctl, many, where) : do_ids(ctl, many);
}

int jqctl_task_cancel(struct jqctl *ctl) {
    struct jqctl_many many = {.op = "task.cancel",
                              .verb = "Cancel",
                              .done = "cancelled",
                              .kind = "task.cancelled",
                              .message = &jq_message_task_cancel};
    const int code = jqctl_option_duration(ctl, "grace", &many.grace_ms);
    return code == JQCTL_DONE ? jqctl_do_tasks(ctl, &many) : code;
}

int jqctl_task_retry(struct jqctl *ctl) {
    const struct jqctl_many many = {.op = "dead.replay",
                                    .verb = "Retry",
                                    .done = "put back into their queues",
                                    .kind = "dead.replayed",
                                    .message = &jq_message_dead_replay};
    return jqctl_do_tasks(ctl, &many);
}

int jqctl_task_hold(struct jqctl *ctl) {
    const struct jqctl_many many = {
        .op = "task.hold", .verb = "Hold", .done = "held", .kind = "task.held", .message = &jq_message_task_ids};
    return jqctl_do_tasks(ctl, &many);
}

int jqctl_task_release(struct jqctl *ctl) {
    const struct jqctl_many many = {.op = "task.release",
                                    .verb = "Release",
                                    .done = "released",
                                    .kind = "task.released",
                                    .message = &jq_message_task_ids};
    return jqctl_do_tasks(ctl, &many);
}

int jqctl_task_move(struct jqctl *ctl) {
    const struct jqctl_many many = {.op = "task.move",
                                    .verb = "Move",
                                    .done = "moved",
                                    .kind = "task.moved",
                                    .message = &jq_message_task_move,
                                    .queue = jqctl_value(&ctl->args, "to")};
    return many.queue ? jqctl_do_tasks(ctl, &many) : jqctl_fail(EX_USAGE, "where to? --to QUEUE");
}

int jqctl_task_rm(struct jqctl *ctl) {
    const struct jqctl_many many = {
        .op = "task.rm", .verb = "Remove", .done = "removed", .kind = "task.removed", .message = &jq_message_task_ids};
    return jqctl_do_tasks(ctl, &many);
}

/* What waits in the queue is cancelled; what runs goes on, and what has ended stays for as long as it would have. */
int jqctl_queue_purge(struct jqctl *ctl) {
    const struct jqctl_many many = {.op = "task.cancel",
                                    .verb = "Cancel",
                                    .done = "cancelled",
                                    .kind = "queue.purged",
                                    .message = &jq_message_task_cancel};
    char where[JQ_NAME_SIZE_MAX + 64];
    const struct jq_str name = jq_str_of(ctl->args.operands[0]);
    if (!jq_name_valid(name))
        return jqctl_fail(EX_USAGE, "a queue's name is 1 to 64 of a-z 0-9 _ . -");
    snprintf(where, sizeof(where), "queue=%.*s state=waiting,blocked,scheduled,ready,held", JQ_STR_ARG(name));
    return jqctl_do_where(ctl, &many, where);
}
