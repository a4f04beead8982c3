/* decode_need.h - canonical texts of the needs seen last: a batch of equal needs costs one parse. */
#ifndef JQ_BROKER_SHELL_DECODE_NEED_H
#define JQ_BROKER_SHELL_DECODE_NEED_H

#include "common/err.h"
#include "common/types.h"

enum { JQ_NEED_CACHE_COUNT = 4 };

struct jq_need_cache {
    struct {
        char *memory; /* the text, then its canonical form; NULL: free */
        size_t text_size, canonical_size;
    } entries[JQ_NEED_CACHE_COUNT];
    unsigned oldest; /* the entry that goes next */
};

void jq_need_cache_init(struct jq_need_cache *cache);
void jq_need_cache_fini(struct jq_need_cache *cache);

/* The canonical form of `text`, which lives until the next call. Fails as jq_need_parse() does. */
enum jq_err jq_need_cache_get(struct jq_need_cache *cache, struct jq_str text, struct jq_str *ret_canonical,
                              struct jq_error *reterr);

#endif
