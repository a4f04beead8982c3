#include "common/heap.h"

#include "common/err.h"

#include <stdlib.h>

enum { CHILD_COUNT = 4, CAPACITY_MIN = 16 };

static inline bool before(const struct jq_heap_entry *a, const struct jq_heap_entry *b) {
    return a->key != b->key ? a->key < b->key : a->ref < b->ref;
}

static inline void tell(const struct jq_heap *heap, uint32_t ref, uint32_t position) {
    if (heap->moved)
        heap->moved(heap->ctx, ref, position);
}

static inline void place(struct jq_heap *heap, uint32_t index, struct jq_heap_entry entry) {
    heap->entries[index] = entry;
    tell(heap, entry.ref, index + 1);
}

void jq_heap_init(struct jq_heap *heap, void (*moved)(void *ctx, uint32_t ref, uint32_t position), void *ctx) {
    *heap = (struct jq_heap){.moved = moved, .ctx = ctx};
}

void jq_heap_fini(struct jq_heap *heap) {
    if (!heap)
        return;
    free(heap->entries);
    jq_heap_init(heap, heap->moved, heap->ctx);
}

static bool grow(struct jq_heap *heap) {
    const uint64_t wanted = heap->capacity > 0 ? (uint64_t)heap->capacity + heap->capacity / 2 : CAPACITY_MIN;
    if (wanted >= UINT32_MAX)
        return false;
    struct jq_heap_entry *entries = realloc(heap->entries, wanted * sizeof(*entries));
    if (!entries)
        return false;
    heap->entries = entries;
    heap->capacity = (uint32_t)wanted;
    return true;
}

/* Both sifts move a hole, and put `entry` where the hole comes to rest. */
static void sift_up(struct jq_heap *heap, uint32_t hole, struct jq_heap_entry entry) {
    while (hole > 0) {
        const uint32_t parent = (hole - 1) / CHILD_COUNT;
        if (!before(&entry, &heap->entries[parent]))
            break;
        place(heap, hole, heap->entries[parent]);
        hole = parent;
    }
    place(heap, hole, entry);
}

/* Index of the least child, or `count` when there is none. */
static uint32_t least_child(const struct jq_heap *heap, uint32_t parent) {
    const uint64_t first = (uint64_t)parent * CHILD_COUNT + 1;
    if (first >= heap->count)
        return heap->count;
    const uint64_t end = first + CHILD_COUNT < heap->count ? first + CHILD_COUNT : heap->count;
    uint32_t least = (uint32_t)first;
    for (uint32_t child = least + 1; child < end; child++) {
        if (before(&heap->entries[child], &heap->entries[least]))
            least = child;
    }
    return least;
}

static void sift_down(struct jq_heap *heap, uint32_t hole, struct jq_heap_entry entry) {
    for (;;) {
        const uint32_t child = least_child(heap, hole);
        if (child == heap->count || !before(&heap->entries[child], &entry))
            break;
        place(heap, hole, heap->entries[child]);
        hole = child;
    }
    place(heap, hole, entry);
}

static void sift(struct jq_heap *heap, uint32_t hole, struct jq_heap_entry entry) {
    if (hole > 0 && before(&entry, &heap->entries[(hole - 1) / CHILD_COUNT]))
        sift_up(heap, hole, entry);
    else
        sift_down(heap, hole, entry);
}

bool jq_heap_put(struct jq_heap *heap, int64_t key, uint32_t ref) {
    if (heap->count == heap->capacity && !grow(heap))
        return false;
    sift_up(heap, heap->count++, (struct jq_heap_entry){.key = key, .ref = ref});
    return true;
}

void jq_heap_remove(struct jq_heap *heap, uint32_t position) {
    JQ_CHECK(position > 0 && position <= heap->count);
    const uint32_t index = position - 1;
    const uint32_t ref = heap->entries[index].ref;
    const struct jq_heap_entry last = heap->entries[--heap->count];
    if (index < heap->count)
        sift(heap, index, last);
    tell(heap, ref, 0);
}

void jq_heap_update(struct jq_heap *heap, uint32_t position, int64_t key) {
    JQ_CHECK(position > 0 && position <= heap->count);
    const uint32_t index = position - 1;
    sift(heap, index, (struct jq_heap_entry){.key = key, .ref = heap->entries[index].ref});
}
