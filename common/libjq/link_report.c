/* link_report.c - reports: packed as they come, sent together, kept until their verdicts are here. */
#include <stdlib.h>

#include "common/libjq/link_internal.h"
#include "common/text.h"

enum { OUTPUT_BYTES_MAX = 2 + JQ_NAME_SIZE_MAX + 2 + JQ_BLOB_TEXT_SIZE };

/* ---- packing ---- */

static size_t detail_text(struct jq_pack *pack, unsigned place, struct jq_str text) {
    if (text.size == 0) {
        return 0;
    }
    text.size = text.size < JQ_MESSAGE_TEXT_SIZE_MAX ? text.size : JQ_MESSAGE_TEXT_SIZE_MAX;
    jq_pack_field_str(pack, &jq_message_detail, place, text);
    return 1;
}

/* The end of the bytes: what was said last says most. */
static size_t detail_tail(struct jq_pack *pack, unsigned place, struct jq_bytes bytes) {
    if (bytes.size == 0) {
        return 0;
    }
    const size_t size = bytes.size < JQ_TAIL_SIZE_MAX ? bytes.size : JQ_TAIL_SIZE_MAX;
    jq_pack_field_bin(pack, &jq_message_detail, place, (struct jq_bytes){bytes.data + bytes.size - size, size});
    return 1;
}

static size_t detail_number(struct jq_pack *pack, unsigned place, int64_t value, int64_t none) {
    if (value <= none) {
        return 0;
    }
    jq_pack_field_ms(pack, &jq_message_detail, place, value);
    return 1;
}

static size_t detail_outputs(struct jq_pack *pack, const struct jq_link_report *report) {
    char text[JQ_BLOB_TEXT_SIZE];
    if (report->output_count == 0) {
        return 0;
    }
    jq_pack_key(pack, &jq_message_detail, JQ_AT_DETAIL_OUTPUTS);
    jq_pack_map(pack, report->output_count);
    for (size_t i = 0; i < report->output_count; i++) {
        jq_pack_str(pack, jq_str_of(report->outputs[i].name));
        jq_pack_str(pack, jq_str_of(jq_text_format_hex(
                              (struct jq_bytes){report->outputs[i].blob.hash, JQ_BLOB_HASH_SIZE}, text)));
    }
    return 1;
}

static void pack_detail(struct jq_pack *pack, const struct jq_link_report *report, const char *worker) {
    const size_t hole = jq_pack_map_begin(pack);
    size_t count = 0;
    if (report->result.size > 0) {
        jq_pack_field_bin(pack, &jq_message_detail, JQ_AT_DETAIL_RESULT, report->result);
        count++;
    }
    count += detail_number(pack, JQ_AT_DETAIL_EXIT, report->exit_code, -1);
    count += detail_number(pack, JQ_AT_DETAIL_SIGNAL, report->signal_number, -1);
    count += detail_text(pack, JQ_AT_DETAIL_MESSAGE, report->message);
    count += detail_text(pack, JQ_AT_DETAIL_SERVICE, report->service);
    count += detail_tail(pack, JQ_AT_DETAIL_STDOUT, report->stdout_tail);
    count += detail_tail(pack, JQ_AT_DETAIL_STDERR, report->stderr_tail);
    count += detail_number(pack, JQ_AT_DETAIL_DURATION, report->duration_ms, -1);
    count += detail_number(pack, JQ_AT_DETAIL_CPU, report->cpu_ms, -1);
    count += detail_number(pack, JQ_AT_DETAIL_RSS, (int64_t)report->rss_bytes, 0);
    count += detail_outputs(pack, report);
    count += detail_text(pack, JQ_AT_DETAIL_VERSION, report->version);
    count += detail_text(pack, JQ_AT_DETAIL_WORKER, jq_str_of(worker));
    jq_pack_end(pack, hole, count);
}

static bool has_detail(const struct jq_link_report *report) {
    return report->result.size || report->message.size || report->service.size || report->stdout_tail.size ||
           report->stderr_tail.size || report->exit_code >= 0 || report->signal_number >= 0 ||
           report->output_count > 0 || report->duration_ms >= 0 || report->cpu_ms >= 0 || report->rss_bytes > 0 ||
           report->version.size > 0;
}

