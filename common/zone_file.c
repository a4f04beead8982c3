#include "common/zone_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define STANDARD_DIR "/usr/share/zoneinfo"

enum { PATH_SIZE = 4096 };

static bool is_part(char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '+';
}

/* "Europe/Berlin": parts of letters, digits, _ - and +, between slashes; no dot, so no "..". */
static bool is_name(struct jq_str name) {
    bool part = false;
    for (size_t i = 0; i < name.size; i++) {
        if (name.data[i] == '/' ? !part : !is_part(name.data[i]))
            return false;
        part = name.data[i] != '/';
    }
    return part && name.size <= JQ_ZONE_NAME_SIZE_MAX;
}

/* -1: the end, or an error. */
static ssize_t read_some(int fd, uint8_t *at, size_t size) {
    ssize_t got;
    do
        got = read(fd, at, size);
    while (got < 0 && errno == EINTR);
    return got;
}

/* A byte more than a zone may have tells that it is too large. */
static enum jq_err read_open(int fd, struct jq_zone **ret_zone, struct jq_error *reterr) {
    struct stat stat;
    if (fstat(fd, &stat) != 0)
        return jq_fail_errno(reterr, errno, "time zone");
    if (!S_ISREG(stat.st_mode))
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "not a file");
    uint8_t *bytes = malloc(JQ_ZONE_FILE_SIZE_MAX + 1);
    if (!bytes)
        return jq_fail(reterr, JQ_ERR_NOMEM, "time zone");
    size_t size = 0;
    ssize_t got = 1;
    while (got > 0 && size <= JQ_ZONE_FILE_SIZE_MAX) {
        got = read_some(fd, bytes + size, JQ_ZONE_FILE_SIZE_MAX + 1 - size);
        size += got > 0 ? (size_t)got : 0;
    }
    const enum jq_err err = got < 0 ? jq_fail_errno(reterr, errno, "time zone")
                                    : jq_zone_parse((struct jq_bytes){bytes, size}, ret_zone, reterr);
    free(bytes);
    return err;
}

enum jq_err jq_zone_read(struct jq_str name, struct jq_zone **ret_zone, struct jq_error *reterr) {
    const char *dir = getenv("TZDIR");
    char path[PATH_SIZE];
    if (jq_str_equal(name, JQ_STR("UTC")))
        return jq_zone_of_rule(JQ_STR("UTC0"), ret_zone, reterr);
    if (!is_name(name))
        return jq_fail(reterr, JQ_ERR_INVALID, "not the name of a time zone such as Europe/Berlin");
    const int size =
        snprintf(path, sizeof(path), "%s/%.*s", dir && dir[0] == '/' ? dir : STANDARD_DIR, JQ_STR_ARG(name));
    if (size < 0 || size >= (int)sizeof(path))
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "no such time zone");
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR))
        return jq_fail(reterr, JQ_ERR_NOT_FOUND, "no such time zone");
    if (fd < 0)
        return jq_fail_errno(reterr, errno, "time zone");
    const enum jq_err err = read_open(fd, ret_zone, reterr);
    (void)close(fd);
    return err;
}
