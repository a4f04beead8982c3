/* A child while it runs, and its end. See child.h. */
#define _GNU_SOURCE
#include "common/clock.h"
#include "worker/exec/internal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

enum { LOOK_MS = 100, PROCS_AGE_MS = 50, REKILL_MS = 10, RETRY_MS_MIN = 1, RETRY_MS_MAX = 100 };

static void sweep(struct jq_exec_child *child, int64_t now_ms);

static int64_t earlier(int64_t left, int64_t right) {
    return left < right ? left : right;
}

void jq_child_plan(struct jq_exec_child *child, int64_t now_ms) {
    int64_t due_ms = INT64_MAX;
    if (child->phase == JQ_CHILD_RUNNING || child->phase == JQ_CHILD_TERMINATING) {
        due_ms = earlier(child->look_at_ms, child->kill_at_ms);
        if (child->hard_limit_ms > 0) {
            due_ms = earlier(due_ms, child->start_ms + child->hard_limit_ms);
        }
        if (child->soft_limit_ms > 0 && child->phase == JQ_CHILD_RUNNING) {
            due_ms = earlier(due_ms, child->start_ms + child->soft_limit_ms);
        }
        due_ms = child->phase == JQ_CHILD_RUNNING ? earlier(due_ms, jq_child_stall_due_ms(child)) : due_ms;
        due_ms = child->warm != NULL ? earlier(due_ms, child->warm->hangup_ms) : due_ms;
    } else if (child->phase == JQ_CHILD_KILLING) {
        due_ms = now_ms + REKILL_MS;
    } else if (child->phase == JQ_CHILD_SWEEPING) {
        due_ms = now_ms + child->retry_ms;
    }
    if (due_ms == INT64_MAX) {
        jq_exec_timer_stop(&child->timer);
    } else {
        jq_exec_timer_set(&child->host->loop, &child->timer, due_ms);
    }
}

/* --- output --------------------------------------------------------------------------------------------------------- */

static bool is_over_output_limit(const struct jq_exec_child *child) {
    const uint64_t total = child->streams[0].tail.total_bytes + child->streams[1].tail.total_bytes;
    return child->output_bytes_max > 0 && total > child->output_bytes_max;
}

static void take_output(struct jq_child_stream *stream, struct jq_bytes bytes) {
    struct jq_buf *head = &stream->child->result;
    if (stream->keeps_head && head->size < head->size_max) {
        const size_t room = head->size_max - head->size;
        jq_buf_append(head, bytes.data, bytes.size < room ? bytes.size : room);
    }
    if (!stream->child->has_reply && stream == &stream->child->streams[1]) {
        jq_exec_progress_feed(&stream->child->progress, bytes);
    }
    jq_exec_tail_feed(&stream->tail, bytes);
    stream->child->stall.heard = true;
}

/* Reads once. False at the end of the stream, or when nothing is there now. */
static bool read_stream(struct jq_child_stream *stream) {
    uint8_t data[32 * 1024];
    const ssize_t size = stream->watch.fd >= 0 ? read(stream->watch.fd, data, sizeof(data)) : 0;
    if (size > 0) {
        take_output(stream, (struct jq_bytes){data, (size_t)size});
        return true;
    }
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        jq_exec_loop_stop(&stream->child->host->loop, &stream->watch);
    }
    return false;
}

void jq_child_on_output(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms) {
    struct jq_child_stream *stream = JQ_CONTAINER_OF(watch, struct jq_child_stream, watch);
    (void)events;
    (void)read_stream(stream);
    if (is_over_output_limit(stream->child)) {
        jq_exec_kill(stream->child, JQ_EXEC_REASON_OUTPUT, 0, now_ms);
    }
}

bool jq_child_read_reply(struct jq_exec_child *child) {
    uint8_t data[32 * 1024];
    const ssize_t size = child->reply_watch.fd >= 0 ? read(child->reply_watch.fd, data, sizeof(data)) : 0;
    if (size > 0) {
        child->stall.heard = true;
        jq_exec_reply_feed(&child->reply, (struct jq_bytes){data, (size_t)size});
        return true;
    }
    if (size == 0 || (errno != EAGAIN && errno != EINTR)) {
        jq_exec_loop_stop(&child->host->loop, &child->reply_watch);
    }
    return false;
}

void jq_child_on_reply(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms) {
    struct jq_exec_child *child = JQ_CONTAINER_OF(watch, struct jq_exec_child, reply_watch);
    (void)events;
    (void)jq_child_read_reply(child);
    if (child->warm != NULL) {
        jq_warm_on_reply(child, now_ms);
    } else if (child->reply.garbled) {
        /* Nothing that it says from now on can be understood. */
        jq_exec_kill(child, JQ_EXEC_REASON_GARBLED, 0, now_ms);
    }
}

