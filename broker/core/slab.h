/* slab.h - fixed-size entries named by 32-bit references: half the size of pointers, stable, never moved.
 *
 * Reference 0 is none. Memory grows a page at a time and is kept for reuse; a fresh entry is zeroed.
 */
#ifndef JQ_BROKER_CORE_SLAB_H
#define JQ_BROKER_CORE_SLAB_H

#include "common/types.h"

enum { JQ_SLAB_PAGE_BITS = 10, JQ_SLAB_PAGE_COUNT = 1 << JQ_SLAB_PAGE_BITS };

struct jq_slab {
    uint8_t **pages;
    size_t item_size_bytes;
    uint32_t page_count, page_capacity;
    uint32_t used_count; /* entries in use */
    uint32_t fresh;      /* the next reference never handed out */
    uint32_t free_head;  /* freed entries, linked through their first four bytes */
};

void jq_slab_init(struct jq_slab *slab, size_t item_size_bytes);
void jq_slab_fini(struct jq_slab *slab);
uint32_t jq_slab_take(struct jq_slab *slab);
void jq_slab_give(struct jq_slab *slab, uint32_t ref);

static inline void *jq_slab_at(const struct jq_slab *slab, uint32_t ref) {
    return slab->pages[ref >> JQ_SLAB_PAGE_BITS] + (size_t)(ref & (JQ_SLAB_PAGE_COUNT - 1)) * slab->item_size_bytes;
}

/* Bytes held from the system. */
static inline uint64_t jq_slab_bytes(const struct jq_slab *slab) {
    return (uint64_t)slab->page_count * JQ_SLAB_PAGE_COUNT * slab->item_size_bytes;
}

#endif
