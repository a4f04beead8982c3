/* entropy.h - unpredictable bytes from the kernel: for tokens, incarnations and the seeds of hash maps. */
#ifndef JQ_COMMON_ENTROPY_H
#define JQ_COMMON_ENTROPY_H

#include "common/err.h"

#include <stddef.h>

/* Fills `size` bytes at `ret_data` by getrandom(2). */
enum jq_err jq_random_bytes(void *ret_data, size_t size, struct jq_error *reterr);

#endif