/* --- killing -------------------------------------------------------------------------------------------------------- */

static void kill_by_list(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_exec_host *host = child->host;
    if (jq_host_read_procs(host, now_ms, 0)) {
        (void)jq_procs_mark(&host->procs, child->pid, child->marker, host->self);
        jq_procs_signal(&host->procs, SIGKILL);
    }
}

static void kill_tree(struct jq_exec_child *child, int64_t now_ms) {
    if (child->group.made) {
        jq_cgroup_kill(&child->host->cgroups, &child->group);
    } else if (child->pid > 0) {
        kill_by_list(child, now_ms);
    }
    if (!child->gone && child->pid > 0 && !child->adopted) {
        (void)kill(-child->pid, SIGKILL);
    } else if (!child->gone && child->exit_watch.fd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, child->exit_watch.fd, SIGKILL, NULL, 0);
    }
    child->phase = JQ_CHILD_KILLING;
}

/* The number of a process that somebody else reaps may be given away at any time: that one is named by its pidfd. */
static void terminate(const struct jq_exec_child *child) {
    if (!child->adopted) {
        (void)kill(-child->pid, SIGTERM);
    } else if (child->exit_watch.fd >= 0) {
        (void)syscall(SYS_pidfd_send_signal, child->exit_watch.fd, SIGTERM, NULL, 0);
    }
}

