#include "worker/exec/loop.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

enum jq_err jq_exec_loop_init(struct jq_exec_loop *loop, struct jq_error *reterr) {
    memset(loop, 0, sizeof(*loop));
    jq_list_init(&loop->timers);
    loop->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return loop->epoll_fd >= 0 ? JQ_OK : jq_fail_errno(reterr, errno, "epoll");
}

void jq_exec_loop_fini(struct jq_exec_loop *loop) {
    if (loop->epoll_fd >= 0) {
        (void)close(loop->epoll_fd);
        loop->epoll_fd = -1;
    }
}

enum jq_err jq_exec_loop_watch(struct jq_exec_loop *loop, struct jq_exec_watch *watch, int fd, uint32_t events,
                               struct jq_error *reterr) {
    struct epoll_event event = {.events = events, .data = {.ptr = watch}};
    if (epoll_ctl(loop->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
        return jq_fail_errno(reterr, errno, "epoll");
    }
    watch->fd = fd;
    return JQ_OK;
}

void jq_exec_loop_stop(struct jq_exec_loop *loop, struct jq_exec_watch *watch) {
    if (watch->fd < 0) {
        return;
    }
    for (int i = 0; i < loop->batch_count; i++) {
        if (loop->batch[i].data.ptr == watch) {
            loop->batch[i].data.ptr = NULL;
        }
    }
    /* Closing alone would not do: a process that still holds the same open file keeps it in the epoll set. */
    (void)epoll_ctl(loop->epoll_fd, EPOLL_CTL_DEL, watch->fd, NULL);
    (void)close(watch->fd);
    watch->fd = -1;
}

void jq_exec_timer_set(struct jq_exec_loop *loop, struct jq_exec_timer *timer, int64_t due_ms) {
    timer->due_ms = due_ms;
    if (jq_list_empty(&timer->link)) {
        jq_list_push_back(&loop->timers, &timer->link);
    }
}

void jq_exec_timer_stop(struct jq_exec_timer *timer) {
    jq_list_remove(&timer->link);
}

static struct jq_exec_timer *earliest(const struct jq_exec_loop *loop) {
    struct jq_exec_timer *first = NULL;
    JQ_LIST_EACH(link, &loop->timers) {
        struct jq_exec_timer *timer = JQ_CONTAINER_OF(link, struct jq_exec_timer, link);
        if (first == NULL || timer->due_ms < first->due_ms) {
            first = timer;
        }
    }
    return first;
}

int64_t jq_exec_loop_deadline_ms(const struct jq_exec_loop *loop) {
    const struct jq_exec_timer *first = earliest(loop);
    return first != NULL ? first->due_ms : INT64_MAX;
}

static void run_timers(struct jq_exec_loop *loop, int64_t now_ms) {
    for (struct jq_exec_timer *timer = earliest(loop); timer != NULL && timer->due_ms <= now_ms;
         timer = earliest(loop)) {
        jq_list_remove(&timer->link);
        timer->on_due(timer, now_ms);
    }
}

void jq_exec_loop_run(struct jq_exec_loop *loop, int64_t now_ms) {
    const int count = epoll_wait(loop->epoll_fd, loop->batch, JQ_EXEC_BATCH_COUNT_MAX, 0);
    loop->batch_count = count > 0 ? count : 0;
    for (int i = 0; i < loop->batch_count; i++) {
        struct jq_exec_watch *watch = loop->batch[i].data.ptr;
        if (watch != NULL) {
            watch->on_ready(watch, loop->batch[i].events, now_ms);
        }
    }
    loop->batch_count = 0;
    run_timers(loop, now_ms);
}
