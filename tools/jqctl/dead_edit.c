/* dead_edit.c - jqctl dead edit: what a dead letter is to be when it is replayed. */
#include <stdio.h>
#include <stdlib.h>

#include "tools/jqctl/spec.h"

/* What was given, and what the letter carries now: payload and headers go together, so the one not given is sent again. */
struct edit {
    jq_task_id id;
    struct jqctl *ctl;
    struct jq_task_spec spec;
    bool body;           /* payload or headers are given */
    struct jq_view seen; /* the task as it is; absent unless `body` */
    struct jq_bytes payload;
    bool soft, hard, ttl; /* given */
};

/* ---- the request -------------------------------------------------------------------------------------------------------- */

static void optional_text(struct jq_pack *pack, unsigned place, const char *value) {
    if (value)
        jq_pack_field_str(pack, &jq_message_dead_edit, place, jq_str_of(value));
}

static void optional_ms(struct jq_pack *pack, unsigned place, bool given, int64_t value) {
    if (given)
        jq_pack_field_ms(pack, &jq_message_dead_edit, place, value);
}

static void pack_given_headers(struct jq_pack *pack, const struct jq_task_spec *spec) {
    jq_pack_map(pack, spec->header_count);
    for (size_t i = 0; i < spec->header_count; i++) {
        jq_pack_str(pack, jq_str_of(spec->headers[i].name));
        jq_pack_str(pack, jq_str_of(spec->headers[i].value));
    }
}

static void pack_seen_headers(struct jq_pack *pack, struct jq_view headers) {
    jq_pack_map(pack, jq_view_count(headers));
    for (size_t i = 0; i < jq_view_count(headers); i++) {
        jq_pack_str(pack, jq_view_key_at(headers, i));
        jq_pack_str(pack, jq_view_to_str(jq_view_value_at(headers, i)));
    }
}

static void pack_body(struct jq_pack *pack, const struct edit *edit) {
    jq_pack_field_uint(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_VERSION, jq_view_uint(edit->seen, "version", 0));
    jq_pack_field_bin(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_PAYLOAD, edit->payload);
    jq_pack_key(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_HEADERS);
    if (edit->spec.header_count > 0)
        pack_given_headers(pack, &edit->spec);
    else
        pack_seen_headers(pack, jq_view_get(edit->seen, "headers"));
}

static void pack_retry(struct jq_pack *pack, const struct edit *edit) {
    jq_pack_key(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_RETRY);
    jq_pack_map(pack, 1);
    jq_pack_field_uint(pack, &jq_message_retry, JQ_AT_RETRY_MAX, (uint64_t)edit->spec.retry_max);
}

static size_t field_count(const struct edit *edit) {
    return 1U + (edit->spec.queue != NULL) + (edit->spec.handler != NULL) + (edit->spec.need != NULL) +
           (edit->spec.want != NULL) + (edit->spec.priority >= 0) + (edit->spec.retry_max >= 0) + edit->soft +
           edit->hard + edit->ttl + (edit->body ? 3U : 0U);
}

static void fill(struct jq_pack *pack, void *ctx) {
    const struct edit *edit = ctx;
    const struct jq_task_spec *spec = &edit->spec;
    jq_pack_field_uint(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_ID, edit->id.value);
    optional_text(pack, JQ_AT_DEAD_EDIT_QUEUE, spec->queue);
    optional_text(pack, JQ_AT_DEAD_EDIT_HANDLER, spec->handler);
    optional_text(pack, JQ_AT_DEAD_EDIT_NEED, spec->need);
    optional_text(pack, JQ_AT_DEAD_EDIT_WANT, spec->want);
    if (spec->priority >= 0)
        jq_pack_field_uint(pack, &jq_message_dead_edit, JQ_AT_DEAD_EDIT_PRIORITY, (uint64_t)spec->priority);
    if (spec->retry_max >= 0)
        pack_retry(pack, edit);
    optional_ms(pack, JQ_AT_DEAD_EDIT_SOFT_LIMIT, edit->soft, spec->soft_limit_ms);
    optional_ms(pack, JQ_AT_DEAD_EDIT_HARD_LIMIT, edit->hard, spec->hard_limit_ms);
    optional_ms(pack, JQ_AT_DEAD_EDIT_RESULT_TTL, edit->ttl, spec->result_ttl_ms);
    if (edit->body)
        pack_body(pack, edit);
}