static bool has_exited(const struct jq_exec_child *child) {
    if (child->exit_watch.fd >= 0) {
        struct pollfd fd = {.fd = child->exit_watch.fd, .events = POLLIN};
        return poll(&fd, 1, 0) == 1;
    }
    siginfo_t info = {.si_pid = 0};
    return waitid(P_PID, (id_t)child->pid, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid != 0;
}

static void on_gone(struct jq_exec_child *child, int64_t now_ms) {
    const struct jq_cgroups *groups = &child->host->cgroups;
    child->gone = true;
    child->end_ms = now_ms;
    child->phase = JQ_CHILD_SWEEPING;
    child->retry_ms = RETRY_MS_MIN;
    jq_exec_loop_stop(&child->host->loop, &child->exit_watch);
    child->end.oom_killed = jq_cgroup_oom_kills(groups, &child->group) > 0;
    const bool of_others_too = child->warm != NULL && !child->warm->peak_renewed;
    const int64_t peak = of_others_too ? -1 : jq_cgroup_memory_peak(groups, &child->group);
    child->outcome.memory_peak_bytes = peak > 0 ? (uint64_t)peak : 0;
    sweep(child, now_ms);
}

void jq_child_on_exit(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms) {
    struct jq_exec_child *child = JQ_CONTAINER_OF(watch, struct jq_exec_child, exit_watch);
    (void)events;
    if (child->warm != NULL) {
        jq_warm_on_exit(child, now_ms);
    }
    on_gone(child, now_ms);
}

void jq_exec_kill(struct jq_exec_child *child, enum jq_exec_reason reason, int64_t grace_ms, int64_t now_ms) {
    if (child->phase >= JQ_CHILD_SWEEPING) {
        return;
    }
    if (child->phase != JQ_CHILD_WAITING && has_exited(child)) {
        on_gone(child, now_ms);
        return;
    }
    if (child->end.reason == JQ_EXEC_REASON_NONE) {
        child->end.reason = reason;
    }
    child->kill_at_ms = earlier(child->kill_at_ms, now_ms + grace_ms);
    if (child->phase == JQ_CHILD_WAITING) {
        return; /* jq_exec_child_begun() sees the reason */
    }
    if (grace_ms <= 0) {
        kill_tree(child, now_ms);
    } else if (child->phase == JQ_CHILD_RUNNING) {
        terminate(child);
        child->phase = JQ_CHILD_TERMINATING;
    }
    jq_child_plan(child, now_ms);
}

/* --- limits --------------------------------------------------------------------------------------------------------- */

static void look_at_tree(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_exec_host *host = child->host;
    const unsigned controllers = host->cgroups.controllers;
    if ((controllers & JQ_CGROUP_MEMORY) != 0 && jq_cgroup_oom_kills(&host->cgroups, &child->group) > 0) {
        jq_exec_kill(child, JQ_EXEC_REASON_MEMORY, 0, now_ms);
        return;
    }
    const unsigned both = JQ_CGROUP_MEMORY | JQ_CGROUP_PIDS;
    if ((controllers & both) == both || !jq_host_read_procs(host, now_ms, PROCS_AGE_MS)) {
        return;
    }
    const struct jq_procs_tree tree = jq_procs_mark(&host->procs, child->pid, child->marker, host->self);
    child->rss_peak_bytes = tree.rss_bytes > child->rss_peak_bytes ? tree.rss_bytes : child->rss_peak_bytes;
    if ((controllers & JQ_CGROUP_MEMORY) == 0 && child->memory_bytes_max > 0 &&
        tree.rss_bytes > child->memory_bytes_max) {
        jq_exec_kill(child, JQ_EXEC_REASON_MEMORY, 0, now_ms);
    } else if ((controllers & JQ_CGROUP_PIDS) == 0 && child->pids_max > 0 && tree.count > child->pids_max) {
        jq_exec_kill(child, JQ_EXEC_REASON_PIDS, 0, now_ms);
    }
}

static void check_limits(struct jq_exec_child *child, int64_t now_ms) {
    const int64_t age_ms = now_ms - child->start_ms;
    if (child->hard_limit_ms > 0 && age_ms >= child->hard_limit_ms) {
        child->end.term_ignored = child->phase == JQ_CHILD_TERMINATING;
        jq_exec_kill(child, JQ_EXEC_REASON_HARD_LIMIT, 0, now_ms);
        return;
    }
    if (child->warm != NULL && now_ms >= child->warm->hangup_ms) {
        child->warm->hangup_ms = INT64_MAX;
        jq_exec_kill(child, JQ_EXEC_REASON_GARBLED, 0, now_ms);
        return;
    }
    if (child->phase == JQ_CHILD_TERMINATING && now_ms >= child->kill_at_ms) {
        child->end.term_ignored = true;
        jq_exec_kill(child, child->end.reason, 0, now_ms);
        return;
    }
    if (child->phase == JQ_CHILD_RUNNING && child->soft_limit_ms > 0 && age_ms >= child->soft_limit_ms) {
        const int64_t rest_ms = child->hard_limit_ms > 0 ? child->hard_limit_ms - age_ms : child->grace_ms;
        jq_exec_kill(child, JQ_EXEC_REASON_SOFT_LIMIT, rest_ms, now_ms);
    }
    if (child->phase == JQ_CHILD_RUNNING && jq_child_stalled(child, now_ms)) {
        jq_exec_kill(child, JQ_EXEC_REASON_STALL, child->grace_ms, now_ms);
    }
    if (child->phase <= JQ_CHILD_TERMINATING && now_ms >= child->look_at_ms) {
        child->look_at_ms = now_ms + LOOK_MS;
        look_at_tree(child, now_ms);
    }
}

void jq_child_on_due(struct jq_exec_timer *timer, int64_t now_ms) {
    struct jq_exec_child *child = JQ_CONTAINER_OF(timer, struct jq_exec_child, timer);
    if (child->phase == JQ_CHILD_SWEEPING) {
        sweep(child, now_ms);
        return;
    }
    if (child->phase == JQ_CHILD_KILLING) {
        if (has_exited(child)) {
            on_gone(child, now_ms);
            return;
        }
        kill_tree(child, now_ms);
    } else {
        check_limits(child, now_ms);
    }
    if (child->phase < JQ_CHILD_SWEEPING) {
        jq_child_plan(child, now_ms);
    }
}

/* --- the end -------------------------------------------------------------------------------------------------------- */

/* No process of the tree is left, but perhaps the first one as a zombie. Kills what is. */
static bool is_tree_empty(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_exec_host *host = child->host;
    if (child->group.made) {
        if (jq_cgroup_slots_give(&host->slots, &host->cgroups, &child->group)) {
            (void)jq_host_reap_orphans(host, now_ms);
            return true;
        }
        jq_cgroup_kill(&host->cgroups, &child->group);
        (void)jq_host_reap_orphans(host, now_ms);
        return false;
    }
    if (host->cgroups.count > 0 || child->pid <= 0 || !jq_host_reap_orphans(host, now_ms)) {
        return true;
    }
    if (!jq_host_read_procs(host, now_ms, 0)) {
        return true;
    }
    const struct jq_procs_tree tree = jq_procs_mark(&host->procs, child->pid, child->marker, host->self);
    jq_procs_signal(&host->procs, SIGKILL);
    if (tree.count > 0 || tree.dying_count > 0) {
        return false;
    }
    (void)jq_host_reap_orphans(host, now_ms);
    return true;
}

/* Without cgroups the zombie keeps its number from being given away until its tree is empty; hence so late. */
static void reap(struct jq_exec_child *child) {
    if (child->adopted || child->status_known) {
        return;
    }
    const pid_t reaped = wait4(child->pid, &child->wait_status, WNOHANG, &child->usage);
    child->status_known = true;
    if (reaped == child->pid) {
        child->end.exited = WIFEXITED(child->wait_status);
        child->end.signaled = WIFSIGNALED(child->wait_status);
        child->end.code = child->end.exited ? WEXITSTATUS(child->wait_status) : WTERMSIG(child->wait_status);
    }
}

static int64_t cpu_ms_of(const struct rusage *usage) {
    return (int64_t)(usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000 +
           (int64_t)(usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) / 1000;
}

static void fill_result(struct jq_exec_child *child) {
    struct jq_exec_outcome *outcome = &child->outcome;
    if (child->has_reply) {
        child->end.has_result = child->reply.has_result;
        child->end.result_too_big = child->reply.result_too_big;
        child->end.garbled_reply = child->reply.garbled;
        child->end.reported = child->reply.error;
        outcome->result = jq_buf_bytes(&child->reply.result);
        return;
    }
    if (!jq_child_take_result_file(child)) {
        outcome->output_truncated = child->streams[0].tail.total_bytes > child->result.size;
    }
    outcome->result = jq_buf_bytes(&child->result);
}

static void fill_verdict(struct jq_exec_child *child) {
    struct jq_exec_outcome *outcome = &child->outcome;
    outcome->verdict = jq_exec_judge(&child->end);
    const bool own_end = child->end.exited && child->end.reason == JQ_EXEC_REASON_NONE;
    if (child->lost && !own_end && child->end.reason != JQ_EXEC_REASON_CANCEL) {
        outcome->verdict = (struct jq_exec_verdict){.outcome = JQ_OUTCOME_RESOURCE_EXHAUSTED};
        (void)snprintf(outcome->verdict.cause, sizeof(outcome->verdict.cause), "%s", child->lost_why);
    }
    if (child->end.garbled_reply && outcome->verdict.outcome != JQ_OUTCOME_CANCELLED) {
        (void)snprintf(outcome->message, sizeof(outcome->message), "garbled reply: %s", child->reply.garbled_why);
    } else if (outcome->verdict.outcome == child->reply.error && child->reply.error != JQ_OUTCOME_NONE) {
        (void)snprintf(outcome->message, sizeof(outcome->message), "%.255s", child->reply.message);
        (void)snprintf(outcome->service, sizeof(outcome->service), "%s", child->reply.service);
    } else {
        (void)snprintf(outcome->message, sizeof(outcome->message), "%s", outcome->verdict.cause);
    }
}

void jq_child_fill_outcome(struct jq_exec_child *child) {
    struct jq_exec_outcome *outcome = &child->outcome;
    fill_result(child);
    outcome->end = child->end;
    outcome->stdout_tail = jq_exec_tail_bytes(&child->streams[0].tail);
    outcome->stderr_tail = jq_exec_tail_bytes(&child->streams[1].tail);
    outcome->stdout_bytes = child->streams[0].tail.total_bytes;
    outcome->stderr_bytes = child->streams[1].tail.total_bytes;
    outcome->duration_ms = child->end_ms - child->start_ms;
    outcome->cpu_ms = cpu_ms_of(&child->usage);
    if (outcome->memory_peak_bytes == 0) {
        const uint64_t largest = (uint64_t)child->usage.ru_maxrss * 1024;
        outcome->memory_peak_bytes = largest > child->rss_peak_bytes ? largest : child->rss_peak_bytes;
    }
    fill_verdict(child);
    outcome->end = child->end;
}

/* What still lies in the pipes: all writers are dead, so this ends. Somebody outside the tree may hold a copy: so there is a bound. */
void jq_child_drain(struct jq_exec_child *child) {
    enum { READS_MAX = 64 };
    for (int i = 0; i < READS_MAX && (read_stream(&child->streams[0]) || read_stream(&child->streams[1])); i++) {
    }
}

static void drain_reply(struct jq_exec_child *child) {
    enum { READS_MAX = 64 };
    for (int i = 0; i < READS_MAX && child->has_reply && jq_child_read_reply(child); i++) {
    }
    jq_exec_reply_end(&child->reply);
}

static void finish(struct jq_exec_child *child) {
    struct jq_exec_host *host = child->host;
    const bool settled = child->warm != NULL && !child->warm->in_turn && !jq_list_empty(&child->warm->turned);
    if (!settled) { /* else its outcome is the one of a task that has not been told yet */
        jq_child_drain(child);
        drain_reply(child);
        jq_child_fill_outcome(child);
    }
    jq_child_stop_watching(child);
    child->phase = JQ_CHILD_DONE;
    jq_child_remove_files(child);
    jq_list_remove(&child->link);
    jq_list_push_back(&host->done, &child->link);
}

static void sweep(struct jq_exec_child *child, int64_t now_ms) {
    if (child->group.made) {
        reap(child);
    }
    const bool is_empty = is_tree_empty(child, now_ms);
    if (is_empty) {
        reap(child);
    }
    if (is_empty && child->status_known) {
        jq_exec_timer_stop(&child->timer);
        finish(child);
        return;
    }
    jq_child_plan(child, now_ms);
    child->retry_ms = earlier(child->retry_ms * 2, RETRY_MS_MAX);
}

/* --- children of a zygote ------------------------------------------------------------------------------------------- */

void jq_exec_child_begun(struct jq_exec_child *child, pid_t pid, int pidfd, int64_t now_ms) {
    JQ_CHECK(child->adopted && child->phase == JQ_CHILD_WAITING);
    struct jq_exec_loop *loop = &child->host->loop;
    const int fd = pidfd >= 0 ? pidfd : (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0 && jq_exec_loop_watch(loop, &child->exit_watch, fd, EPOLLIN, NULL) != JQ_OK) {
        (void)close(fd);
    }
    jq_child_set_running(child, pid, now_ms);
    if (child->end.reason != JQ_EXEC_REASON_NONE) {
        jq_exec_kill(child, child->end.reason, 0, now_ms);
    }
}

void jq_exec_child_ended(struct jq_exec_child *child, int wait_status, const struct rusage *usage, int64_t now_ms) {
    if (child->status_known || child->phase == JQ_CHILD_DONE) {
        return;
    }
    child->status_known = true;
    child->end.exited = WIFEXITED(wait_status);
    child->end.signaled = WIFSIGNALED(wait_status);
    child->end.code = child->end.exited ? WEXITSTATUS(wait_status) : WTERMSIG(wait_status);
    if (usage != NULL) {
        child->usage = *usage;
    }
    if (child->phase == JQ_CHILD_SWEEPING) {
        sweep(child, now_ms);
    } else {
        on_gone(child, now_ms);
    }
}

void jq_exec_child_orphaned(struct jq_exec_child *child, const char *why, int64_t now_ms) {
    if (child->status_known || child->phase == JQ_CHILD_DONE) {
        return;
    }
    child->lost = true;
    (void)snprintf(child->lost_why, sizeof(child->lost_why), "%.95s", why);
    if (child->phase == JQ_CHILD_WAITING) {
        /* Nothing says that it was not forked in the last moment: its cgroup does, or nothing can. */
        child->status_known = true;
        on_gone(child, now_ms);
        return;
    }
    /* Its parent is gone: we, as the subreaper, are the next, and get its status. */
    child->adopted = false;
    if (child->phase == JQ_CHILD_SWEEPING) {
        sweep(child, now_ms);
    } else {
        jq_exec_kill(child, JQ_EXEC_REASON_DRAIN, 0, now_ms);
    }
}

/* --- what the caller asks ------------------------------------------------------------------------------------------- */

const struct jq_exec_outcome *jq_exec_child_outcome(const struct jq_exec_child *child) {
    return &child->outcome;
}

void *jq_exec_child_owner(const struct jq_exec_child *child) {
    return child->owner;
}

void jq_exec_child_set_owner(struct jq_exec_child *child, void *owner) {
    child->owner = owner;
}

pid_t jq_exec_child_pid(const struct jq_exec_child *child) {
    return child->pid;
}

int32_t jq_exec_child_progress(const struct jq_exec_child *child, const char **ret_text) {
    *ret_text = child->has_reply ? child->reply.progress_text : child->progress.text;
    return child->has_reply ? child->reply.progress_permille : child->progress.told ? child->progress.permille : -1;
}

struct jq_bytes jq_exec_child_output(const struct jq_exec_child *child, int stream, uint64_t *ret_total) {
    *ret_total = child->streams[stream].tail.total_bytes;
    return jq_exec_tail_bytes(&child->streams[stream].tail);
}

void jq_exec_child_free(struct jq_exec_child *child) {
    if (child == NULL) {
        return;
    }
    if (child->phase != JQ_CHILD_DONE && child->phase != JQ_CHILD_WAITING) {
        kill_tree(child, jq_clock_boot_ms());
    }
    jq_child_discard(child);
}
