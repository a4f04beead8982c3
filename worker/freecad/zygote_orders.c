/* What a zygote is told, and what it says. See zygote.h; the packets are described in runner.py. */
#include "common/json.h"
#include "common/text.h"
#include "worker/exec/units.h"
#include "worker/freecad/wire.h"
#include "worker/freecad/zygote_internal.h"

#include <stdio.h>
#include <unistd.h>

enum { RESEND_MS = 10, PACKETS_PER_TURN_MAX = 256 };

/* --- orders --------------------------------------------------------------------------------------------------------- */

static void drop_order(struct jq_zygote *zygote, struct jq_zygote_task *order) {
    jq_list_remove(&order->link);
    zygote->order_count--;
    jq_buf_fini(&order->packet);
    order->child = NULL;
}

static struct jq_zygote_task *find_order(const struct jq_zygote *zygote, int64_t id) {
    JQ_LIST_EACH(link, &zygote->orders) {
        struct jq_zygote_task *order = JQ_CONTAINER_OF(link, struct jq_zygote_task, link);
        if (order->id == id) {
            return order;
        }
    }
    return NULL;
}

/* Of the orders: those that were sent, or all; their tasks end. */
void jq_zygote_lose(struct jq_zygote *zygote, bool unsent_too, const char *why, int64_t now_ms) {
    JQ_LIST_EACH(link, &zygote->orders) {
        struct jq_zygote_task *order = JQ_CONTAINER_OF(link, struct jq_zygote_task, link);
        if (order->sent || unsent_too) {
            struct jq_exec_child *child = order->child;
            drop_order(zygote, order);
            jq_exec_child_orphaned(child, why, now_ms);
        }
    }
}

static unsigned sent_count(const struct jq_zygote *zygote) {
    unsigned count = 0;
    JQ_LIST_EACH(link, &zygote->orders) {
        count += JQ_CONTAINER_OF(link, struct jq_zygote_task, link)->sent ? 1U : 0U;
    }
    return count;
}

/* Sends what waits, in order, until the socket is full. */
void jq_zygote_send(struct jq_zygote *zygote, int64_t now_ms) {
    zygote->resend_ms = INT64_MAX;
    JQ_LIST_EACH(link, &zygote->orders) {
        struct jq_zygote_task *order = JQ_CONTAINER_OF(link, struct jq_zygote_task, link);
        if (order->sent) {
            continue;
        }
        if (zygote->state != JQ_ZYGOTE_READY) {
            break;
        }
        const enum jq_err err = jq_wire_send(zygote->control.fd, jq_buf_bytes(&order->packet), order->handover.fds,
                                             order->handover.fd_count, NULL);
        if (err == JQ_OK) {
            order->sent = true;
            jq_buf_fini(&order->packet);
        } else if (err == JQ_ERR_BUSY) {
            zygote->resend_ms = now_ms + RESEND_MS;
            break;
        } else {
            jq_zygote_end(zygote, "cannot be written to", 0, now_ms);
            break;
        }
    }
    jq_zygote_plan(zygote);
}

void jq_zygote_end_if_idle(struct jq_zygote *zygote, int64_t now_ms) {
    if (zygote->state == JQ_ZYGOTE_RETIRING && sent_count(zygote) == 0) {
        jq_zygote_end(zygote, NULL, JQ_ZYGOTE_GRACE_MS, now_ms);
    }
}

/* --- telling it ----------------------------------------------------------------------------------------------------- */

static void put_limits(struct jq_json *json, const struct jq_exec_spec *spec) {
    if (spec->switch_user) {
        jq_json_put_uint(json, "uid", spec->uid);
        jq_json_put_uint(json, "gid", spec->gid);
    }
    if (spec->hard_limit_ms > 0) {
        /* Only what outlives us and the hard limit meets it. */
        jq_json_put_int(json, "cpu_seconds_max", (int64_t)jq_exec_cpu_seconds_max(spec->hard_limit_ms));
    }
    if (spec->file_bytes_max > 0) {
        jq_json_put_uint(json, "file_bytes_max", spec->file_bytes_max);
    }
    if (spec->fds_max > 0) {
        jq_json_put_uint(json, "fds_max", spec->fds_max);
    }
}

