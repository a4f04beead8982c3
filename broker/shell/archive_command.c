#define _GNU_SOURCE /* pipe2, posix_spawn_file_actions_addclosefrom_np */
#include "broker/shell/archive_command.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/buf.h"
#include "common/clock.h"

enum { WORD_SIZE_MAX = 16 * 1024, SAID_SIZE = 200, STDIO_COUNT = 3 };

/* ---- words ---- */

static bool expand(const char *word, const char *path, const char *name, struct jq_buf *out) {
    for (; *word != '\0'; word++) {
        if (*word != '%') {
            jq_buf_append_u8(out, (uint8_t)*word);
            continue;
        }
        word++;
        switch (*word) {
        case 'f': jq_buf_append_text(out, jq_str_of(path)); break;
        case 'n': jq_buf_append_text(out, jq_str_of(name)); break;
        case '%': jq_buf_append_u8(out, '%'); break;
        default: return false;
        }
    }
    jq_buf_append_u8(out, 0);
    return !out->failed;
}

static void free_words(char **words) {
    for (size_t i = 0; words != NULL && words[i] != NULL; i++)
        free(words[i]);
    free(words);
}

static enum jq_err expand_words(const struct jq_conf_list *list, const char *path, const char *name, char ***ret_words,
                                struct jq_error *reterr) {
    char **words = calloc(list->count + 1, sizeof(*words));
    struct jq_buf buf;
    jq_buf_init(&buf, WORD_SIZE_MAX);
    bool good = words != NULL;
    for (size_t i = 0; good && i < list->count; i++) {
        buf.size = 0;
        good = expand(list->items[i], path, name, &buf);
        words[i] = good ? strdup((const char *)buf.data) : NULL;
        good = words[i] != NULL;
    }
    jq_buf_fini(&buf);
    if (good) {
        *ret_words = words;
        return JQ_OK;
    }
    free_words(words);
    return jq_fail(reterr, JQ_ERR_INVALID, "archive_command: only %%f, %%n and %%%% are known");
}

/* ---- the process ---- */

struct running {
    pid_t pid;
    int pidfd, pipe;
    char said[SAID_SIZE]; /* the last of it */
    size_t said_size;
};

