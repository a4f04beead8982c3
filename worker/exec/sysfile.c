#include "worker/exec/sysfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

bool jq_sysfile_write(int dir_fd, const char *name, const char *text) {
    const int fd = openat(dir_fd, name, O_WRONLY | O_CLOEXEC);
    if (fd < 0) {
        return false;
    }
    const size_t size = strlen(text);
    const ssize_t written = write(fd, text, size);
    const int write_errno = written < 0 ? errno : EIO;
    (void)close(fd);
    errno = write_errno;
    return written == (ssize_t)size;
}

bool jq_sysfile_write_all(int fd, const void *data, size_t size) {
    const uint8_t *at = data;
    while (size > 0) {
        const ssize_t count = write(fd, at, size);
        if (count < 0 && errno != EINTR) {
            return false;
        }
        at += count > 0 ? count : 0;
        size -= count > 0 ? (size_t)count : 0;
    }
    return true;
}

bool jq_sysfile_write_u64(int dir_fd, const char *name, uint64_t number) {
    char text[24];
    (void)snprintf(text, sizeof(text), "%llu", (unsigned long long)number);
    return jq_sysfile_write(dir_fd, name, text);
}

long jq_sysfile_read(int dir_fd, const char *name, char *ret_text, size_t size) {
    const int fd = openat(dir_fd, name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        return -1;
    }
    size_t got = 0;
    ssize_t step = 0;
    while (got + 1 < size && (step = read(fd, ret_text + got, size - 1 - got)) > 0) {
        got += (size_t)step;
    }
    const int read_errno = errno;
    (void)close(fd);
    errno = read_errno;
    ret_text[got] = '\0';
    return step < 0 ? -1 : (long)got;
}

/* Digits up to the first other byte. */
static int64_t leading_number(const char *text) {
    int64_t number = 0;
    if (*text < '0' || *text > '9') {
        return -1;
    }
    for (; *text >= '0' && *text <= '9'; text++) {
        const int digit = *text - '0';
        if (number > (INT64_MAX - digit) / 10) {
            return INT64_MAX;
        }
        number = number * 10 + digit;
    }
    return number;
}

int64_t jq_sysfile_parse(const char *text) {
    return text[strspn(text, "0123456789")] == '\0' ? leading_number(text) : -1;
}

int64_t jq_sysfile_number(int dir_fd, const char *name) {
    char text[64];
    return jq_sysfile_read(dir_fd, name, text, sizeof(text)) > 0 ? leading_number(text) : -1;
}

int64_t jq_sysfile_number_at(int fd) {
    char text[64];
    const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0) {
        return -1;
    }
    text[size] = '\0';
    return leading_number(text);
}

enum { FIELDS_SIZE = 2048 };

static int64_t field_of(const char *text, const char *key) {
    const size_t key_size = strlen(key);
    for (const char *line = text; line != NULL && *line != '\0';) {
        if (strncmp(line, key, key_size) == 0 && line[key_size] == ' ') {
            return leading_number(line + key_size + 1);
        }
        line = strchr(line, '\n');
        line = line != NULL ? line + 1 : NULL;
    }
    return -1;
}

int64_t jq_sysfile_field(int dir_fd, const char *name, const char *key) {
    char text[FIELDS_SIZE];
    return jq_sysfile_read(dir_fd, name, text, sizeof(text)) > 0 ? field_of(text, key) : -1;
}

int64_t jq_sysfile_field_at(int fd, const char *key) {
    char text[FIELDS_SIZE];
    const ssize_t size = pread(fd, text, sizeof(text) - 1, 0);
    if (size <= 0) {
        return -1;
    }
    text[size] = '\0';
    return field_of(text, key);
}
