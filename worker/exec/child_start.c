/* Starting a child: everything between the spec and the running process. See child.h. */
#define _GNU_SOURCE
#include "worker/exec/argv.h"
#include "worker/exec/internal.h"
#include "worker/exec/sysfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Ours come first; a name that the spec gives too is left to the spec, and of two that it gives the last counts. */
enum { OWN_ENV_COUNT = 9, ENV_TEXT_SIZE = PATH_MAX + 64, OOM_SCORE_ADJ = 500, WATCH_MS = 100 };

/* Seconds of cpu time above which RLIMIT_CPU ends what neither we nor the hard limit could: cpus * hard limit, and some. */
enum { CPU_SECONDS_EXTRA = 60 };

static const char *const fd_purposes[] = {"reply channel", "payload", "stdout", "stderr"};
enum { FD_REPLY, FD_STDIN, FD_STDOUT, FD_STDERR, FD_JOIN };

static void close_handover(struct jq_exec_child *child) {
    for (unsigned i = 0; i < child->handover_count; i++) {
        const bool borrowed = i >= FD_JOIN && i < FD_JOIN + child->join_count;
        if (!borrowed && child->handover_fds[i] >= 0 && child->handover_fds[i] != child->host->null_fd) {
            (void)close(child->handover_fds[i]);
        }
    }
    child->handover_count = 0;
}

void jq_child_stop_watching(struct jq_exec_child *child) {
    struct jq_exec_loop *loop = &child->host->loop;
    jq_exec_timer_stop(&child->timer);
    jq_exec_loop_stop(loop, &child->exit_watch);
    jq_exec_loop_stop(loop, &child->reply_watch);
    jq_warm_stop_watching(child);
    for (size_t i = 0; i < 2; i++) {
        jq_exec_loop_stop(loop, &child->streams[i].watch);
    }
    close_handover(child);
}

void jq_child_discard(struct jq_exec_child *child) {
    struct jq_exec_host *host = child->host;
    jq_child_stop_watching(child);
    (void)jq_cgroup_slots_give(&host->slots, &host->cgroups, &child->group);
    jq_cgroup_release(&child->group);
    jq_child_remove_files(child);
    jq_exec_reply_fini(&child->reply);
    jq_buf_fini(&child->result);
    jq_buf_fini(&child->streams[0].tail.kept);
    jq_buf_fini(&child->streams[1].tail.kept);
    jq_warm_free(child);
    jq_list_remove(&child->link);
    host->count--;
    free(child);
}

static void set_name(struct jq_exec_child *child, const struct jq_exec_spec *spec) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    if (spec->label != NULL) {
        (void)snprintf(child->name, sizeof(child->name), "%.40s", spec->label);
    } else {
        (void)snprintf(child->name, sizeof(child->name), "%s.%u", jq_text_format_task_id(spec->task, id),
                       spec->attempt);
    }
    (void)snprintf(child->marker, sizeof(child->marker), "JQ_CHILD=%s.%s", child->host->marker_seed, child->name);
    (void)snprintf(child->work_path, sizeof(child->work_path), "%.4000s/%s", child->host->work_path, child->name);
}

static struct jq_exec_child *child_new(struct jq_exec_host *host, const struct jq_exec_spec *spec) {
    struct jq_exec_child *child = calloc(1, sizeof(*child));
    if (child == NULL) {
        return NULL;
    }
    child->host = host;
    child->record_fd = -1;
    child->owner = spec->owner;
    child->on_done = spec->on_done;
    child->memory_bytes_max = spec->memory_bytes_max;
    child->pids_max = spec->pids_max;
    child->output_bytes_max = spec->output_bytes_max;
    child->soft_limit_ms = spec->soft_limit_ms;
    child->hard_limit_ms = spec->hard_limit_ms;
    child->grace_ms = spec->grace_ms;
    child->stall.limit_ms = spec->warm ? 0 : spec->stall_ms;
    child->kill_at_ms = INT64_MAX;
    child->look_at_ms = INT64_MAX;
    child->result_file = "result";
    child->has_reply = spec->reply;
    child->end.needs_result = spec->reply;
    child->exit_watch = (struct jq_exec_watch){.fd = -1, .on_ready = jq_child_on_exit};
    child->reply_watch = (struct jq_exec_watch){.fd = -1, .on_ready = jq_child_on_reply};
    for (size_t i = 0; i < 2; i++) {
        child->streams[i].watch = (struct jq_exec_watch){.fd = -1, .on_ready = jq_child_on_output};
        child->streams[i].child = child;
        jq_exec_tail_init(&child->streams[i].tail);
        child->streams[i].keeps_head = i == 0 && !spec->reply;
    }
    child->group = JQ_CGROUP_NONE;
    child->work.fd = -1;
    child->timer.on_due = jq_child_on_due;
    jq_list_init(&child->timer.link);
    jq_exec_reply_init(&child->reply, JQ_EXEC_REPLY_SIZE_MAX);
    jq_buf_init(&child->result, JQ_PAYLOAD_SIZE_MAX);
    set_name(child, spec);
    jq_list_push_back(&host->children, &child->link);
    host->count++;
    return child;
}

