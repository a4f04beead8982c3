/* dead.c - jqctl dead: dead letters listed, shown, replayed, removed. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/limit.h"
#include "tools/jqctl/many.h"
#include "tools/jqctl/task.h"

enum { PAGE_ROWS = 200 };

int jqctl_dead_ls(struct jqctl *ctl) {
    return jqctl_task_list(ctl, "dead", "dead.list");
}

int jqctl_dead_show(struct jqctl *ctl) {
    return jqctl_task_show_in(ctl, "dead");
}

/* ---- all of them -------------------------------------------------------------------------------------------------------- */

struct letters {
    jq_task_id *ids;
    size_t count, capacity;
};

static void keep(void *ctx, struct jq_view row) {
    struct letters *letters = ctx;
    if (letters->count == letters->capacity) {
        const size_t capacity = letters->capacity ? 2 * letters->capacity : 1024;
        jq_task_id *ids = realloc(letters->ids, capacity * sizeof(*ids));
        JQ_CHECK(ids);
        letters->ids = ids;
        letters->capacity = capacity;
    }
    letters->ids[letters->count++] = (jq_task_id){jq_view_uint(row, "id", 0)};
}

/* All first, then something is done to them: a page goes on at a letter that must still be there. */
static int collect(struct jqctl *ctl, struct letters *letters) {
    struct jqctl_filter filter = {.limit = PAGE_ROWS,
                                  .states = "dead",
                                  .queue = jqctl_value(&ctl->args, "queue"),
                                  .handler = jqctl_value(&ctl->args, "handler")};
    do {
        const int code = jqctl_task_page(ctl, &filter, keep, letters, &filter.after);
        if (code != JQCTL_DONE)
            return code;
    } while (filter.after != 0);
    return JQCTL_DONE;
}

/* Nothing is done to all of them unasked. */
static int agree(const struct jqctl *ctl, const char *verb, size_t count) {
    char question[80];
    if (jqctl_given(&ctl->args, "yes"))
        return JQCTL_DONE;
    if (isatty(STDIN_FILENO) != 1 || !ctl->terminal.err)
        return jqctl_fail(EX_USAGE, "--all wants --yes where nobody can be asked");
    snprintf(question, sizeof(question), "%s %zu dead letters?", verb, count);
    return jqctl_confirm(question) ? JQCTL_DONE : jqctl_fail(JQCTL_FAILED, "nothing was done");
}

static int do_all(struct jqctl *ctl, const struct jqctl_many *many, const char *verb) {
    struct letters letters = {.count = 0};
    int code = ctl->args.operand_count > 0 ? jqctl_fail(EX_USAGE, "either ids or --all") : collect(ctl, &letters);
    if (code == JQCTL_DONE && letters.count > 0)
        code = agree(ctl, verb, letters.count);
    if (code == JQCTL_DONE)
        code = jqctl_do_many(ctl, many, letters.ids, letters.count);
    free(letters.ids);
    return code;
}

/* Of what is selected, the dead letters. */
static int do_where(struct jqctl *ctl, const struct jqctl_many *many) {
    const char *where = jqctl_value(&ctl->args, "where");
    char narrowed[JQ_WHERE_SIZE_MAX + 1];
    if (!where)
        return jqctl_fail(EX_USAGE, "--dry-run goes with --where");
    if (ctl->args.operand_count > 0 || jqctl_given(&ctl->args, "all") || jqctl_given(&ctl->args, "queue") ||
        jqctl_given(&ctl->args, "handler"))
        return jqctl_fail(EX_USAGE, "either ids, or --all, or --where, which may name queue and handler");
    const int size = snprintf(narrowed, sizeof(narrowed), "%s state=dead", where);
    if (size < 0 || (size_t)size >= sizeof(narrowed))
        return jqctl_fail(EX_USAGE, "--where: longer than %d bytes", JQ_WHERE_SIZE_MAX);
    return jqctl_do_where(ctl, many, narrowed);
}

static int do_some(struct jqctl *ctl, const struct jqctl_many *many, const char *verb) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    if (jqctl_given(&ctl->args, "where") || jqctl_given(&ctl->args, "dry-run"))
        return do_where(ctl, many);
    if (jqctl_given(&ctl->args, "all"))
        return do_all(ctl, many, verb);
    if (jqctl_given(&ctl->args, "queue") || jqctl_given(&ctl->args, "handler"))
        return jqctl_fail(EX_USAGE, "--queue and --handler go with --all");
    if (ctl->args.operand_count == 0)
        return jqctl_fail(EX_USAGE, "which ones? jqctl dead %s ID.., or --all", ctl->args.command->verb);
    int code = jqctl_operand_ids(ctl, &ids, &count);
    code = code == JQCTL_DONE ? jqctl_do_many(ctl, many, ids, count) : code;
    free(ids);
    return code;
}

int jqctl_dead_replay(struct jqctl *ctl) {
    struct jqctl_many many = {.op = "dead.replay",
                              .verb = "Replay",
                              .done = "replayed",
                              .kind = "dead.replayed",
                              .message = &jq_message_dead_replay};
    const char *text = jqctl_value(&ctl->args, "rate");
    struct jq_rate rate;
    struct jq_error error;
    if (text && jq_rate_parse(jq_str_of(text), &rate, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--rate: %s", error.message);
    many.interval_us = text ? jq_rate_interval_us(rate) : 0;
    return do_some(ctl, &many, "Replay");
}

int jqctl_dead_rm(struct jqctl *ctl) {
    const struct jqctl_many many = {
        .op = "dead.rm", .verb = "Remove", .done = "removed", .kind = "dead.removed", .message = &jq_message_task_ids};
    return do_some(ctl, &many, "Remove");
}
