/* journal_replay.c - jqctl journal replay: tasks that a journal tells of, submitted to a broker as new ones.
 *
 * Each gets an idempotency key made of the journal's id and its own, so that a replay that is run again, or was cut off, doubles nothing
 * while the broker remembers keys (key_ttl). Their own keys, delays and latest starts stay behind.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/core/files.h"
#include "broker/journal/archive.h"
#include "common/limit.h"
#include "common/text.h"
#include "tools/jqctl/journal_tasks.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"
#include "tools/jqctl/spec.h"

enum {
    BATCH_MAX = 1000,
    BATCH_SIZE_MAX = 16 * 1024 * 1024,
    SAMPLES_MAX = 10,
    FILES_MAX = 64,
    COMPLAINTS_MAX = 20,
    TURN_MS = 100
};

struct replaying {
    struct jqctl *ctl;
    bool dry, unfinished;
    const char *queue, *again; /* NULL: not given */
    uint64_t limit;
    struct jq_rate rate;
    int64_t next_ms; /* when the next batch is due; monotonic */
    char log[33];    /* the journal's id */

    struct jq_task_spec specs[BATCH_MAX];
    struct jq_submitted submitted[BATCH_MAX];
    jq_task_id ids[BATCH_MAX]; /* of the old ones */
    size_t count, batch_max;
    struct jqctl_memory memory; /* of the specs */
    struct jq_unpacker unpacker;

    jq_task_id samples[SAMPLES_MAX];
    uint64_t matched, not_ended, dependent, accepted, known, refused;
    int code; /* what stopped it */
};

/* ---- one task ------------------------------------------------------------------------------------------------------------ */

static char *copy_text(struct replaying *replaying, struct jq_str text) {
    char *copy = jqctl_memory_take(&replaying->memory, text.size + 1);
    JQ_CHECK(copy);
    memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return copy;
}

static void set_payload(struct replaying *replaying, const struct jqctl_past_task *task, struct jq_task_spec *spec) {
    msgpack_object object;
    if (task->payload.size == 0 || jq_unpack(&replaying->unpacker, task->payload, &object, NULL) != JQ_OK ||
        object.type != MSGPACK_OBJECT_BIN)
        return; /* nil: none */
    const struct jq_bytes bytes = jq_object_bin(&object);
    void *copy = jqctl_memory_take(&replaying->memory, bytes.size + 1);
    JQ_CHECK(copy);
    memcpy(copy, bytes.data, bytes.size);
    spec->payload = copy;
    spec->payload_size = bytes.size;
}

static void set_headers(struct replaying *replaying, const struct jqctl_past_task *task, struct jq_task_spec *spec) {
    msgpack_object object;
    if (task->headers.size == 0 || jq_unpack(&replaying->unpacker, task->headers, &object, NULL) != JQ_OK ||
        object.type != MSGPACK_OBJECT_MAP)
        return;
    struct jq_header *headers = jqctl_memory_take(&replaying->memory, (object.via.map.size + 1) * sizeof(*headers));
    JQ_CHECK(headers);
    for (uint32_t i = 0; i < object.via.map.size; i++) {
        headers[i].name = copy_text(replaying, jq_object_str(&object.via.map.ptr[i].key));
        headers[i].value = copy_text(replaying, jq_object_str(&object.via.map.ptr[i].val));
    }
    spec->headers = headers;
    spec->header_count = object.via.map.size;
}

static void set_files(struct replaying *replaying, const struct jqctl_past_task *task, struct jq_task_spec *spec) {
    struct jq_reader in = jq_reader_of(task->files);
    struct jq_file file;
    struct jq_named_blob *inputs = jqctl_memory_take(&replaying->memory, FILES_MAX * sizeof(*inputs));
    const char **outputs = jqctl_memory_take(&replaying->memory, FILES_MAX * sizeof(*outputs));
    JQ_CHECK(inputs && outputs);
    while (jq_files_next(&in, &file)) {
        if (file.kind == JQ_FILE_INPUT && spec->input_count < FILES_MAX) {
            struct jq_named_blob *input = &inputs[spec->input_count++];
            input->name = copy_text(replaying, file.name);
            memcpy(input->blob.hash, file.hash, sizeof(input->blob.hash));
        } else if (file.kind == JQ_FILE_OUTPUT && spec->output_count < FILES_MAX) {
            outputs[spec->output_count++] = copy_text(replaying, file.name);
        }
    }
    spec->inputs = inputs;
    spec->outputs = outputs;
}