/* A file in memory: no pipe to be kept filled, and the handler may seek in it. */
static int open_payload(const struct jq_exec_host *host, struct jq_bytes payload) {
    if (payload.size == 0) {
        return host->null_fd;
    }
    const int fd = memfd_create("payload", MFD_CLOEXEC);
    if (fd >= 0 && (!jq_sysfile_write_all(fd, payload.data, payload.size) || lseek(fd, 0, SEEK_SET) != 0)) {
        (void)close(fd);
        return -1;
    }
    return fd;
}

/* Makes a pipe, watches our end, returns theirs. Only ours is non-blocking: the flag belongs to the open file, not to the pipe. */
static int open_pipe(struct jq_exec_host *host, struct jq_exec_watch *watch, bool both_ways) {
    int fds[2];
    if ((both_ways ? socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) : pipe2(fds, O_CLOEXEC)) != 0) {
        return -1;
    }
    if (fcntl(fds[0], F_SETFL, O_NONBLOCK) != 0 ||
        jq_exec_loop_watch(&host->loop, watch, fds[0], EPOLLIN, NULL) != JQ_OK) {
        (void)close(fds[0]);
        (void)close(fds[1]);
        return -1;
    }
    return fds[1];
}

static enum jq_err open_channels(struct jq_exec_child *child, const struct jq_exec_spec *spec,
                                 struct jq_error *reterr) {
    struct jq_exec_host *host = child->host;
    for (unsigned i = FD_REPLY; i <= FD_STDERR; i++) {
        int fd = host->null_fd;
        if (i == FD_STDIN) {
            fd = open_payload(host, spec->payload);
        } else if (i == FD_REPLY) {
            fd = spec->reply ? open_pipe(host, &child->reply_watch, spec->warm) : fd;
        } else {
            fd = open_pipe(host, &child->streams[i - FD_STDOUT].watch, false);
        }
        if (fd < 0) {
            return jq_fail_errno(reterr, errno, "%s of task %s", fd_purposes[i], child->name);
        }
        child->handover_fds[child->handover_count++] = fd;
    }
    return JQ_OK;
}