static int spawn_child(char **words, int pipe_write, pid_t *ret_pid) {
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    JQ_CHECK(posix_spawn_file_actions_init(&files) == 0 && posix_spawnattr_init(&attributes) == 0);
    int rv = posix_spawn_file_actions_addopen(&files, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    rv = rv ? rv : posix_spawn_file_actions_adddup2(&files, pipe_write, STDOUT_FILENO);
    rv = rv ? rv : posix_spawn_file_actions_adddup2(&files, pipe_write, STDERR_FILENO);
    rv = rv ? rv : posix_spawn_file_actions_addclosefrom_np(&files, STDIO_COUNT);
    rv = rv ? rv : posix_spawnattr_setsigmask(&attributes, &none);
    rv = rv ? rv : posix_spawnattr_setsigdefault(&attributes, &all);
    rv = rv ? rv : posix_spawnattr_setpgroup(&attributes, 0);
    const short flags = POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF;
    rv = rv ? rv : posix_spawnattr_setflags(&attributes, flags);
    JQ_CHECK(words[0] != NULL);
    rv = rv ? rv : posix_spawnp(ret_pid, words[0], &files, &attributes, words, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return rv;
}

static enum jq_err start(char **words, struct running *running, struct jq_error *reterr) {
    int ends[2];
    if (pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0)
        return jq_fail_errno(reterr, errno, "archive_command");
    /* The other end blocks, as programs expect of what they write to. */
    (void)fcntl(ends[1], F_SETFL, 0);
    const int rv = spawn_child(words, ends[1], &running->pid);
    (void)close(ends[1]);
    running->pipe = ends[0];
    if (rv != 0) {
        (void)close(ends[0]);
        return jq_fail_errno(reterr, rv, "archive_command: %.100s", words[0]);
    }
    running->pidfd = (int)syscall(SYS_pidfd_open, running->pid, 0);
    return JQ_OK;
}

/* Keeps the end of what there is to read; false: the other end is closed. */
static bool listen_to(struct running *running) {
    char piece[SAID_SIZE];
    ssize_t got = 0;
    while ((got = read(running->pipe, piece, sizeof(piece))) > 0) {
        const size_t size = (size_t)got;
        const size_t room = sizeof(running->said) - size;
        const size_t keep = running->said_size < room ? running->said_size : room;
        memmove(running->said, running->said + running->said_size - keep, keep);
        memcpy(running->said + keep, piece, size);
        running->said_size = keep + size;
    }
    return got != 0;
}

/* True: it has ended. */
static bool wait_for_end(struct running *running, int64_t time_max_ms) {
    const int64_t end_ms = jq_clock_boot_ms() + time_max_ms;
    bool open = true;
    for (int64_t left_ms = time_max_ms; left_ms > 0; left_ms = end_ms - jq_clock_boot_ms()) {
        struct pollfd fds[] = {{.fd = running->pidfd, .events = POLLIN},
                               {.fd = open ? running->pipe : -1, .events = POLLIN}};
        const int timeout_ms = left_ms < INT32_MAX ? (int)left_ms : INT32_MAX;
        (void)poll(fds, sizeof(fds) / sizeof(fds[0]), timeout_ms);
        if (fds[1].revents != 0)
            open = listen_to(running);
        if (fds[0].revents != 0)
            return true;
    }
    return false;
}

/* Size of what it said, as one line. */
static size_t one_line(struct running *running) {
    size_t size = running->said_size;
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)running->said[i] < ' ')
            running->said[i] = ' ';
    }
    while (size > 0 && running->said[size - 1] == ' ')
        size--;
    return size;
}

static enum jq_err judge(struct running *running, bool ended, int status, struct jq_error *reterr) {
    const size_t size = one_line(running);
    const char *colon = size > 0 ? ": " : "";
    const int said = (int)size;
    if (!ended)
        return jq_fail(reterr, JQ_ERR_TIMEOUT, "archive_command: took too long and was killed%s%.*s", colon, said,
                       running->said);
    if (WIFSIGNALED(status))
        return jq_fail(reterr, JQ_ERR_IO, "archive_command: killed by signal %d%s%.*s", WTERMSIG(status), colon, said,
                       running->said);
    if (WEXITSTATUS(status) != 0)
        return jq_fail(reterr, JQ_ERR_IO, "archive_command: exit code %d%s%.*s", WEXITSTATUS(status), colon, said,
                       running->said);
    return JQ_OK;
}

static enum jq_err finish(struct running *running, int64_t time_max_ms, struct jq_error *reterr) {
    int status = 0;
    /* Without a descriptor of the process nothing could bound its time. */
    const bool ended = running->pidfd >= 0 && wait_for_end(running, time_max_ms);
    (void)kill(-running->pid,
               SIGKILL); /* what it has left behind, too: it is not waited for yet, so the group is still its own */
    while (waitpid(running->pid, &status, 0) < 0 && errno == EINTR)
        continue;
    (void)listen_to(running);
    (void)close(running->pipe);
    if (running->pidfd >= 0)
        (void)close(running->pidfd);
    return judge(running, ended, status, reterr);
}

enum jq_err jq_archive_command_run(const struct jq_conf_list *words, const char *path, const char *name,
                                   int64_t time_max_ms, struct jq_error *reterr) {
    struct running running = {.pidfd = -1};
    char **expanded = NULL;
    enum jq_err err = expand_words(words, path, name, &expanded, reterr);
    if (err == JQ_OK)
        err = start(expanded, &running, reterr);
    free_words(expanded);
    return err == JQ_OK ? finish(&running, time_max_ms, reterr) : err;
}
