/* facts.c - what this machine is and has: built-in facts, those of the configuration, those that probes find out; and offers. */
#define _GNU_SOURCE /* pipe2, environ */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/log.h"
#include "worker/shell/worker.h"

/* ---- built-in facts ---- */

static void add_fact(struct jq_buf *buf, const char *name, const char *text) {
    jq_buf_append_format(buf, "%s%s=", buf->size ? " " : "", name);
    for (const char *at = text; *at; at++) { /* facts have no blanks in this grammar */
        jq_buf_append_u8(buf, (uint8_t)(*at <= ' ' || *at > '~' || *at == '|' ? '_' : *at));
    }
}

static bool names(const char *facts, const char *name) {
    const size_t size = strlen(name);
    for (const char *at = facts; at && *at;) {
        at += strspn(at, " \t,");
        if (strncmp(at, name, size) == 0 && at[size] == '=') {
            return true;
        }
        at = strpbrk(at, " \t,");
    }
    return false;
}

/* What the configuration says comes before what is found. */
static void add_found(struct jq_buf *buf, const char *configured, const char *name, const char *text) {
    if (!names(configured, name) && text[0] != '\0') {
        add_fact(buf, name, text);
    }
}

static void add_machine(struct jq_buf *buf, const char *configured) {
    struct utsname machine;
    if (uname(&machine) != 0) {
        return;
    }
    for (char *at = machine.sysname; *at; at++) {
        *at = (char)(*at >= 'A' && *at <= 'Z' ? *at + ('a' - 'A') : *at);
    }
    add_found(buf, configured, "os", machine.sysname);
    add_found(buf, configured, "arch", machine.machine);
    add_found(buf, configured, "kernel", machine.release);
    add_found(buf, configured, "host", machine.nodename);
}

/* ---- probes ---- */

/* Runs an argv with its output in a pipe. Plain posix_spawn: no thread of NNG is there yet. */
static pid_t probe_spawn(char *const *argv, int *ret_fd) {
    int fds[2];
    posix_spawn_file_actions_t actions;
    if (pipe2(fds, O_CLOEXEC) != 0) {
        return -1;
    }
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, fds[1], 1);
    pid_t pid = -1;
    const int failed = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
    posix_spawn_file_actions_destroy(&actions);
    (void)close(fds[1]);
    if (failed) {
        (void)close(fds[0]);
        errno = failed;
        return -1;
    }
    *ret_fd = fds[0];
    return pid;
}

/* The first line that comes within the time. */
static bool probe_read(int fd, int64_t timeout_ms, char *out, size_t size) {
    const int64_t until_ms = jq_clock_boot_ms() + timeout_ms;
    size_t used = 0;
    for (;;) {
        const int64_t left_ms = until_ms - jq_clock_boot_ms();
        struct pollfd poll_fd = {.fd = fd, .events = POLLIN};
        if (left_ms <= 0 || poll(&poll_fd, 1, (int)left_ms) <= 0) {
            return false;
        }
        const ssize_t got = read(fd, out + used, size - 1 - used);
        if (got <= 0 || memchr(out + used, '\n', (size_t)got) || used + (size_t)got == size - 1) {
            used += got > 0 ? (size_t)got : 0;
            break;
        }
        used += (size_t)got;
    }
    out[used] = '\0';
    out[strcspn(out, "\r\n")] = '\0';
    return out[0] != '\0';
}

static void add_probe(struct jq_buf *buf, const struct jq_fact_probe *probe) {
    char text[JQ_FACT_TEXT_SIZE_MAX + 1];
    int fd = -1;
    const pid_t pid = probe_spawn(probe->command.items, &fd);
    if (pid < 0) {
        JQ_LOG_WARN("fact not found out", JQ_F_STR("fact", probe->item.name),
                    JQ_F_STR("command", probe->command.items[0]), JQ_F_INT("errno", errno));
        return;
    }
    const bool read = probe_read(fd, probe->timeout_ms, text, sizeof(text));
    (void)close(fd);
    (void)kill(pid, SIGKILL);
    int status = 0;
    (void)waitpid(pid, &status, 0);
    if (read) {
        add_fact(buf, probe->item.name, text);
    } else {
        JQ_LOG_WARN("fact not found out: no line in time", JQ_F_STR("fact", probe->item.name));
    }
}

void jq_facts_add_new(struct jq_buf *buf, const char *known, const char *more) {
    for (const char *at = more + strspn(more, " "); *at;) {
        const size_t size = strcspn(at, " ");
        char name[JQ_NAME_SIZE_MAX + 1];
        (void)snprintf(name, sizeof(name), "%.*s", (int)strcspn(at, "= "), at);
        if (!names(known, name)) {
            jq_buf_append_format(buf, "%s%.*s", buf->size ? " " : "", (int)size, at);
        }
        at += size;
        at += strspn(at, " ");
    }
}

enum jq_err jq_machine_facts(const struct jq_worker_settings *settings, const char *more, char **ret_facts,
                             struct jq_error *reterr) {
    struct jq_buf buf;
    jq_buf_init(&buf, WORKER_TEXT_MAX);
    jq_buf_append_text(&buf, jq_str_of(settings->facts));
    add_machine(&buf, settings->facts);
    jq_facts_add_new(&buf, settings->facts, more);
    for (size_t i = 0; i < jq_worker_settings_probe_count(settings); i++) {
        add_probe(&buf, jq_worker_settings_probe(settings, i));
    }
    jq_buf_append_u8(&buf, 0);
    if (buf.failed) {
        jq_buf_fini(&buf);
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "facts: more than %d bytes", WORKER_TEXT_MAX);
    }
    *ret_facts = (char *)buf.data; /* the buffer's memory is a malloc of its own */
    return JQ_OK;
}

/* ---- offers ---- */

enum jq_err jq_machine_offers(const struct jq_worker_settings *settings, char **ret_offers, unsigned *ret_slots,
                              struct jq_error *reterr) {
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    struct sysinfo info = {.mem_unit = 1};
    (void)sysinfo(&info);
    struct jq_offers offers;
    const enum jq_err err = jq_worker_settings_offers(settings, cpus > 0 ? (unsigned)cpus : 1,
                                                      (uint64_t)info.totalram * info.mem_unit, &offers, reterr);
    if (err != JQ_OK) {
        return err;
    }
    const size_t size = jq_offers_format(&offers, NULL, 0) + 1;
    char *text = malloc(size);
    JQ_CHECK(text != NULL);
    (void)jq_offers_format(&offers, text, size);
    const struct jq_offer *slots = jq_offers_find(&offers, JQ_STR("slots"));
    *ret_slots = slots ? (unsigned)(slots->amount / JQ_AMOUNT_UNIT) : 1;
    *ret_offers = text;
    jq_offers_fini(&offers);
    return JQ_OK;
}