static enum jq_err make_group(struct jq_exec_child *child, const struct jq_exec_spec *spec, struct jq_error *reterr) {
    const struct jq_cgroup_limits limits = {
        .memory_bytes_max = spec->memory_bytes_max,
        .pids_max = spec->pids_max,
        .cpu_milli_max = spec->cpu_milli_max,
    };
    const struct jq_cgroups *groups = &child->host->cgroups;
    /* As root, or as our own user where no sandbox holds it, it may do to its cgroup what it likes. */
    const bool single = !spec->switch_user && (child->host->root || child->host->sandbox == NULL);
    const enum jq_err err = jq_cgroup_slots_take(&child->host->slots, groups, &limits, single, &child->group, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const int joined = jq_cgroup_join_fds(groups, &child->group, spec->argv == NULL, &child->handover_fds[FD_JOIN]);
    if (joined < 0) {
        return jq_fail_errno(reterr, errno, "cgroup of task %s", child->name);
    }
    child->join_count = (unsigned)joined;
    child->handover_count += child->join_count;
    return JQ_OK;
}

enum jq_err jq_child_write_file(int work_fd, const char *name, struct jq_bytes bytes,
                                const struct jq_workdir_owner *owner, struct jq_error *reterr) {
    const int fd = openat(work_fd, name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return jq_fail_errno(reterr, errno, "%s", name);
    }
    const bool done =
        jq_sysfile_write_all(fd, bytes.data, bytes.size) && (!owner->other || fchown(fd, owner->uid, owner->gid) == 0);
    const int write_errno = errno;
    (void)close(fd);
    return done ? JQ_OK : jq_fail_errno(reterr, write_errno, "%s", name);
}

static enum jq_err write_file(const struct jq_exec_child *child, const char *name, struct jq_bytes bytes,
                              struct jq_error *reterr) {
    return jq_child_write_file(child->work.fd, name, bytes, &child->work.owner, reterr);
}

static enum jq_err make_work_dir(struct jq_exec_child *child, const struct jq_exec_spec *spec,
                                 struct jq_error *reterr) {
    struct jq_exec_host *host = child->host;
    const struct jq_workdir_owner owner = {.other = spec->switch_user, .uid = spec->uid, .gid = spec->gid};
    enum jq_err err = jq_workdir_slots_take(&host->work_dirs, host->work_fd, child->name, &owner, &child->work, reterr);
    if (err == JQ_OK && spec->parents.size > 0) {
        err = write_file(child, JQ_EXEC_PARENTS_FILE, spec->parents, reterr);
    }
    if (err == JQ_OK && spec->inputs_dir != NULL &&
        renameat(AT_FDCWD, spec->inputs_dir, child->work.fd, JQ_EXEC_INPUTS_DIR) != 0) {
        err = jq_fail_errno(reterr, errno, "inputs of task %s", child->name);
    }
    return err;
}

static enum jq_err set_up(struct jq_exec_host *host, const struct jq_exec_spec *spec, struct jq_exec_child **ret_child,
                          struct jq_error *reterr) {
    if (host->count >= host->count_max) {
        return jq_fail(reterr, JQ_ERR_BUSY, "%zu children run already", host->count);
    }
    struct jq_exec_child *child = child_new(host, spec);
    if (child == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "task");
    }
    enum jq_err err = make_work_dir(child, spec, reterr);
    if (err == JQ_OK && spec->warm) {
        err = jq_warm_new(child, spec, reterr);
    }
    if (err == JQ_OK) {
        err = open_channels(child, spec, reterr);
    }
    if (err == JQ_OK) {
        err = make_group(child, spec, reterr);
    }
    if (err != JQ_OK) {
        jq_child_discard(child);
        return err;
    }
    *ret_child = child;
    return JQ_OK;
}

/* --- the environment ------------------------------------------------------------------------------------------------ */

struct environment {
    char texts[OWN_ENV_COUNT][ENV_TEXT_SIZE];
    const char *vars[OWN_ENV_COUNT + JQ_EXEC_ENV_COUNT_MAX + 1];
    size_t count;
};

static bool names_same(const char *left, const char *right) {
    const size_t size = strcspn(left, "=");
    return strncmp(left, right, size + 1) == 0;
}

static bool stands_in(const char *const *vars, const char *text) {
    for (; vars != NULL && *vars != NULL; vars++) {
        if (names_same(text, *vars)) {
            return true;
        }
    }
    return false;
}

static void add_own(struct environment *env, const struct jq_exec_spec *spec, const char *name, const char *value) {
    char *text = env->texts[env->count];
    (void)snprintf(text, ENV_TEXT_SIZE, "%s=%s", name, value);
    if (!stands_in(spec->env, text)) {
        env->vars[env->count++] = text;
    }
}

static enum jq_err build_env(struct environment *env, const struct jq_exec_child *child,
                             const struct jq_exec_spec *spec, struct jq_error *reterr) {
    char attempt[16];
    char id[JQ_TASK_ID_TEXT_SIZE];
    char result[PATH_MAX + 16];
    const char *path = getenv("PATH");
    (void)snprintf(attempt, sizeof(attempt), "%u", spec->attempt);
    (void)snprintf(result, sizeof(result), "%s/result", child->work_path);
    env->count = 0;
    add_own(env, spec, "JQ_CHILD", child->marker + sizeof("JQ_CHILD=") - 1);
    if (!spec->warm) {
        add_own(env, spec, "JQ_TASK", jq_text_format_task_id(spec->task, id));
        add_own(env, spec, "JQ_ATTEMPT", attempt);
        add_own(env, spec, "JQ_RESULT", result);
    }
    add_own(env, spec, "JQ_WORK_DIR", child->work_path);
    add_own(env, spec, "TMPDIR", child->work_path);
    add_own(env, spec, "HOME", child->work_path);
    add_own(env, spec, "PATH", path != NULL && strlen(path) < PATH_MAX ? path : JQ_TASK_PATH);
    add_own(env, spec, "LANG", "C.UTF-8");
    for (size_t i = 0; spec->env != NULL && spec->env[i] != NULL; i++) {
        if (i == JQ_EXEC_ENV_COUNT_MAX) {
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "environment: more than %d variables", JQ_EXEC_ENV_COUNT_MAX);
        }
        if (!stands_in(&spec->env[i + 1], spec->env[i])) {
            env->vars[env->count++] = spec->env[i];
        }
    }
    env->vars[env->count] = NULL;
    return JQ_OK;
}

