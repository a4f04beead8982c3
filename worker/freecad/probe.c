#define _GNU_SOURCE
#include "worker/freecad/probe.h"

#include "common/buf.h"
#include "common/need.h"
#include "worker/exec/child.h"
#include "worker/exec/sysfile.h"
#include "worker/freecad/command.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { LIMIT_MS = 60000, STAMP_SIZE = PATH_MAX + 128 };

/* One running probe. */
struct run {
    jq_freecad_on_facts *on_facts;
    void *ctx;
    char path[PATH_MAX]; /* of the cache */
    char stamp[STAMP_SIZE];
};

static void make_stamp(const struct jq_freecad_command *command, char stamp[STAMP_SIZE]) {
    const struct stat status = jq_freecad_command_stat(command);
    (void)snprintf(stamp, STAMP_SIZE, "%llu %llu %lld %ld %s\n", (unsigned long long)status.st_ino,
                   (unsigned long long)status.st_size, (long long)status.st_mtim.tv_sec, status.st_mtim.tv_nsec,
                   command->program != NULL ? command->program : command->words[0]);
}

static bool are_facts(const char *text, struct jq_error *reterr) {
    struct jq_facts facts;
    if (text[0] == '\0' || jq_facts_parse(jq_str_of(text), &facts, reterr) != JQ_OK) {
        return false;
    }
    jq_facts_fini(&facts);
    return true;
}

/* The second line of the cache, if the first is `stamp`. */
static bool read_cache(const struct run *run, char facts[JQ_FREECAD_FACTS_SIZE_MAX]) {
    char text[STAMP_SIZE + JQ_FREECAD_FACTS_SIZE_MAX];
    const long size = jq_sysfile_read(AT_FDCWD, run->path, text, sizeof(text));
    const size_t stamp_size = strlen(run->stamp);
    if (size <= 0 || strncmp(text, run->stamp, stamp_size) != 0 || text[size - 1] != '\n') {
        return false;
    }
    text[size - 1] = '\0';
    (void)snprintf(facts, JQ_FREECAD_FACTS_SIZE_MAX, "%.*s", JQ_FREECAD_FACTS_SIZE_MAX - 1, text + stamp_size);
    return are_facts(facts, NULL);
}

/* A cache that cannot be written costs a probe at the next start. */
static void write_cache(const struct run *run, const char *facts) {
    char fresh[PATH_MAX + 8];
    char text[STAMP_SIZE + JQ_FREECAD_FACTS_SIZE_MAX + 1];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", run->path);
    const int size = snprintf(text, sizeof(text), "%s%s\n", run->stamp, facts);
    const int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0) {
        return;
    }
    const bool written = write(fd, text, (size_t)size) == size;
    if (close(fd) != 0 || !written || rename(fresh, run->path) != 0) {
        (void)unlink(fresh);
    }
}

/* What the probe found, or why it found nothing, in one line. */
static bool judge(const struct jq_exec_outcome *outcome, char facts[JQ_FREECAD_FACTS_SIZE_MAX], char why[256]) {
    if (outcome->verdict.outcome != JQ_OUTCOME_SUCCESS) {
        (void)snprintf(why, 256, "FreeCAD does not run: %.220s", outcome->message);
        return false;
    }
    struct jq_error error = {.message = "none"};
    const size_t size = outcome->result.size < JQ_FREECAD_FACTS_SIZE_MAX ? outcome->result.size : 0;
    memcpy(facts, outcome->result.data, size);
    facts[size] = '\0';
    if (!are_facts(facts, &error)) {
        (void)snprintf(why, 256, "FreeCAD told no facts: %.220s", error.message);
        return false;
    }
    return true;
}

static void on_done(struct jq_exec_child *child, int64_t now_ms) {
    struct run *run = jq_exec_child_owner(child);
    char facts[JQ_FREECAD_FACTS_SIZE_MAX];
    char why[256];
    const bool found = judge(jq_exec_child_outcome(child), facts, why);
    jq_exec_child_free(child);
    if (found) {
        write_cache(run, facts);
    }
    run->on_facts(run->ctx, found ? facts : NULL, found ? NULL : why, now_ms);
    free(run);
}

static enum jq_err start(struct jq_exec_host *host, const struct jq_freecad_probe *probe,
                         const struct jq_freecad_command *command, struct run *run, int64_t now_ms,
                         struct jq_error *reterr) {
    char home[PATH_MAX + 64];
    struct jq_exec_child *child = NULL;
    (void)snprintf(home, sizeof(home), "FREECAD_USER_HOME=%s/freecad-probe", jq_exec_host_work_path(host));
    const char *const env[] = {home, "QT_QPA_PLATFORM=offscreen", "PYTHONNOUSERSITE=1", NULL};
    const struct jq_exec_spec spec = {
        .label = "freecad-probe",
        .argv = (const char *const *)command->words,
        .env = env,
        .reply = true,
        .trusted = true,
        .hard_limit_ms = probe->limit_ms > 0 ? probe->limit_ms : LIMIT_MS,
        .owner = run,
        .on_done = on_done,
    };
    return jq_exec_start(host, &spec, now_ms, &child, reterr);
}

enum jq_err jq_freecad_probe(struct jq_exec_host *host, const struct jq_freecad_probe *probe, int64_t now_ms,
                             struct jq_error *reterr) {
    struct jq_freecad_command command;
    char facts[JQ_FREECAD_FACTS_SIZE_MAX];
    enum jq_err err = jq_freecad_command_make(probe->command, probe->script, &command, reterr);
    if (err != JQ_OK) {
        return err;
    }
    struct run *run = calloc(1, sizeof(*run));
    if (run == NULL) {
        jq_freecad_command_fini(&command);
        return jq_fail(reterr, JQ_ERR_NOMEM, "freecad probe");
    }
    *run = (struct run){.on_facts = probe->on_facts, .ctx = probe->ctx};
    (void)snprintf(run->path, sizeof(run->path), "%.4000s/freecad-facts", probe->state_dir);
    make_stamp(&command, run->stamp);
    if (read_cache(run, facts)) {
        probe->on_facts(probe->ctx, facts, NULL, now_ms);
        free(run);
    } else {
        err = start(host, probe, &command, run, now_ms, reterr);
        if (err != JQ_OK) {
            free(run);
        }
    }
    jq_freecad_command_fini(&command);
    return err;
}
