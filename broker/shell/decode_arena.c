#include "broker/shell/decode_arena.h"

#include <stdalign.h>
#include <stdlib.h>

enum {
    BLOCK_SIZE_MIN = 4 * 1024,
    BLOCK_SIZE_KEPT_MAX = 512 * 1024, /* more than this is given back after the request that needed it */
    ALIGN = alignof(max_align_t)
};

struct jq_arena_block {
    struct jq_arena_block *older;
    size_t size;
    alignas(max_align_t) uint8_t data[];
};

void jq_arena_init(struct jq_arena *arena) {
    *arena = (struct jq_arena){.size_next = BLOCK_SIZE_MIN};
}

static size_t free_blocks(struct jq_arena_block *block) {
    size_t total = 0;
    while (block) {
        struct jq_arena_block *older = block->older;
        total += block->size;
        free(block);
        block = older;
    }
    return total;
}

void jq_arena_fini(struct jq_arena *arena) {
    if (!arena)
        return;
    free_blocks(arena->block);
    jq_arena_init(arena);
}

void jq_arena_reset(struct jq_arena *arena) {
    arena->used = 0;
    if (!arena->block || (!arena->block->older && arena->block->size <= BLOCK_SIZE_KEPT_MAX))
        return;
    const size_t total = free_blocks(arena->block);
    arena->block = NULL;
    arena->size_next = total <= BLOCK_SIZE_KEPT_MAX ? total : BLOCK_SIZE_MIN;
}

static bool add_block(struct jq_arena *arena, size_t size_min) {
    const size_t size = size_min > arena->size_next ? size_min : arena->size_next;
    struct jq_arena_block *block = malloc(sizeof(*block) + size);
    if (!block)
        return false;
    block->older = arena->block;
    block->size = size;
    arena->block = block;
    arena->used = 0;
    arena->size_next = size * 2;
    return true;
}

void *jq_arena_alloc(struct jq_arena *arena, size_t size) {
    const size_t rounded = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    if (rounded < size)
        return NULL;
    if ((!arena->block || rounded > arena->block->size - arena->used) && !add_block(arena, rounded))
        return NULL;
    void *memory = arena->block->data + arena->used;
    arena->used += rounded;
    return memory;
}

struct jq_str jq_arena_text(struct jq_arena *arena, struct jq_str text) {
    char *copy = jq_arena_alloc(arena, text.size + 1);
    if (!copy)
        return (struct jq_str){NULL, 0};
    if (text.size > 0)
        memcpy(copy, text.data, text.size);
    copy[text.size] = '\0';
    return (struct jq_str){copy, text.size};
}