static const char *search_of(const struct environment *env) {
    for (size_t i = 0; i < env->count; i++) {
        if (names_same("PATH=", env->vars[i])) {
            return env->vars[i] + sizeof("PATH=") - 1;
        }
    }
    return JQ_TASK_PATH;
}

/* --- the process ---------------------------------------------------------------------------------------------------- */

/* Asked once: the answer takes a file of /sys. */
static uint64_t cpu_count(void) {
    static _Atomic long known = 0;
    if (known == 0) {
        const long count = sysconf(_SC_NPROCESSORS_CONF);
        known = count > 0 ? count : 1;
    }
    return (uint64_t)known;
}

uint64_t jq_exec_cpu_seconds_max(int64_t hard_limit_ms) {
    return hard_limit_ms == 0 ? 0 : (uint64_t)(hard_limit_ms / 1000 + 1) * cpu_count() + CPU_SECONDS_EXTRA;
}

static enum jq_err spawn(struct jq_exec_child *child, const struct jq_exec_spec *spec, const struct jq_argv *argv,
                         const struct environment *env, int *ret_pidfd, struct jq_error *reterr) {
    const struct jq_sandbox *sandbox = child->host->sandbox;
    const enum jq_err err = jq_child_confine(child, spec, argv->path, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct jq_spawn_spec call = {
        .path = argv->path,
        .argv = (const char *const *)argv->words,
        .env = env->vars,
        .fds = {child->handover_fds[FD_STDIN], child->handover_fds[FD_STDOUT], child->handover_fds[FD_STDERR]},
        .fd_count = 3,
        .work_dir_fd = child->work.fd,
        .clone_cgroup_fd = jq_cgroup_clone_fd(&child->host->cgroups, &child->group),
        .join_count = child->join_count,
        .file_bytes_max = spec->file_bytes_max,
        .cpu_seconds_max = jq_exec_cpu_seconds_max(spec->hard_limit_ms),
        .fds_max = spec->fds_max,
        .oom_score_adj = OOM_SCORE_ADJ,
        .switch_user = spec->switch_user,
        .uid = spec->uid,
        .gid = spec->gid,
        .rules_fd = jq_sandbox_rules_fd(child->rules),
        .filter = sandbox != NULL ? jq_sandbox_filter(sandbox, spec->network) : NULL,
    };
    for (unsigned i = 0; i < call.join_count; i++) {
        call.join_fds[i] = child->handover_fds[FD_JOIN + i];
    }
    if (spec->reply || spec->extra_fd > 0) {
        call.fds[call.fd_count++] = spec->reply ? child->handover_fds[FD_REPLY] : spec->extra_fd;
    }
    return jq_spawn(&child->host->spawner, &call, &child->pid, ret_pidfd, reterr);
}

static void record(struct jq_exec_child *child) {
    struct jq_leftover_record made = {.pid = child->pid, .start_ticks = jq_procs_start_ticks(child->pid)};
    memcpy(made.boot_id, child->host->boot_id, sizeof(made.boot_id));
    memcpy(made.marker, child->marker, sizeof(made.marker));
    child->record_fd = jq_leftover_book_write(&child->host->book, &made);
}

/* With a memory cgroup only v1 needs the look: there the kernel kills one process, and the task must not go on without it. */
void jq_child_look_from(struct jq_exec_child *child, int64_t now_ms) {
    const unsigned controllers = child->host->cgroups.controllers;
    const bool looks = child->memory_bytes_max > 0 || (child->pids_max > 0 && (controllers & JQ_CGROUP_PIDS) == 0);
    child->look_at_ms = looks ? now_ms + WATCH_MS : INT64_MAX;
}

void jq_child_set_running(struct jq_exec_child *child, pid_t pid, int64_t now_ms) {
    child->pid = pid;
    child->start_ms = now_ms;
    child->phase = JQ_CHILD_RUNNING;
    jq_child_look_from(child, now_ms);
    jq_child_stall_from(child, child->stall.limit_ms, now_ms);
    close_handover(child);
    record(child);
    jq_child_plan(child, now_ms);
}

static enum jq_err run_program(struct jq_exec_child *child, const struct jq_exec_spec *spec,
                               const struct environment *env, int *ret_pidfd, struct jq_error *reterr) {
    char id[JQ_TASK_ID_TEXT_SIZE];
    char attempt[16];
    (void)snprintf(attempt, sizeof(attempt), "%u", spec->attempt);
    const struct jq_argv_values values = {.work_dir = child->work_path,
                                          .output_dir = spec->output_dir,
                                          .task = jq_text_format_task_id(spec->task, id),
                                          .attempt = attempt,
                                          .param = spec->param,
                                          .param_ctx = spec->param_ctx};
    struct jq_argv argv;
    enum jq_err err = jq_argv_expand(spec->argv, &values, search_of(env), &argv, reterr);
    if (err != JQ_OK) {
        return err;
    }
    child->result_file = argv.uses_output ? "output" : "result";
    if (argv.uses_input) {
        err = write_file(child, "input", spec->payload, reterr);
    }
    if (err == JQ_OK) {
        err = spawn(child, spec, &argv, env, ret_pidfd, reterr);
    }
    jq_argv_fini(&argv);
    return err;
}

static enum jq_err launch(struct jq_exec_child *child, const struct jq_exec_spec *spec, int *ret_pidfd,
                          struct jq_error *reterr) {
    struct environment *env = malloc(sizeof(*env));
    if (env == NULL) {
        return jq_fail(reterr, JQ_ERR_NOMEM, "environment");
    }
    enum jq_err err = build_env(env, child, spec, reterr);
    if (err == JQ_OK) {
        err = run_program(child, spec, env, ret_pidfd, reterr);
    }
    free(env);
    return err;
}

enum jq_err jq_exec_start(struct jq_exec_host *host, const struct jq_exec_spec *spec, int64_t now_ms,
                          struct jq_exec_child **ret_child, struct jq_error *reterr) {
    JQ_CHECK(spec->argv != NULL && !(spec->reply && spec->extra_fd > 0));
    struct jq_exec_child *child = NULL;
    enum jq_err err = set_up(host, spec, &child, reterr);
    if (err != JQ_OK) {
        return err;
    }
    int pidfd = -1;
    err = launch(child, spec, &pidfd, reterr);
    if (err != JQ_OK) {
        jq_child_discard(child);
        return err;
    }
    jq_child_set_running(child, child->pid, now_ms);
    if (jq_exec_loop_watch(&host->loop, &child->exit_watch, pidfd, EPOLLIN, NULL) != JQ_OK) {
        /* Without memory in the kernel for one watch: the end is then seen by the timer. */
        (void)close(pidfd);
        jq_exec_kill(child, JQ_EXEC_REASON_DRAIN, 0, now_ms);
    }
    *ret_child = child;
    return JQ_OK;
}

enum jq_err jq_exec_prepare(struct jq_exec_host *host, const struct jq_exec_spec *spec, int64_t now_ms,
                            struct jq_exec_child **ret_child, struct jq_exec_handover *ret_handover,
                            struct jq_error *reterr) {
    JQ_CHECK(spec->argv == NULL && spec->reply);
    struct jq_exec_child *child = NULL;
    enum jq_err err = set_up(host, spec, &child, reterr);
    if (err != JQ_OK) {
        return err;
    }
    err = jq_child_confine(child, spec, NULL, reterr);
    if (err != JQ_OK) {
        jq_child_discard(child);
        return err;
    }
    const int rules_fd = jq_sandbox_rules_steal(child->rules);
    child->rules = NULL;
    if (rules_fd >= 0) {
        child->handover_fds[child->handover_count++] = rules_fd;
    }
    child->adopted = true;
    child->start_ms = now_ms;
    child->phase = JQ_CHILD_WAITING;
    *ret_handover = (struct jq_exec_handover){.fd_count = child->handover_count,
                                              .join_count = child->join_count,
                                              .confined = rules_fd >= 0,
                                              .work_dir = child->work_path,
                                              .marker = child->marker};
    memcpy(ret_handover->fds, child->handover_fds, sizeof(ret_handover->fds));
    *ret_child = child;
    return JQ_OK;
}