/* ---- what is there ------------------------------------------------------------------------------------------------------ */

static void fill_id(struct jq_pack *pack, void *ctx) {
    const struct edit *edit = ctx;
    jq_pack_field_uint(pack, &jq_message_task_id, JQ_AT_TASK_ID_ID, edit->id.value);
}

static int send_edit(struct edit *edit, const char *what) {
    struct jq_flight flight;
    const int code = jqctl_call(edit->ctl, &flight, what, "dead.edit", field_count(edit), fill, edit);
    if (code == JQCTL_DONE) {
        jq_flight_end(&flight);
        jqctl_note("%s is edited; `jqctl dead replay %s` runs it", what, edit->ctl->args.operands[0]);
    }
    return code;
}

/* Looks at the letter first. If somebody edits it in between, the broker refuses: its version is another then. */
static int send_merged(struct edit *edit, const char *what) {
    struct jq_flight flight;
    int code = jqctl_call(edit->ctl, &flight, what, "task.show", 1, fill_id, edit);
    if (code != JQCTL_DONE)
        return code;
    edit->seen = jq_view_at(jq_view_get(flight.view.body, "tasks"), 0);
    const bool has_payload = jqctl_given(&edit->ctl->args, "payload");
    edit->payload = has_payload ? (struct jq_bytes){edit->spec.payload, edit->spec.payload_size}
                                : jq_view_to_bin(jq_view_get(edit->seen, "payload"));
    if (jq_view_bool(edit->seen, "damaged", false) && !(has_payload && edit->spec.header_count > 0))
        code = jqctl_fail(EX_DATAERR, "%s: what it carries cannot be read: give --payload and --header", what);
    else
        code = send_edit(edit, what);
    jq_flight_end(&flight);
    return code;
}

/* ---- options ------------------------------------------------------------------------------------------------------------ */

static int read_options(struct edit *edit, struct jqctl_memory *memory) {
    struct jqctl *ctl = edit->ctl;
    struct jq_task_spec *spec = &edit->spec;
    *spec = jq_task(jqctl_value(&ctl->args, "handler"));
    spec->queue = jqctl_value(&ctl->args, "queue");
    spec->need = jqctl_value(&ctl->args, "need");
    spec->want = jqctl_value(&ctl->args, "want");
    edit->soft = jqctl_given(&ctl->args, "soft-limit");
    edit->hard = jqctl_given(&ctl->args, "hard-limit");
    edit->ttl = jqctl_given(&ctl->args, "result-ttl");
    edit->body = jqctl_given(&ctl->args, "payload") || jqctl_given(&ctl->args, "header");
    int code = jqctl_spec_priority(ctl, &spec->priority);
    code = code == JQCTL_DONE ? jqctl_spec_retry(ctl, &spec->retry_max) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "soft-limit", &spec->soft_limit_ms) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "hard-limit", &spec->hard_limit_ms) : code;
    code = code == JQCTL_DONE ? jqctl_option_duration(ctl, "result-ttl", &spec->result_ttl_ms) : code;
    code = code == JQCTL_DONE ? jqctl_spec_headers(ctl, memory, spec) : code;
    return code == JQCTL_DONE ? jqctl_spec_payload(ctl, memory, spec) : code;
}

int jqctl_dead_edit(struct jqctl *ctl) {
    struct jqctl_memory memory = {.chunks = NULL};
    struct edit edit = {.ctl = ctl};
    jq_task_id *ids = NULL;
    size_t count = 0;
    char what[64];
    snprintf(what, sizeof(what), "dead letter %.32s", ctl->args.operands[0]);
    int code = jqctl_operand_ids(ctl, &ids, &count);
    code = code == JQCTL_DONE ? read_options(&edit, &memory) : code;
    if (code == JQCTL_DONE) {
        edit.id = ids[0];
        if (field_count(&edit) == 1)
            code = jqctl_fail(EX_USAGE, "nothing to change: see jqctl dead edit --help");
        else
            code = edit.body ? send_merged(&edit, what) : send_edit(&edit, what);
    }
    free(ids);
    jqctl_memory_free(&memory);
    return code;
}
