#include "broker/core/slab.h"

#include <stdlib.h>

#include "common/err.h"

void jq_slab_init(struct jq_slab *slab, size_t item_size_bytes) {
    *slab = (struct jq_slab){.item_size_bytes = (item_size_bytes + 7) & ~(size_t)7, .fresh = 1};
}

void jq_slab_fini(struct jq_slab *slab) {
    for (uint32_t i = 0; i < slab->page_count; i++) {
        free(slab->pages[i]);
    }
    free(slab->pages);
    *slab = (struct jq_slab){0};
}

static void add_page(struct jq_slab *slab) {
    if (slab->page_count == slab->page_capacity) {
        const uint32_t capacity = slab->page_capacity ? slab->page_capacity * 2 : 16;
        uint8_t **pages = realloc(slab->pages, capacity * sizeof(*pages));
        JQ_CHECK(pages != NULL);
        slab->pages = pages;
        slab->page_capacity = capacity;
    }
    uint8_t *page = malloc(JQ_SLAB_PAGE_COUNT * slab->item_size_bytes);
    JQ_CHECK(page != NULL);
    slab->pages[slab->page_count++] = page;
}

uint32_t jq_slab_take(struct jq_slab *slab) {
    uint32_t ref = slab->free_head;
    if (ref != 0) {
        memcpy(&slab->free_head, jq_slab_at(slab, ref), sizeof(slab->free_head));
    } else {
        ref = slab->fresh++;
        if (ref >> JQ_SLAB_PAGE_BITS >= slab->page_count) {
            add_page(slab);
        }
    }
    slab->used_count++;
    memset(jq_slab_at(slab, ref), 0, slab->item_size_bytes);
    return ref;
}

void jq_slab_give(struct jq_slab *slab, uint32_t ref) {
    JQ_CHECK(ref != 0 && slab->used_count > 0);
    memcpy(jq_slab_at(slab, ref), &slab->free_head, sizeof(slab->free_head));
    slab->free_head = ref;
    slab->used_count--;
}
