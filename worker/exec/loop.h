/* loop.h - the event loop of everything that runs children: one epoll descriptor, and timers.
 *
 * The worker's shell waits on jq_exec_loop_fd() and until jq_exec_loop_deadline_ms(), then calls jq_exec_loop_run(). Callbacks run
 * inside that call only, on the caller's thread. A callback may stop any watch and any timer, also those whose turn is still to
 * come in the same run. Times are CLOCK_BOOTTIME milliseconds (jq_clock_boot_ms).
 */
#ifndef JQ_WORKER_EXEC_LOOP_H
#define JQ_WORKER_EXEC_LOOP_H

#include "common/err.h"
#include "common/list.h"

#include <stdint.h>
#include <sys/epoll.h>

enum { JQ_EXEC_BATCH_COUNT_MAX = 64 };

/* A descriptor that is watched. `fd` is -1 while it is not. */
struct jq_exec_watch {
    int fd;
    void (*on_ready)(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);
};

struct jq_exec_timer {
    struct jq_list link;
    int64_t due_ms;
    void (*on_due)(struct jq_exec_timer *timer, int64_t now_ms);
};

struct jq_exec_loop {
    int epoll_fd;
    struct jq_list timers;
    struct epoll_event batch[JQ_EXEC_BATCH_COUNT_MAX];
    int batch_count;
};

enum jq_err jq_exec_loop_init(struct jq_exec_loop *loop, struct jq_error *reterr);
void jq_exec_loop_fini(struct jq_exec_loop *loop);

/* Watches `fd` (which the watch then owns) for `events` (EPOLLIN, ...). jq_exec_loop_stop() closes it; harmless at -1. */
enum jq_err jq_exec_loop_watch(struct jq_exec_loop *loop, struct jq_exec_watch *watch, int fd, uint32_t events,
                               struct jq_error *reterr);
void jq_exec_loop_stop(struct jq_exec_loop *loop, struct jq_exec_watch *watch);

/* A timer must be initialised (jq_list_init on its link) once. Setting it again moves it; it fires once. */
void jq_exec_timer_set(struct jq_exec_loop *loop, struct jq_exec_timer *timer, int64_t due_ms);
void jq_exec_timer_stop(struct jq_exec_timer *timer);

/* The earliest timer; INT64_MAX if there is none. */
int64_t jq_exec_loop_deadline_ms(const struct jq_exec_loop *loop);

/* Serves what is ready and what is due, without waiting. */
void jq_exec_loop_run(struct jq_exec_loop *loop, int64_t now_ms);

#endif
