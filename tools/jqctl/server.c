/* server.c - jqctl server: the broker's numbers, and waiting until it is there. */
#include "common/version.h"
#include "tools/jqctl/made.h"
#include "tools/jqctl/print.h"

enum { WAIT_DEFAULT_MS = 30000, LOOK_AGAIN_MS = 100 };

static const struct jqctl_column server_columns[] = {
    {"broker", "broker", JQCTL_UUID, JQCTL_SHEET, NULL}, /* from here on of hello */
    {"version", "version", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"durability", "durability", JQCTL_TEXT, JQCTL_SHEET, NULL},
    {"time_ms", "clock", JQCTL_TIME, JQCTL_SHEET, NULL},
    {"frame_max", "frame", JQCTL_SIZE, 0, NULL},
    {"payload_max", "payload", JQCTL_SIZE, 0, NULL},
    {"wait_max_ms", "longest wait", JQCTL_SPAN, 0, NULL},
    {"epoch", "starts", JQCTL_COUNT, JQCTL_SHEET, NULL}, /* and from here on of server.status */
    {"digest", "digest", JQCTL_HEX, JQCTL_SHEET, NULL},
    {"tasks_live", "tasks", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"scheduled", "scheduled", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"ready", "ready", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"running", "running", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"dead", "dead", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"waiting", "waiting", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"blocked", "blocked", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"flows", "flows", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"schedules", "schedules", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"schedules_troubled", "troubled", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"schedules_missed_total", "times missed", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"tasks_finished", "finished", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"submitted_total", "submitted", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"leased_total", "leased", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"succeeded_total", "succeeded", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"dead_total", "died", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"cancelled_total", "cancelled", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"expired_total", "expired", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"refused_total", "refused", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"duplicate_total", "duplicates", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"stale_total", "stale", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"retried_total", "retried", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"lost_total", "lost", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"crashed_total", "crashed", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"shed_total", "shed", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"withheld_total", "held back", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"withheld", "held back now", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"queues", "queues", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"classes", "classes", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"workers", "workers", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"workers_alive", "alive", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"parked_polls", "polls", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"parked_waits", "waits", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"senders", "senders", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"keys", "keys", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"breakers_open", "open breakers", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"memory_bytes", "memory", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"memory_max", "memory mark", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"memory_busy", "memory full", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"log_bytes", "journal", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"needs_from_lsn", "log needed at", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"log_stuck_tries", "log stuck for", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"disk_free_bytes", "disk free", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"disk_busy", "disk full", JQCTL_FLAG, JQCTL_SHEET, NULL},
    {"draining", "draining", JQCTL_FLAG, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns server_row = JQCTL_COLUMNS(server_columns);

static void fill_hello(struct jq_pack *pack, void *ctx) {
    (void)ctx;
    jq_pack_field_str(pack, &jq_message_hello, JQ_AT_HELLO_NAME, JQ_STR("jqctl"));
    jq_pack_field_str(pack, &jq_message_hello, JQ_AT_HELLO_VERSION, JQ_STR(JQ_VERSION));
}

int jqctl_server_status(struct jqctl *ctl) {
    struct jqctl_made made;
    struct jq_flight flight;
    int code = jqctl_call(ctl, &flight, "hello", "hello", 2, fill_hello, NULL);
    if (code != JQCTL_DONE)
        return code;
    jqctl_made_init(&made);
    jqctl_made_begin(&made);
    jqctl_made_copy(&made, flight.view.body);
    jq_flight_end(&flight);
    code = jqctl_call(ctl, &flight, "server", "server.status", 0, NULL, NULL);
    if (code == JQCTL_DONE) {
        jqctl_made_copy(&made, flight.view.body);
        jq_flight_end(&flight);
        jqctl_print_item(ctl, &server_row, "server.status", jqctl_made_end(&made));
    }
    jqctl_made_fini(&made);
    return code;
}

int jqctl_server_wait(struct jqctl *ctl) {
    struct jq_error error;
    const int connected = jqctl_connect(ctl);
    if (connected != JQCTL_DONE)
        return connected;
    const int64_t deadline_ms = jq_flight_now_ms() + (ctl->timeout_ms >= 0 ? ctl->timeout_ms : WAIT_DEFAULT_MS);
    for (;;) {
        struct jq_flight flight;
        const int64_t left_ms = deadline_ms - jq_flight_now_ms();
        const enum jq_err err =
            jq_client_call(ctl->client, &flight, "hello", 2, fill_hello, NULL, left_ms > 1 ? left_ms : 1, &error);
        if (err == JQ_OK) {
            jq_flight_end(&flight);
            return JQCTL_DONE;
        }
        if (err == JQ_ERR_DENIED) { /* it serves others */
            jqctl_note("the broker is there: %s", error.message);
            return JQCTL_DONE;
        }
        if (err != JQ_ERR_UNAVAILABLE || jq_flight_now_ms() >= deadline_ms)
            return jqctl_fail_err("not ready", &error);
        jq_client_pause(ctl->client, jq_flight_now_ms() + LOOK_AGAIN_MS);
    }
}
