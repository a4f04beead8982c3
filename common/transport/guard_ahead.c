#include "common/transport/guard_ahead.h"

#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "common/transport/guard_parts.h"

enum { SIZE = 2000 };

struct guard_ahead {
    bool emptied; /* the socket, by the last call that asked it */
    uint16_t start, end;
    uint8_t bytes[SIZE];
};

struct guard_ahead *guard_ahead_new(void) {
    struct guard_ahead *ahead = malloc(sizeof *ahead);
    if (ahead != NULL) {
        ahead->emptied = false;
        ahead->start = ahead->end = 0;
    }
    return ahead;
}

void guard_ahead_free(struct guard_ahead *ahead) {
    free(ahead);
}

static size_t smaller(size_t a, size_t b) {
    return a < b ? a : b;
}

/* Fills `parts` with what is held. Returns how many bytes it was. */
static size_t hand_out(struct guard_ahead *ahead, const struct iovec *parts, size_t part_count) {
    size_t total = 0;
    for (size_t i = 0; i < part_count && i < GUARD_PARTS_MAX; i++) {
        const size_t size = smaller(parts[i].iov_len, (size_t)ahead->end - ahead->start);
        memcpy(parts[i].iov_base, ahead->bytes + ahead->start, size);
        ahead->start = (uint16_t)(ahead->start + size);
        total += size;
    }
    return total;
}

/* Reads into `parts`, which have room for one more, and what comes beyond them ahead. */
static ssize_t read_more(struct guard_ahead *ahead, int fd, struct iovec *parts, size_t part_count) {
    const size_t asked = guard_parts_size(parts, part_count);
    parts[part_count] = (struct iovec){ahead->bytes, SIZE};
    const ssize_t count = readv(fd, parts, (int)part_count + 1);
    if (count <= 0) {
        return count;
    }
    const size_t wanted = smaller((size_t)count, asked);
    ahead->emptied = (size_t)count < asked + SIZE;
    ahead->start = 0;
    ahead->end = (uint16_t)((size_t)count - wanted);
    return (ssize_t)wanted;
}

ssize_t guard_ahead_read(struct guard_ahead *ahead, int fd, const struct iovec *parts, int part_count) {
    struct iovec rest[GUARD_PARTS_MAX + 1];
    const size_t held = hand_out(ahead, parts, (size_t)part_count);
    const size_t rest_count = guard_parts_after(parts, (size_t)part_count, held, rest);
    if (rest_count == 0 || (ahead->emptied && held > 0)) {
        return (ssize_t)held;
    }
    if (ahead->emptied) {
        ahead->emptied = false;
        errno = EAGAIN;
        return -1;
    }
    const ssize_t more = read_more(ahead, fd, rest, rest_count);
    return held == 0 ? more : (ssize_t)held + (more > 0 ? more : 0);
}
