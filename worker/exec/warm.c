#define _GNU_SOURCE
#include "worker/exec/warm.h"

#include "common/clock.h"
#include "worker/exec/internal.h"
#include "worker/exec/sysfile.h"
#include "worker/exec/workdir.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* Between the end of its channel and its own: the kernel closes what it held before it tells that it has gone. */
enum { HANGUP_MS = 1000 };

/* --- making it ------------------------------------------------------------------------------------------------------ */

static void on_writable(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms);

enum jq_err jq_warm_new(struct jq_exec_child *child, const struct jq_exec_spec *spec, struct jq_error *reterr) {
    struct jq_child_warm *warm = calloc(1, sizeof(*warm));
    if (warm == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "warm process");
    }
    jq_list_init(&warm->turned);
    warm->child = child;
    warm->on_turn = spec->on_turn;
    warm->hangup_ms = INT64_MAX;
    warm->write_watch = (struct jq_exec_watch){.fd = -1, .on_ready = on_writable};
    jq_buf_init(&warm->words, JQ_EXEC_REPLY_SIZE_MAX);
    child->reply.takes_ready = true;
    child->warm = warm;
    return JQ_OK;
}

void jq_warm_stop_watching(struct jq_exec_child *child) {
    if (child->warm != NULL) {
        jq_exec_loop_stop(&child->host->loop, &child->warm->write_watch);
    }
}

void jq_warm_free(struct jq_exec_child *child) {
    if (child->warm != NULL) {
        jq_list_remove(&child->warm->turned);
        jq_buf_fini(&child->warm->words);
        free(child->warm);
        child->warm = NULL;
    }
}

/* --- what is said to it --------------------------------------------------------------------------------------------- */

/* Sends what it takes now. False when the rest has to wait for room. */
static bool send_words(struct jq_exec_child *child) {
    struct jq_child_warm *warm = child->warm;
    while (warm->sent < warm->words.size && child->reply_watch.fd >= 0) {
        const ssize_t size = send(child->reply_watch.fd, warm->words.data + warm->sent, warm->words.size - warm->sent,
                                  MSG_NOSIGNAL | MSG_DONTWAIT);
        if (size < 0 && errno == EINTR) {
            continue;
        }
        if (size < 0 && errno == EAGAIN) {
            return false;
        }
        if (size < 0) {
            break; /* its end is seen elsewhere */
        }
        warm->sent += (size_t)size;
    }
    jq_buf_clear(&warm->words);
    warm->sent = 0;
    return true;
}

static void on_writable(struct jq_exec_watch *watch, uint32_t events, int64_t now_ms) {
    struct jq_child_warm *warm = JQ_CONTAINER_OF(watch, struct jq_child_warm, write_watch);
    (void)events;
    (void)now_ms;
    struct jq_exec_child *child = warm->child;
    if (send_words(child)) {
        jq_exec_loop_stop(&child->host->loop, watch);
    }
}

