/* purity.c - may what a run of a pure handler gave answer others that ask the same? What the broker compares is handler, payload, need and the
 * content of inputs; a run that may have read or left something else tells no version, so that nothing of it is cached. */
#include <dirent.h>
#include <string.h>

#include "worker/shell/files.h"

/* A text of JSON or msgpack that begins with a slash; where JSON escapes something it may be one. Rather too often than too seldom. */
static bool names_path(struct jq_bytes payload) {
    for (size_t i = 0; i < payload.size; i++) {
        const uint8_t *at = payload.data + i;
        if (*at == '\\') {
            return true;
        }
        if (*at == '/' && ((i >= 1 && (at[-1] == '"' || (at[-1] >= 0xa0 && at[-1] <= 0xbf))) ||
                           (i >= 2 && at[-2] == 0xd9) || (i >= 3 && at[-3] == 0xda))) {
            return true;
        }
    }
    return false;
}

/* Files that stay here under the task's own number: nobody else would find his. */
static bool leaves_files(const struct jq_run *run) {
    DIR *dir = run->output[0] != '\0' ? opendir(run->output) : NULL;
    bool any = false;
    for (const struct dirent *entry = dir ? readdir(dir) : NULL; entry && !any; entry = readdir(dir)) {
        any = strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0;
    }
    if (dir) {
        (void)closedir(dir);
    }
    return any;
}

struct jq_str jq_run_version(const struct jq_run *run) {
    if (!run->handler->pure || names_path(run->payload) || (!jq_files_asked(run) && leaves_files(run))) {
        return (struct jq_str){NULL, 0};
    }
    return jq_str_of(run->handler->version);
}