static struct jq_task_spec spec_of(struct replaying *replaying, const struct jqctl_past_task *task) {
    char key[JQ_KEY_SIZE_MAX + 1];
    (void)snprintf(key, sizeof(key), "replay:%s:%" PRIu64 "%s%s", replaying->log, task->id.value,
                   replaying->again ? ":" : "", replaying->again ? replaying->again : "");
    struct jq_task_spec spec = jq_task(copy_text(replaying, task->handler));
    spec.queue = replaying->queue ? replaying->queue : copy_text(replaying, task->queue);
    spec.priority = (int)task->priority;
    spec.need = task->need.size > 0 ? copy_text(replaying, task->need) : NULL;
    spec.want = task->want.size > 0 ? copy_text(replaying, task->want) : NULL;
    spec.group = task->group.size > 0 ? copy_text(replaying, task->group) : NULL;
    spec.key = copy_text(replaying, jq_str_of(key));
    spec.retry_max = (int)task->options.retry_max;
    spec.retry_base_ms = task->options.retry_base_ms;
    spec.retry_cap_ms = task->options.retry_cap_ms;
    spec.soft_limit_ms = task->options.soft_limit_ms;
    spec.hard_limit_ms = task->options.hard_limit_ms;
    spec.result_ttl_ms = task->options.result_ttl_ms;
    set_payload(replaying, task, &spec);
    set_headers(replaying, task, &spec);
    if (task->files.size > 0)
        set_files(replaying, task, &spec);
    return spec;
}

/* ---- batches ------------------------------------------------------------------------------------------------------------- */

static void tell_verdicts(struct replaying *replaying) {
    char old[JQ_TASK_ID_TEXT_SIZE], new[JQ_TASK_ID_TEXT_SIZE];
    for (size_t i = 0; i < replaying->count; i++) {
        const struct jq_submitted *verdict = &replaying->submitted[i];
        const bool accepted = verdict->status == JQ_REPLY_OK;
        replaying->known += accepted && verdict->duplicate;
        replaying->accepted += accepted && !verdict->duplicate;
        if (accepted && !verdict->duplicate && !replaying->ctl->json)
            printf("%s %s\n", jq_text_format_task_id(replaying->ids[i], old), jq_text_format_task_id(verdict->id, new));
        else if (!accepted && replaying->refused++ < COMPLAINTS_MAX)
            jqctl_note("task %s: %s%s%s", jq_text_format_task_id(replaying->ids[i], old),
                       jq_reply_name(verdict->status), verdict->reason[0] ? ": " : "", verdict->reason);
    }
}

/* Submits what was gathered, when its time has come. */
static bool flush(struct replaying *replaying) {
    struct jq_error error;
    if (replaying->count == 0)
        return true;
    if (replaying->rate.count > 0) {
        const int64_t span_us = (int64_t)replaying->count * jq_rate_interval_us(replaying->rate);
        const int64_t now_ms = jq_flight_now_ms();
        if (replaying->next_ms > now_ms)
            jq_client_pause(replaying->ctl->client, replaying->next_ms);
        replaying->next_ms = (replaying->next_ms > now_ms ? replaying->next_ms : now_ms) + span_us / 1000;
    }
    const enum jq_err err =
        jq_submit_many(replaying->ctl->client, replaying->specs, replaying->count, replaying->submitted, &error);
    tell_verdicts(replaying);
    replaying->count = 0;
    jqctl_memory_free(&replaying->memory);
    if (err != JQ_OK)
        replaying->code = jqctl_fail_err("submit", &error);
    return err == JQ_OK;
}

static void flush_stretch(void *ctx) {
    struct replaying *replaying = ctx;
    if (replaying->code == JQCTL_DONE)
        (void)flush(replaying);
}

static bool replay_task(void *ctx, const struct jqctl_past_task *task) {
    struct replaying *replaying = ctx;
    if (!jq_state_is_final(task->state) && !replaying->unfinished) {
        replaying->not_ended++;
        return true;
    }
    if (task->flow != 0 || task->waits || task->files_missing) {
        replaying->dependent++;
        return true;
    }
    if (replaying->matched < SAMPLES_MAX)
        replaying->samples[replaying->matched] = task->id;
    replaying->matched++;
    if (!replaying->dry) {
        replaying->ids[replaying->count] = task->id;
        replaying->specs[replaying->count++] = spec_of(replaying, task);
        if ((replaying->count == replaying->batch_max || replaying->memory.size >= BATCH_SIZE_MAX) && !flush(replaying))
            return false;
    }
    return replaying->limit == 0 || replaying->matched < replaying->limit;
}

/* ---- the command --------------------------------------------------------------------------------------------------------- */

