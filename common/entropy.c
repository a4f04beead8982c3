#define _GNU_SOURCE
#include "common/entropy.h"

#include <errno.h>
#include <stdint.h>
#include <sys/random.h>

enum jq_err jq_random_bytes(void *ret_data, size_t size, struct jq_error *reterr) {
    uint8_t *at = ret_data;
    while (size > 0) {
        const ssize_t got = getrandom(at, size, 0);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return jq_fail_errno(reterr, errno, "random numbers of the kernel");
        at += got;
        size -= (size_t)got;
    }
    return JQ_OK;
}