static bool build_packet(struct jq_zygote_task *order, const struct jq_zygote_order *wish) {
    struct jq_json json;
    char id[JQ_TASK_ID_TEXT_SIZE];
    jq_buf_init(&order->packet, JQ_WIRE_PACKET_SIZE_MAX);
    jq_json_init(&json, &order->packet);
    jq_json_object_begin(&json);
    jq_json_put_text(&json, "op", "run");
    jq_json_put_int(&json, "id", order->id);
    jq_json_put_text(&json, "script", wish->script);
    jq_json_put_text(&json, "task", jq_text_format_task_id(wish->spec.task, id));
    jq_json_put_uint(&json, "attempt", wish->spec.attempt);
    jq_json_put_text(&json, "work_dir", order->handover.work_dir);
    jq_json_put_text(&json, "marker", order->handover.marker);
    jq_json_put_text(&json, "output_dir", wish->output_dir);
    jq_json_put_text(&json, "final_dir", wish->final_dir);
    jq_json_put_uint(&json, "joins", order->handover.join_count);
    jq_json_put_bool(&json, "confined", order->handover.confined);
    jq_exec_put_units(&json, wish->units);
    put_limits(&json, &wish->spec);
    jq_json_object_end(&json);
    return !order->packet.failed;
}

static struct jq_zygote_task *free_place(struct jq_zygote *zygote) {
    for (size_t i = 0; i < JQ_ZYGOTE_IN_FLIGHT_MAX; i++) {
        if (zygote->places[i].child == NULL) {
            return &zygote->places[i];
        }
    }
    return NULL;
}

static enum jq_err prepare_order(struct jq_zygote *zygote, const struct jq_zygote_order *wish, int64_t now_ms,
                                 struct jq_zygote_task *order, struct jq_error *reterr) {
    *order = (struct jq_zygote_task){.id = ++zygote->next_id};
    const enum jq_err err = jq_exec_prepare(zygote->host, &wish->spec, now_ms, &order->child, &order->handover, reterr);
    if (err != JQ_OK) {
        return err;
    }
    if (!build_packet(order, wish)) {
        jq_exec_child_free(order->child);
        jq_buf_fini(&order->packet);
        order->child = NULL;
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "order to the zygote");
    }
    jq_list_push_back(&zygote->orders, &order->link);
    zygote->order_count++;
    return JQ_OK;
}

enum jq_err jq_zygote_run(struct jq_zygote *zygote, const struct jq_zygote_order *wish, int64_t now_ms,
                          struct jq_exec_child **ret_child, struct jq_error *reterr) {
    JQ_CHECK(wish->spec.argv == NULL && wish->spec.reply && wish->script[0] == '/');
    struct jq_zygote_task *order = free_place(zygote);
    if (order == NULL) {
        return jq_fail(reterr, JQ_ERR_BUSY, "freecad %s: %u tasks run or wait", zygote->name, zygote->order_count);
    }
    enum jq_err err = jq_zygote_start(zygote, now_ms, reterr);
    if (err == JQ_OK) {
        err = prepare_order(zygote, wish, now_ms, order, reterr);
    }
    if (err != JQ_OK) {
        return err;
    }
    *ret_child = order->child;
    jq_zygote_send(zygote, now_ms);
    return JQ_OK;
}

/* --- what it says --------------------------------------------------------------------------------------------------- */

static void on_hello(struct jq_zygote *zygote, const struct jq_wire_message *message, int64_t now_ms) {
    char why[192];
    if (zygote->state != JQ_ZYGOTE_STARTING) {
        return;
    }
    if (zygote->config.requires_freecad && message->missing[0] != '\0') {
        (void)snprintf(why, sizeof(why), "module did not load: %s", message->missing);
        jq_zygote_end(zygote, why, 0, now_ms);
        return;
    }
    if (message->threads != 1) {
        (void)snprintf(why, sizeof(why), "has %lld threads after its start, must have 1", (long long)message->threads);
        jq_zygote_end(zygote, why, 0, now_ms);
        return;
    }
    (void)snprintf(zygote->version, sizeof(zygote->version), "%.31s", message->text);
    zygote->state = JQ_ZYGOTE_READY;
    zygote->pause_ms = JQ_ZYGOTE_PAUSE_MS_MIN;
    zygote->next_ping_ms = now_ms + zygote->config.ping_interval_ms;
    zygote->pid = message->pid;
    jq_zygote_send(zygote, now_ms);
}

