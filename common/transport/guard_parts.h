/* guard_parts.h - the parts of a message or a buffer that one system call takes. */
#ifndef JQ_COMMON_TRANSPORT_GUARD_PARTS_H
#define JQ_COMMON_TRANSPORT_GUARD_PARTS_H

#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum { GUARD_PARTS_MAX = 16 }; /* NNG's limit */

/* In bytes. */
static inline size_t guard_parts_size(const struct iovec *parts, size_t count) {
    size_t size = 0;
    for (size_t i = 0; i < count; i++) {
        size += parts[i].iov_len;
    }
    return size;
}

/* What is left of at most GUARD_PARTS_MAX parts without their first `skip` bytes. Returns how many parts that is. */
static inline size_t guard_parts_after(const struct iovec *parts, size_t count, size_t skip,
                                       struct iovec ret_rest[GUARD_PARTS_MAX]) {
    size_t rest_count = 0;
    for (size_t i = 0; i < count && i < GUARD_PARTS_MAX; i++) {
        const size_t skipped = skip < parts[i].iov_len ? skip : parts[i].iov_len;
        skip -= skipped;
        if (parts[i].iov_len > skipped) {
            ret_rest[rest_count++] = (struct iovec){(uint8_t *)parts[i].iov_base + skipped, parts[i].iov_len - skipped};
        }
    }
    return rest_count;
}

#endif
