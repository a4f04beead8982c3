/* zygote_internal.h - what zygote.c (its life) and zygote_orders.c (what it is told and says) share. Nobody else includes it. */
#ifndef JQ_WORKER_FREECAD_ZYGOTE_INTERNAL_H
#define JQ_WORKER_FREECAD_ZYGOTE_INTERNAL_H

#include "common/buf.h"
#include "common/list.h"
#include "worker/exec/loop.h"
#include "worker/freecad/command.h"
#include "worker/freecad/zygote.h"

#include <sys/stat.h>

enum { JQ_ZYGOTE_GRACE_MS = 2000, JQ_ZYGOTE_PAUSE_MS_MIN = 1000 };

/* One task: in the list from jq_zygote_run() until its exit, its refusal, or the zygote's end. */
struct jq_zygote_task {
    struct jq_list link;
    int64_t id;
    struct jq_exec_child *child;      /* NULL: a free place */
    struct jq_exec_handover handover; /* until it was sent */
    struct jq_buf packet;
    bool sent;
};

struct jq_zygote {
    struct jq_exec_host *host;
    struct jq_zygote_config config; /* its pointers point into the copies below */
    char name[32];
    struct jq_freecad_command command;
    enum jq_zygote_state state;
    bool wanted;       /* to be started again when it ends */
    bool start_failed; /* the present one was given up before its hello */
    struct jq_exec_child *process;
    struct jq_exec_watch control;
    struct jq_exec_timer timer;
    struct jq_zygote_task places[JQ_ZYGOTE_IN_FLIGHT_MAX];
    struct jq_list orders; /* of the places in use, as they came */
    unsigned order_count;
    int64_t next_id;
    int64_t started_ms;
    int64_t next_ping_ms;
    int64_t pong_by_ms; /* INT64_MAX: none is due */
    int64_t resend_ms;  /* INT64_MAX: nothing waits for room in the socket */
    int64_t retry_at_ms;
    int64_t pause_ms;
    unsigned starts;
    int64_t pid;
    struct stat program; /* of the command, as it was started */
    char version[32];
    char last_error[192];
};

static inline int64_t jq_zygote_earlier(int64_t left, int64_t right) {
    return left < right ? left : right;
}

/* zygote.c: sets the timer; says why it failed; ends it, with `why` as one at fault, without as told to go. */
void jq_zygote_plan(struct jq_zygote *zygote);
void jq_zygote_set_error(struct jq_zygote *zygote, const char *why);
void jq_zygote_end(struct jq_zygote *zygote, const char *why, int64_t grace_ms, int64_t now_ms);

/* zygote_orders.c: sends what waits; ends the tasks of it that were sent, or all; ends a retiring one that runs nothing;
 * reads its packets. */
void jq_zygote_send(struct jq_zygote *zygote, int64_t now_ms);
void jq_zygote_lose(struct jq_zygote *zygote, bool unsent_too, const char *why, int64_t now_ms);
void jq_zygote_end_if_idle(struct jq_zygote *zygote, int64_t now_ms);
void jq_zygote_on_control(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);

#endif