static void pack_report(struct jq_buf *items, const struct jq_link_report *report, const char *worker) {
    struct jq_pack pack = jq_pack_of(items);
    jq_pack_array(&pack, 5);
    jq_pack_uint(&pack, report->task.value);
    jq_pack_uint(&pack, report->token.value);
    jq_pack_uint(&pack, (uint64_t)report->outcome);
    jq_pack_bool(&pack, report->crashed);
    if (has_detail(report)) {
        pack_detail(&pack, report, worker);
    } else {
        jq_pack_nil(&pack);
    }
}

/* ---- gathering ---- */

static void frame_send(struct jq_link *link, struct report_frame *frame) {
    struct jq_pack pack;
    if (!link->registered || frame->flight.client ||
        jq_flight_begin(link->client, &frame->flight, "report", 2, 0, &pack, NULL) != JQ_OK) {
        return; /* the next step tries again */
    }
    jq_pack_field_uuid(&pack, &jq_message_report, JQ_AT_REPORT_SESSION, &link->session);
    jq_pack_key(&pack, &jq_message_report, JQ_AT_REPORT_REPORTS);
    jq_pack_array(&pack, frame->count);
    jq_pack_raw(&pack, jq_buf_bytes(&frame->items));
    frame->flight.on_landed = link_wake;
    frame->flight.ctx = link;
    jq_flight_send(&frame->flight);
}

static void gathering_send(struct jq_link *link) {
    link->hurried = false;
    if (link->gathering) {
        struct report_frame *frame = link->gathering;
        link->gathering = NULL;
        frame_send(link, frame);
    }
}

static struct report_frame *frame_take(struct jq_link *link) {
    for (;;) {
        for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
            struct report_frame *frame = &link->frames[i];
            if (!frame->used) {
                frame->used = true;
                frame->count = 0;
                if (frame->items.size_max == 0) {
                    jq_buf_init(&frame->items, LINK_REPORT_BYTES_MAX);
                }
                jq_buf_clear(&frame->items);
                return frame;
            }
        }
        /* All are on their way: the owner waits here for the first verdicts. That is the link's back-pressure. */
        const uint64_t landings = jq_client_landings(link->client);
        const int64_t wake_ms = link_reports_step(link);
        if (!jq_link_has_free_frame(link)) {
            jq_client_wait(link->client, landings, link_least(wake_ms, jq_flight_now_ms() + 100));
        }
        (void)link_register_step(link);
    }
}

enum jq_err jq_link_report(struct jq_link *link, const struct jq_link_report *report, struct jq_error *reterr) {
    if (report->result.size > JQ_PAYLOAD_SIZE_MAX) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "result: %zu bytes, at most %d", report->result.size,
                       JQ_PAYLOAD_SIZE_MAX);
    }
    const size_t size = report->result.size + 2 * JQ_TAIL_SIZE_MAX + 2048 + OUTPUT_BYTES_MAX * report->output_count;
    if (size > LINK_REPORT_BYTES_MAX) {
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "result of %zu bytes with %zu outputs: more than a report holds",
                       report->result.size, report->output_count);
    }
    if (link->gathering && (link->gathering->count == JQ_REPORT_COUNT_MAX ||
                            (has_detail(report) && link->gathering->items.size + size > LINK_REPORT_BYTES_MAX) ||
                            link->gathering->items.size + 64 > LINK_REPORT_BYTES_MAX)) {
        gathering_send(link);
    }
    if (!link->gathering) {
        link->gathering = frame_take(link);
        link->gather_until_ms = jq_flight_now_ms() + LINK_GATHER_MS;
    }
    struct report_frame *frame = link->gathering;
    pack_report(&frame->items, report, link->name);
    frame->names[frame->count++] = (struct link_report_name){report->task.value, report->token.value};
    return JQ_OK;
}

/* ---- verdicts ---- */