static int read_rate(struct replaying *replaying) {
    const char *text = jqctl_value(&replaying->ctl->args, "rate");
    struct jq_error error;
    replaying->batch_max = BATCH_MAX;
    if (!text)
        return JQCTL_DONE;
    if (jq_rate_parse(jq_str_of(text), &replaying->rate, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--rate: %s", error.message);
    const int64_t in_turn = TURN_MS * 1000 / jq_rate_interval_us(replaying->rate);
    replaying->batch_max = in_turn < 1 ? 1 : in_turn < BATCH_MAX ? (size_t)in_turn : BATCH_MAX;
    return JQCTL_DONE;
}

static int read_log_id(struct replaying *replaying) {
    struct jq_archive_disk *archive = NULL;
    struct jq_segment_list list;
    struct jq_error error;
    const char *archive_dir = jqctl_value(&replaying->ctl->args, "archive");
    if (jq_archive_disk_new(jq_disk_posix(), archive_dir, &archive, &error) != JQ_OK)
        return jqctl_fail_err("journal", &error);
    const enum jq_err err =
        jq_segment_list_load(jq_archive_disk(archive), jqctl_journal_dir(replaying->ctl), &list, &error);
    jq_archive_disk_free(archive);
    if (err != JQ_OK)
        return jqctl_fail(err == JQ_ERR_DENIED ? EX_NOPERM : EX_NOINPUT, "journal: %s", error.message);
    for (size_t i = 0; list.count > 0 && i < sizeof(list.entries[0].header.log_id.bytes); i++)
        (void)snprintf(replaying->log + 2 * i, 3, "%02x", list.entries[0].header.log_id.bytes[i]);
    jq_segment_list_fini(&list);
    return JQCTL_DONE;
}

static int read_options(struct replaying *replaying, struct jq_where *where) {
    const struct jqctl_args *args = &replaying->ctl->args;
    const char *text = jqctl_value(args, "where");
    struct jq_error error;
    replaying->dry = jqctl_given(args, "dry-run");
    replaying->unfinished = jqctl_given(args, "unfinished");
    replaying->queue = jqctl_value(args, "queue");
    replaying->again = jqctl_value(args, "again");
    if (!text)
        return jqctl_fail(EX_USAGE,
                          "--where says which tasks: 'state=dead', or 'state=succeeded,dead,cancelled,expired'");
    if (jq_where_parse(jq_str_of(text), where, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "--%s", error.message);
    if (replaying->again && strlen(replaying->again) > 64)
        return jqctl_fail(EX_USAGE, "--again: longer than 64 bytes");
    int code = jqctl_option_uint(replaying->ctl, "limit", UINT64_MAX / 2, &replaying->limit);
    code = code == JQCTL_DONE ? read_rate(replaying) : code;
    code = code == JQCTL_DONE ? read_log_id(replaying) : code;
    return code == JQCTL_DONE && !replaying->dry ? jqctl_connect(replaying->ctl) : code;
}

static const struct jqctl_column replay_columns[] = {
    {"matched", "tasks", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"dry_run", "dry run", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"samples", "the first", JQCTL_IDS, JQCTL_SHEET, NULL},
    {"accepted", "submitted", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"known", "were there", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"refused", "refused", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"not_ended", "left out: had not ended", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"dependent", "left out: of flows, behind others, edited with files", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns replay_row = JQCTL_COLUMNS(replay_columns);

static void print_summary(const struct replaying *replaying) {
    struct jqctl_made made;
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_uint(&made, "matched", replaying->matched);
    jqctl_made_bool(&made, "dry_run", replaying->dry);
    if (replaying->dry) {
        const size_t count = replaying->matched < SAMPLES_MAX ? (size_t)replaying->matched : SAMPLES_MAX;
        struct jq_pack *pack = jqctl_made_key(&made, "samples");
        jq_pack_array(pack, count);
        for (size_t i = 0; i < count; i++)
            jq_pack_uint(pack, replaying->samples[i].value);
    } else {
        jqctl_made_uint(&made, "accepted", replaying->accepted);
        jqctl_made_uint(&made, "known", replaying->known);
        jqctl_made_uint(&made, "refused", replaying->refused);
    }
    jqctl_made_uint(&made, "not_ended", replaying->not_ended);
    jqctl_made_uint(&made, "dependent", replaying->dependent);
    const struct jq_view row = jqctl_made_end(&made);
    if (replaying->ctl->json || replaying->dry)
        jqctl_print_item(replaying->ctl, &replay_row, "journal.replay", row);
    else
        jqctl_note("%" PRIu64 " submitted, %" PRIu64 " were there, %" PRIu64 " refused; left out: %" PRIu64
                   " that had not ended, %" PRIu64 " of flows or behind others",
                   replaying->accepted, replaying->known, replaying->refused, replaying->not_ended,
                   replaying->dependent);
    jqctl_made_fini(&made);
}

int jqctl_journal_replay(struct jqctl *ctl) {
    struct replaying *replaying = calloc(1, sizeof(*replaying));
    struct jq_where where;
    if (!replaying)
        return jqctl_fail(EX_OSERR, "out of memory");
    replaying->ctl = ctl;
    const struct jqctl_past past = {.on_task = replay_task, .on_stretch_end = flush_stretch, .ctx = replaying};
    jq_unpacker_init(&replaying->unpacker);
    int code = read_options(replaying, &where);
    if (code == JQCTL_DONE) {
        code = jqctl_journal_tasks(ctl, &where, &past);
        code = replaying->code != JQCTL_DONE ? replaying->code : code;
        if (code == JQCTL_DONE || code == EX_DATAERR || replaying->accepted > 0)
            print_summary(replaying);
        if (code == JQCTL_DONE && replaying->refused > 0)
            code = JQCTL_FAILED;
    }
    jq_unpacker_fini(&replaying->unpacker);
    jqctl_memory_free(&replaying->memory);
    free(replaying);
    return code;
}
