/* logs.c - jqctl task logs: what a task writes, as its worker tells the broker; of one whose output nobody was told of, the last bytes that
 * its report holds. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/text.h"
#include "tools/jqctl/jqctl.h"
#include "tools/jqctl/print.h"

enum { PAUSE_MS = 200, STREAMS = 2, LINE_SIZE_MAX = 8 * JQ_OUTPUT_CHUNK_MAX };

static const char *const stream_names[STREAMS] = {"stdout", "stderr"};

struct reading {
    struct jqctl *ctl;
    jq_task_id id;
    const char *name; /* as it was given */
    uint64_t at[STREAMS], token;
    bool known;   /* the broker had something of it */
    bool follows; /* to the end, though the broker may be away for a while */
    bool ended;
};

/* ---- printing ----------------------------------------------------------------------------------------------------------- */

static void print_json(const struct reading *reading, int stream, uint64_t at, struct jq_bytes bytes) {
    char place[JQ_TASK_ID_TEXT_SIZE];
    struct jq_buf line;
    struct jq_json json;
    jq_buf_init(&line, LINE_SIZE_MAX);
    jq_json_init(&json, &line);
    jq_json_object_begin(&json);
    jq_json_put_text(&json, "task", jq_text_format_task_id(reading->id, place));
    jq_json_put_text(&json, "stream", stream_names[stream]);
    jq_json_put_uint(&json, "at", at);
    jq_json_put_str(&json, "text", (struct jq_str){(const char *)bytes.data, bytes.size});
    jq_json_object_end(&json);
    jq_buf_append_u8(&line, '\n');
    jqctl_drain(&line);
    jq_buf_fini(&line);
}

/* What a task prints is no friend of a terminal. */
static void print(const struct reading *reading, int stream, uint64_t at, struct jq_bytes bytes) {
    const struct jqctl *ctl = reading->ctl;
    FILE *file = stream == 0 ? stdout : stderr;
    if (bytes.size == 0)
        return;
    if (ctl->json) {
        print_json(reading, stream, at, bytes);
    } else if (stream == 0 ? ctl->terminal.out : ctl->terminal.err) {
        struct jq_buf text;
        jq_buf_init(&text, LINE_SIZE_MAX);
        jqctl_append_safe(&text, (struct jq_str){(const char *)bytes.data, bytes.size}, true);
        (void)fwrite(text.data, 1, text.size, file);
        jq_buf_fini(&text);
    } else {
        (void)fwrite(bytes.data, 1, bytes.size, file);
    }
    (void)fflush(file);
}

/* ---- asking ------------------------------------------------------------------------------------------------------------- */

static void fill_logs(struct jq_pack *pack, void *ctx) {
    const struct reading *reading = ctx;
    jq_pack_field_uint(pack, &jq_message_task_logs, JQ_AT_TASK_LOGS_ID, reading->id.value);
    jq_pack_field_uint(pack, &jq_message_task_logs, JQ_AT_TASK_LOGS_STDOUT_AT, reading->at[0]);
    jq_pack_field_uint(pack, &jq_message_task_logs, JQ_AT_TASK_LOGS_STDERR_AT, reading->at[1]);
}

/* True: there may be more at once. */
static bool take_stream(struct reading *reading, struct jq_view body, int stream) {
    char at_name[16], end_name[16];
    (void)snprintf(at_name, sizeof(at_name), "%s_at", stream_names[stream]);
    (void)snprintf(end_name, sizeof(end_name), "%s_end", stream_names[stream]);
    const uint64_t at = jq_view_uint(body, at_name, 0);
    const struct jq_bytes bytes = jq_view_bin(body, stream_names[stream]);
    if (at > reading->at[stream])
        jqctl_note("%" PRIu64 " bytes of %s are gone", at - reading->at[stream], stream_names[stream]);
    print(reading, stream, at, bytes);
    reading->at[stream] = at + bytes.size;
    return reading->at[stream] < jq_view_uint(body, end_name, 0);
}

