/* decode_arena.h - memory that is given out in pieces and taken back all at once. */
#ifndef JQ_BROKER_SHELL_DECODE_ARENA_H
#define JQ_BROKER_SHELL_DECODE_ARENA_H

#include "common/types.h"

struct jq_arena_block;

struct jq_arena {
    struct jq_arena_block *block; /* the newest; older ones hang on it */
    size_t used;                  /* of the newest */
    size_t size_next;             /* of the block that is taken next: after a while one holds everything */
};

/* init takes no memory yet. fini may be called twice, and on zeroed memory. */
void jq_arena_init(struct jq_arena *arena);
void jq_arena_fini(struct jq_arena *arena);

/* Takes everything back; keeps a single block for the next round. */
void jq_arena_reset(struct jq_arena *arena);

/* `size` bytes, aligned for everything. NULL: out of memory. The memory is not cleared. */
void *jq_arena_alloc(struct jq_arena *arena, size_t size);

/* A copy with a NUL behind it. `data` is NULL when out of memory. */
struct jq_str jq_arena_text(struct jq_arena *arena, struct jq_str text);

#endif