static void on_task_started(struct jq_zygote *zygote, const struct jq_wire_message *message, int pidfd,
                            int64_t now_ms) {
    struct jq_zygote_task *order = find_order(zygote, message->id);
    if (order == NULL || !order->sent || jq_exec_child_pid(order->child) != 0 || message->pid <= 1) {
        if (pidfd >= 0) {
            (void)close(pidfd);
        }
        jq_zygote_end(zygote, "started what it was not told to", 0, now_ms);
        return;
    }
    jq_exec_child_begun(order->child, (pid_t)message->pid, pidfd, now_ms);
}

static void on_task_exit(struct jq_zygote *zygote, const struct jq_wire_message *message, int64_t now_ms) {
    struct jq_zygote_task *order = find_order(zygote, message->id);
    if (order == NULL || jq_exec_child_pid(order->child) == 0) {
        jq_zygote_end(zygote, "told the end of what it had not started", 0, now_ms);
        return;
    }
    struct jq_exec_child *child = order->child;
    drop_order(zygote, order);
    struct rusage usage = {.ru_maxrss = (long)message->maxrss_kib};
    usage.ru_utime.tv_sec = message->utime_us / 1000000;
    usage.ru_utime.tv_usec = message->utime_us % 1000000;
    usage.ru_stime.tv_sec = message->stime_us / 1000000;
    usage.ru_stime.tv_usec = message->stime_us % 1000000;
    jq_exec_child_ended(child, (int)message->status, &usage, now_ms);
    jq_zygote_end_if_idle(zygote, now_ms);
}

static void on_task_refused(struct jq_zygote *zygote, const struct jq_wire_message *message, int64_t now_ms) {
    struct jq_zygote_task *order = find_order(zygote, message->id);
    if (order == NULL) {
        jq_zygote_end(zygote, "refused what it was not told", 0, now_ms);
        return;
    }
    char why[96];
    struct jq_exec_child *child = order->child;
    drop_order(zygote, order);
    (void)snprintf(why, sizeof(why), "refused by its zygote: %.70s", message->text);
    jq_zygote_set_error(zygote, why);
    jq_exec_child_orphaned(child, why, now_ms);
    if (message->threads > 1) {
        jq_zygote_retire(zygote, now_ms);
    }
    jq_zygote_end_if_idle(zygote, now_ms);
}

static void on_message(struct jq_zygote *zygote, const struct jq_wire_message *message, int fd, int64_t now_ms) {
    if (message->op == JQ_WIRE_STARTED) {
        on_task_started(zygote, message, fd, now_ms);
        return;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    switch (message->op) {
    case JQ_WIRE_HELLO: on_hello(zygote, message, now_ms); break;
    case JQ_WIRE_EXIT: on_task_exit(zygote, message, now_ms); break;
    case JQ_WIRE_REFUSED: on_task_refused(zygote, message, now_ms); break;
    case JQ_WIRE_PONG:
        zygote->pong_by_ms = INT64_MAX;
        jq_zygote_plan(zygote);
        break;
    case JQ_WIRE_STARTED:
    case JQ_WIRE_NONE:
    default: break;
    }
}

void jq_zygote_on_control(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms) {
    struct jq_zygote *zygote = JQ_CONTAINER_OF(watch, struct jq_zygote, control);
    (void)events;
    for (int i = 0; i < PACKETS_PER_TURN_MAX && watch->fd >= 0; i++) {
        struct jq_wire_message message;
        struct jq_error error;
        int fd = -1;
        const enum jq_err err = jq_wire_receive(watch->fd, &message, &fd, &error);
        if (err == JQ_ERR_BUSY) {
            return;
        }
        if (err != JQ_OK) {
            jq_exec_loop_stop(jq_exec_host_loop(zygote->host), watch);
            /* A closed socket is its end, of which its process tells more. */
            if (zygote->process != NULL && zygote->state != JQ_ZYGOTE_ENDING && err != JQ_ERR_CLOSED) {
                jq_zygote_end(zygote, error.message, 0, now_ms);
            } else if (zygote->process != NULL) {
                jq_exec_kill(zygote->process, JQ_EXEC_REASON_DRAIN, JQ_ZYGOTE_GRACE_MS, now_ms);
            }
            return;
        }
        on_message(zygote, &message, fd, now_ms);
    }
}
