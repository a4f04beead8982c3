/* identity.c - the worker's id: drawn once, kept in state_dir/id as 32 hexadecimal digits. */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "common/entropy.h"
#include "common/text.h"
#include "worker/shell/worker.h"

static enum jq_err identity_make(const char *path, struct jq_uuid *ret_id, struct jq_error *reterr) {
    struct jq_uuid id;
    char text[40];
    enum jq_err err = jq_random_bytes(id.bytes, sizeof(id.bytes), reterr);
    if (err != JQ_OK) {
        return err;
    }
    for (int i = 0; i < 16; i++) {
        (void)snprintf(text + (size_t)(2 * i), 3, "%02x", id.bytes[i]);
    }
    text[32] = '\n';
    const int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0) {
        return jq_fail_errno(reterr, errno, "cannot make %s", path);
    }
    const bool written = write(fd, text, 33) == 33 && fsync(fd) == 0;
    err = written ? JQ_OK : jq_fail_errno(reterr, errno, "cannot write %s", path);
    (void)close(fd);
    if (err == JQ_OK) {
        *ret_id = id;
    } else {
        (void)unlink(path);
    }
    return err;
}

static int digit(char c) {
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

enum jq_err jq_identity_load(const char *state_dir, struct jq_uuid *ret_id, struct jq_error *reterr) {
    char path[WORKER_PATH_MAX], text[33] = "";
    struct jq_uuid id;
    (void)snprintf(path, sizeof(path), "%s/id", state_dir);
    FILE *file = fopen(path, "re");
    if (!file) {
        return errno == ENOENT ? identity_make(path, ret_id, reterr) : jq_fail_errno(reterr, errno, "%s", path);
    }
    const bool whole = fgets(text, sizeof(text), file) && strlen(text) == 32;
    (void)fclose(file);
    for (int i = 0; i < 16; i++) {
        const int high = digit(text[2 * i]), low = digit(text[2 * i + 1]);
        if (!whole || high < 0 || low < 0) {
            return jq_fail(reterr, JQ_ERR_INVALID, "%s: not 32 hexadecimal digits; remove it to draw a new id", path);
        }
        id.bytes[i] = (uint8_t)(high << 4 | low);
    }
    *ret_id = id;
    return JQ_OK;
}
