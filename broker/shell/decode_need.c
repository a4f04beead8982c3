#include "broker/shell/decode_need.h"

#include <stdlib.h>

#include "common/need.h"

void jq_need_cache_init(struct jq_need_cache *cache) {
    *cache = (struct jq_need_cache){.oldest = 0};
}

void jq_need_cache_fini(struct jq_need_cache *cache) {
    for (size_t i = 0; i < JQ_NEED_CACHE_COUNT; i++)
        free(cache->entries[i].memory);
    jq_need_cache_init(cache);
}

static bool find(const struct jq_need_cache *cache, struct jq_str text, struct jq_str *ret_canonical) {
    for (size_t i = 0; i < JQ_NEED_CACHE_COUNT; i++) {
        const char *memory = cache->entries[i].memory;
        const size_t size = cache->entries[i].text_size;
        if (!memory || size != text.size || memcmp(memory, text.data, size) != 0)
            continue;
        *ret_canonical = (struct jq_str){memory + size, cache->entries[i].canonical_size};
        return true;
    }
    return false;
}

static enum jq_err add(struct jq_need_cache *cache, struct jq_str text, const struct jq_need *need,
                       struct jq_str *ret_canonical, struct jq_error *reterr) {
    const size_t canonical_size = jq_need_format(need, NULL, 0);
    char *memory = malloc(text.size + canonical_size + 1);
    if (!memory)
        return jq_fail(reterr, JQ_ERR_NOMEM, "need: out of memory");
    memcpy(memory, text.data, text.size);
    jq_need_format(need, memory + text.size, canonical_size + 1);
    free(cache->entries[cache->oldest].memory);
    cache->entries[cache->oldest].memory = memory;
    cache->entries[cache->oldest].text_size = text.size;
    cache->entries[cache->oldest].canonical_size = canonical_size;
    cache->oldest = (cache->oldest + 1) % JQ_NEED_CACHE_COUNT;
    *ret_canonical = (struct jq_str){memory + text.size, canonical_size};
    return JQ_OK;
}

enum jq_err jq_need_cache_get(struct jq_need_cache *cache, struct jq_str text, struct jq_str *ret_canonical,
                              struct jq_error *reterr) {
    if (find(cache, text, ret_canonical))
        return JQ_OK;
    struct jq_need need;
    enum jq_err err = jq_need_parse(text, &need, reterr);
    if (err != JQ_OK)
        return err;
    err = add(cache, text, &need, ret_canonical, reterr);
    jq_need_fini(&need);
    return err;
}