static bool send_or_wait(struct jq_exec_child *child) {
    struct jq_child_warm *warm = child->warm;
    if (send_words(child)) {
        return true;
    }
    /* A watch of its own, hence a descriptor of its own: it is there only while the socket is full. */
    const int fd = fcntl(child->reply_watch.fd, F_DUPFD_CLOEXEC, 0);
    if (fd >= 0 && jq_exec_loop_watch(&child->host->loop, &warm->write_watch, fd, EPOLLOUT, NULL) == JQ_OK) {
        return true;
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return false;
}

bool jq_exec_warm_say(struct jq_exec_child *child, struct jq_bytes bytes) {
    struct jq_child_warm *warm = child->warm;
    jq_buf_append(&warm->words, bytes.data, bytes.size);
    if (warm->words.failed) {
        return false;
    }
    return !warm->was_ready || warm->write_watch.fd >= 0 || send_or_wait(child);
}

/* --- what it says --------------------------------------------------------------------------------------------------- */

static unsigned count_processes(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_exec_host *host = child->host;
    if (child->group.made) {
        const long count = jq_cgroup_process_count(&host->cgroups, &child->group);
        return count > 0 ? (unsigned)count : 0;
    }
    if (!jq_host_read_procs(host, now_ms, 0)) {
        return 0;
    }
    return jq_procs_mark(&host->procs, child->pid, child->marker, host->self).count;
}

/* What stands in its work dir beside the folder of the present task; counted no further than `most`. */
static unsigned count_entries(const struct jq_exec_child *child, unsigned most) {
    return jq_workdir_count(child->work.fd, child->warm->turn_name, most);
}

static void tell(struct jq_exec_child *child) {
    if (jq_list_empty(&child->warm->turned)) {
        jq_list_push_back(&child->host->turned, &child->warm->turned);
    }
}

/* Its word about the task is complete: judged as if it had ended by exit 0. */
static void settle(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_child_warm *warm = child->warm;
    jq_child_drain(child);
    warm->in_turn = false;
    child->end_ms = now_ms;
    child->end.exited = true;
    child->end.oom_killed = jq_cgroup_oom_kills(&child->host->cgroups, &child->group) > 0;
    const uint64_t rss_bytes = jq_exec_warm_rss(child);
    const int64_t peak = warm->peak_renewed ? jq_cgroup_memory_peak(&child->host->cgroups, &child->group) : -1;
    child->rss_peak_bytes = rss_bytes > child->rss_peak_bytes ? rss_bytes : child->rss_peak_bytes;
    child->outcome.memory_peak_bytes = peak > 0 ? (uint64_t)peak : child->rss_peak_bytes;
    jq_child_fill_outcome(child);
    child->outcome.cpu_ms = jq_clock_cpu_ms(child->pid) - warm->cpu_begin_ms;
    child->soft_limit_ms = 0;
    child->hard_limit_ms = 0;
    jq_child_stall_from(child, 0, now_ms);
    child->look_at_ms = INT64_MAX;
    jq_child_plan(child, now_ms);
    tell(child);
}

static void take_ready(struct jq_exec_child *child, int64_t now_ms) {
    if (child->reply.ready && !child->warm->was_ready) {
        child->warm->was_ready = true;
        child->warm->process_count = count_processes(child, now_ms);
        child->warm->entry_count = count_entries(child, UINT_MAX);
        (void)send_or_wait(child); /* not before it was counted: from now on what is there is the task's */
        tell(child);
    }
}

void jq_warm_on_reply(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_child_warm *warm = child->warm;
    if (child->phase != JQ_CHILD_RUNNING) {
        return; /* it is being ended: what it says now changes nothing before its end */
    }
    if (child->reply_watch.fd < 0 && warm->hangup_ms == INT64_MAX) {
        warm->hangup_ms = now_ms + HANGUP_MS;
        jq_child_plan(child, now_ms);
    }
    if (child->reply.garbled || (!warm->in_turn && jq_exec_reply_spoke(&child->reply))) {
        jq_exec_kill(child, JQ_EXEC_REASON_GARBLED, 0, now_ms);
        return;
    }
    take_ready(child, now_ms);
    if (warm->in_turn && jq_exec_reply_has_word(&child->reply)) {
        settle(child, now_ms);
    }
}

void jq_warm_on_exit(struct jq_exec_child *child, int64_t now_ms) {
    enum { READS_MAX = 64 };
    for (int i = 0; i < READS_MAX && jq_child_read_reply(child); i++) {
    }
    const bool by_itself = child->end.reason == JQ_EXEC_REASON_NONE && !child->reply.garbled;
    if (child->warm->in_turn && by_itself && jq_exec_reply_has_word(&child->reply)) {
        settle(child, now_ms);
    }
}

void jq_warm_tell(struct jq_exec_host *host, int64_t now_ms) {
    while (!jq_list_empty(&host->turned)) {
        struct jq_list *link = host->turned.next;
        struct jq_child_warm *warm = JQ_CONTAINER_OF(link, struct jq_child_warm, turned);
        jq_list_remove(link);
        if (warm->on_turn != NULL) {
            warm->on_turn(warm->child, now_ms);
        }
    }
}

/* --- turns ---------------------------------------------------------------------------------------------------------- */

static enum jq_err make_folder(struct jq_exec_child *child, const struct jq_exec_turn *turn, struct jq_error *reterr) {
    const struct jq_child_warm *warm = child->warm;
    int fd = -1;
    const struct jq_workdir_owner *owner = &child->work.owner;
    enum jq_err err = jq_workdir_make(child->work.fd, warm->turn_name, owner, &fd, reterr);
    if (err == JQ_OK && turn->parents.size > 0) {
        err = jq_child_write_file(fd, JQ_EXEC_PARENTS_FILE, turn->parents, owner, reterr);
    }
    if (err == JQ_OK && turn->inputs_dir != NULL && renameat(AT_FDCWD, turn->inputs_dir, fd, JQ_EXEC_INPUTS_DIR) != 0) {
        err = jq_fail_errno(reterr, errno, "inputs of task %s", warm->turn_name);
    }
    if (fd >= 0) {
        (void)close(fd);
    }
    return err;
}

static enum jq_err set_limits(struct jq_exec_child *child, const struct jq_exec_turn *turn, struct jq_error *reterr) {
    const struct jq_cgroup_limits limits = {.memory_bytes_max = turn->memory_bytes_max,
                                            .cpu_milli_max = turn->cpu_milli_max};
    child->memory_bytes_max = turn->memory_bytes_max;
    child->group.reusable = false; /* it no longer has the limits that it was made with */
    return jq_cgroup_set(&child->host->cgroups, &child->group, &limits)
               ? JQ_OK
               : jq_fail(reterr, JQ_ERR_BUSY, "warm process %s: holds more memory than the task may use", child->name);
}

static void renew(struct jq_exec_child *child) {
    child->end = (struct jq_exec_end){.needs_result = true};
    child->outcome = (struct jq_exec_outcome){.output_truncated = false};
    child->rss_peak_bytes = 0;
    jq_buf_clear(&child->result);
    jq_exec_reply_renew(&child->reply);
    for (size_t i = 0; i < 2; i++) {
        jq_exec_tail_renew(&child->streams[i].tail);
    }
}

enum jq_err jq_exec_turn_begin(struct jq_exec_child *child, const struct jq_exec_turn *turn, int64_t now_ms,
                               struct jq_error *reterr) {
    struct jq_child_warm *warm = child->warm;
    char id[JQ_TASK_ID_TEXT_SIZE];
    JQ_CHECK(jq_exec_warm_rests(child));
    (void)snprintf(warm->turn_name, sizeof(warm->turn_name), "%s.%u", jq_text_format_task_id(turn->task, id),
                   turn->attempt);
    enum jq_err err = set_limits(child, turn, reterr); /* first: where it fails, another process takes the task */
    err = err == JQ_OK ? make_folder(child, turn, reterr) : err;
    if (err != JQ_OK) {
        return err;
    }
    if (warm->was_ready) {
        jq_child_drain(child); /* what it printed before is nobody's */
    }
    renew(child);
    (void)jq_text_format_task_id(turn->task, child->reply.task);
    warm->peak_renewed = jq_cgroup_renew_peak(&child->host->cgroups, &child->group);
    warm->in_turn = true;
    warm->cpu_begin_ms = jq_clock_cpu_ms(child->pid);
    child->output_bytes_max = turn->output_bytes_max;
    child->soft_limit_ms = turn->soft_limit_ms;
    child->hard_limit_ms = turn->hard_limit_ms;
    child->grace_ms = turn->grace_ms;
    child->start_ms = now_ms;
    jq_child_look_from(child, now_ms);
    jq_child_stall_from(child, turn->stall_ms, now_ms);
    jq_child_plan(child, now_ms);
    return JQ_OK;
}

void jq_exec_turn_folder(const struct jq_exec_child *child, char *ret_path, size_t size) {
    (void)snprintf(ret_path, size, "%s/%s", child->work_path, child->warm->turn_name);
}

bool jq_exec_turn_end(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_child_warm *warm = child->warm;
    if (!jq_exec_warm_rests(child) || child->end.oom_killed) {
        return false;
    }
    const bool removed = jq_remover_take(&child->host->remover, child->host->work_fd, child->work.fd, warm->turn_name);
    /* More bytes behind the result are words out of turn. */
    const bool quiet = !child->reply.beyond && !child->reply.garbled;
    jq_exec_reply_renew(&child->reply);
    const bool tidy = count_entries(child, warm->entry_count + 1) <= warm->entry_count;
    return removed && tidy && quiet && count_processes(child, now_ms) <= warm->process_count;
}

bool jq_exec_warm_ready(const struct jq_exec_child *child) {
    return child->warm->was_ready;
}

bool jq_exec_warm_in_turn(const struct jq_exec_child *child) {
    return child->warm->in_turn;
}

bool jq_exec_warm_rests(const struct jq_exec_child *child) {
    return child->phase == JQ_CHILD_RUNNING && !child->warm->in_turn && child->end.reason == JQ_EXEC_REASON_NONE &&
           child->warm->hangup_ms == INT64_MAX;
}

uint64_t jq_exec_warm_rss(const struct jq_exec_child *child) {
    char path[48];
    char text[64];
    char *end = NULL;
    (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)child->pid);
    if (jq_sysfile_read(AT_FDCWD, path, text, sizeof(text)) <= 0) {
        return 0;
    }
    (void)strtoull(text, &end, 10);
    return strtoull(end, NULL, 10) * (uint64_t)sysconf(_SC_PAGESIZE);
}