static bool take_logs(struct reading *reading, struct jq_view body) {
    const uint64_t token = jq_view_uint(body, "token", 0);
    const bool another = reading->known && token != reading->token;
    if (!jq_view_bool(body, "known", false))
        return false;
    reading->known = true;
    reading->token = token;
    if (another) {
        jqctl_note("task %.32s: another attempt", reading->name);
        reading->at[0] = reading->at[1] = 0;
        return true;
    }
    const bool more = take_stream(reading, body, 0);
    return take_stream(reading, body, 1) || more;
}

static int ask(struct reading *reading, struct jq_flight *flight, const char *op, size_t field_count,
               void (*fill)(struct jq_pack *pack, void *ctx)) {
    bool patient = reading->follows;
    return jqctl_follow(reading->ctl, flight, reading->name, op, field_count, fill, reading, PAUSE_MS, &patient);
}

/* Prints all that there is. */
static int read_all(struct reading *reading) {
    bool more = true;
    while (more) {
        struct jq_flight flight;
        const int code = ask(reading, &flight, "task.logs", 3, fill_logs);
        if (code != JQCTL_DONE)
            return code;
        more = take_logs(reading, flight.view.body);
        jq_flight_end(&flight);
    }
    return ferror(stdout) ? EX_IOERR : JQCTL_DONE;
}

static void fill_wait(struct jq_pack *pack, void *ctx) {
    const struct reading *reading = ctx;
    jq_pack_key(pack, &jq_message_wait, JQ_AT_WAIT_IDS);
    jq_pack_array(pack, 1);
    jq_pack_uint(pack, reading->id.value);
    jq_pack_field_ms(pack, &jq_message_wait, JQ_AT_WAIT_WAIT, PAUSE_MS);
}

/* A pause, which its end cuts short. */
static int wait_for_end(struct reading *reading) {
    struct jq_flight flight;
    const int code = ask(reading, &flight, "wait", 2, fill_wait);
    if (code != JQCTL_DONE)
        return code;
    reading->ended = jq_view_count(jq_view_get(flight.view.body, "tasks")) > 0;
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

static void fill_id(struct jq_pack *pack, void *ctx) {
    const struct reading *reading = ctx;
    jq_pack_field_uint(pack, &jq_message_task_id, JQ_AT_TASK_ID_ID, reading->id.value);
}

static bool is_final(struct jq_str state) {
    return jq_str_equal(state, JQ_STR("succeeded")) || jq_str_equal(state, JQ_STR("dead")) ||
           jq_str_equal(state, JQ_STR("cancelled")) || jq_str_equal(state, JQ_STR("expired"));
}

/* Whether it has ended; and what its report says, if that is all there is. */
static int look_at_task(struct reading *reading, bool with_report) {
    struct jq_flight flight;
    const int code = ask(reading, &flight, "task.show", 1, fill_id);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view row = jq_view_at(jq_view_get(flight.view.body, "tasks"), 0);
    reading->ended = is_final(jq_view_str(row, "state"));
    for (int i = 0; i < STREAMS && with_report; i++)
        print(reading, i, 0, jq_view_bin(jq_view_get(row, "detail"), stream_names[i]));
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

/* ---- the command -------------------------------------------------------------------------------------------------------- */

static int run(struct reading *reading, bool follow) {
    int code = look_at_task(reading, false);
    reading->follows = follow;
    while (code == JQCTL_DONE) {
        const bool last = reading->ended || !follow; /* asked before the last reading, which then has all */
        code = read_all(reading);
        if (code == JQCTL_DONE && last)
            break;
        code = code == JQCTL_DONE ? wait_for_end(reading) : code;
    }
    return code == JQCTL_DONE && !reading->known ? look_at_task(reading, true) : code;
}

int jqctl_task_logs(struct jqctl *ctl) {
    jq_task_id *ids = NULL;
    size_t count = 0;
    int code = jqctl_operand_ids(ctl, &ids, &count);
    if (code == JQCTL_DONE) {
        struct reading reading = {.ctl = ctl, .id = ids[0], .name = ctl->args.operands[0]};
        code = run(&reading, jqctl_given(&ctl->args, "follow"));
    }
    free(ids);
    return code;
}
