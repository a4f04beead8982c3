/* heap.h - a 4-ary min-heap of (key, ref), which tells its owner where each ref lies.
 *
 * `key` is what sorts (a time, in general), `ref` names the owner's thing. Order is by key, then by ref, so that the
 * minimum depends on what is in the heap and not on how it got there. A position is index + 1; 0 means: not in the
 * heap. The owner keeps the position of each ref by the callback `moved`, and hands it back to remove or update in
 * O(log n). (Four children to a node: Johnson, "Priority queues with update and finding minimum spanning trees", 1975.)
 */
#ifndef JQ_COMMON_HEAP_H
#define JQ_COMMON_HEAP_H

#include "common/types.h"

struct jq_heap_entry {
    int64_t key;
    uint32_t ref;
};

struct jq_heap {
    struct jq_heap_entry *entries;
    uint32_t count;
    uint32_t capacity;
    void (*moved)(void *ctx, uint32_t ref, uint32_t position); /* may be NULL; must not touch the heap */
    void *ctx;
};

/* Takes no memory until the first put. fini tells nobody, may be called twice, and on zeroed memory. */
void jq_heap_init(struct jq_heap *heap, void (*moved)(void *ctx, uint32_t ref, uint32_t position), void *ctx);
void jq_heap_fini(struct jq_heap *heap);

/* False when out of memory: then nothing has changed. */
bool jq_heap_put(struct jq_heap *heap, int64_t key, uint32_t ref);

/* Takes out the entry at `position`, and tells that its ref is at 0 now. A position that is not in use is a programming
 * error. */
void jq_heap_remove(struct jq_heap *heap, uint32_t position);

/* Gives the entry at `position` another key. */
void jq_heap_update(struct jq_heap *heap, uint32_t position, int64_t key);

/* The least entry (at position 1), or NULL when empty. Lent until the next change. */
static inline const struct jq_heap_entry *jq_heap_min(const struct jq_heap *heap) {
    return heap->count > 0 ? &heap->entries[0] : NULL;
}

#endif