static void verdicts_take(struct jq_link *link, struct report_frame *frame) {
    const struct jq_view verdicts = jq_view_get(frame->flight.view.body, "verdicts");
    const size_t count = jq_view_count(verdicts);
    size_t at = 0;
    for (uint32_t i = 0; i < frame->count; i++) {
        enum jq_reply verdict = JQ_REPLY_OK;
        const struct jq_view item = jq_view_at(verdicts, at);
        if (at < count && jq_view_to_uint(jq_view_at(item, JQ_AT_EXCEPTION_INDEX), UINT64_MAX) == i) {
            verdict = (enum jq_reply)jq_view_to_uint(jq_view_at(item, JQ_AT_EXCEPTION_STATUS), JQ_REPLY_STALE_LEASE);
            at++;
        }
        link_held_drop(link, frame->names[i].token);
        if (link->config.on_verdict) {
            link->config.on_verdict(link->config.ctx, (jq_task_id){frame->names[i].task},
                                    (jq_lease_token){frame->names[i].token}, verdict);
        }
    }
}

/* Refused as a whole: by a broker that does not know the session (registered with again, then sent again as a new request), or for
 * good, and then nobody is waiting for these reports any more. */
static void frame_refused(struct jq_link *link, struct report_frame *frame, enum jq_reply status) {
    jq_flight_end(&frame->flight);
    if (status == JQ_REPLY_NOT_FOUND) {
        link_session_lost(link);
        return;
    }
    if (status == JQ_REPLY_BUSY || status == JQ_REPLY_DRAINING || status == JQ_REPLY_UNAVAILABLE ||
        status == JQ_REPLY_CONFLICT) {
        return; /* sent again as a new request: a report that was accepted before is merely stale */
    }
    for (uint32_t i = 0; i < frame->count; i++) {
        link_held_drop(link, frame->names[i].token);
        if (link->config.on_verdict) {
            link->config.on_verdict(link->config.ctx, (jq_task_id){frame->names[i].task},
                                    (jq_lease_token){frame->names[i].token}, status);
        }
    }
    frame->used = false;
}

static int64_t frame_step(struct jq_link *link, struct report_frame *frame) {
    if (!frame->flight.client) {
        frame_send(link, frame);
        if (!frame->flight.client) {
            return jq_flight_now_ms() + LINK_REGISTER_PAUSE_MS;
        }
    }
    int64_t wake_ms = INT64_MAX;
    const enum jq_err err = jq_flight_poll(&frame->flight, INT64_MAX / 2, &wake_ms, NULL);
    if (err == JQ_ERR_BUSY) {
        return wake_ms;
    }
    if (err != JQ_OK) {
        jq_flight_end(&frame->flight); /* nothing that time heals: begin anew */
        return jq_flight_now_ms() + LINK_REGISTER_PAUSE_MS;
    }
    const enum jq_reply status = frame->flight.view.status;
    if (status != JQ_REPLY_OK) {
        frame_refused(link, frame, status);
        return jq_flight_now_ms() + (status == JQ_REPLY_NOT_FOUND ? 0 : LINK_REGISTER_PAUSE_MS);
    }
    verdicts_take(link, frame);
    jq_flight_end(&frame->flight);
    frame->used = false;
    if (link->hurried) {
        gathering_send(link);
    }
    return INT64_MAX;
}

/* It waits for its verdicts. */
static bool is_sent(const struct jq_link *link, int index) {
    return link->frames[index].used && &link->frames[index] != link->gathering;
}

int64_t link_reports_step(struct jq_link *link) {
    int64_t wake_ms = INT64_MAX;
    if (link->gathering && jq_flight_now_ms() >= link->gather_until_ms) {
        gathering_send(link);
    }
    if (link->gathering) {
        wake_ms = link->gather_until_ms;
    }
    for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
        if (is_sent(link, i)) {
            wake_ms = link_least(wake_ms, frame_step(link, &link->frames[i]));
        }
    }
    return wake_ms;
}

bool jq_link_has_free_frame(const struct jq_link *link) {
    for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
        if (!link->frames[i].used) {
            return true;
        }
    }
    return false;
}

static bool is_under_way(const struct jq_link *link) {
    for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
        if (is_sent(link, i)) {
            return true;
        }
    }
    return false;
}

void jq_link_flush(struct jq_link *link) {
    link->hurried = is_under_way(link);
    if (!link->hurried) {
        gathering_send(link);
    }
}

void link_reports_free(struct jq_link *link) {
    for (int i = 0; i < LINK_REPORT_FLIGHTS; i++) {
        jq_flight_end(&link->frames[i].flight);
        jq_buf_fini(&link->frames[i].items);
    }
}
