/* sim_heap.c - counts what the cores hold of the heap: whatever is taken and given back inside a call into one. malloc and its kin are
 * replaced for that. A sanitizer has its own of them: then nothing is counted. */
#include <malloc.h>
#include <stdlib.h>

#include "tests/sim/sim.h"

static bool inside;
static int64_t bytes;

bool heap_enter(bool core) {
    const bool was = inside;
    inside = core;
    return was;
}

int64_t heap_bytes(void) {
    return bytes;
}

void heap_reset(void) {
    bytes = 0;
}

#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)

/* The C library's own, under the names that it has for whoever replaces them. */
void *__libc_malloc(size_t size);               /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_calloc(size_t count, size_t size); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void *__libc_realloc(void *block, size_t size); /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */
void __libc_free(void *block);                  /* NOLINT(bugprone-reserved-identifier,cert-dcl37-c,cert-dcl51-cpp) */

static void *taken(void *block) {
    bytes += inside ? (int64_t)malloc_usable_size(block) : 0;
    return block;
}

static void given_back(void *block) {
    bytes -= inside ? (int64_t)malloc_usable_size(block) : 0;
}

void *malloc(size_t size) {
    return taken(__libc_malloc(size));
}

void *calloc(size_t count, size_t size) {
    return taken(__libc_calloc(count, size));
}

void *realloc(void *block, size_t size) {
    given_back(block);
    return taken(__libc_realloc(block, size));
}

void free(void *block) {
    given_back(block);
    __libc_free(block);
}

#endif
