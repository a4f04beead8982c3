/* kept.h - an effect of the core, copied whole: what the core lends for one call stays for as long as a test needs it. */
#ifndef JQ_TESTS_LIB_KEPT_H
#define JQ_TESTS_LIB_KEPT_H

#include "broker/core/effect.h"
#include "broker/shell/release.h"

struct kept_chunk;

struct kept {
    struct jq_release_item item; /* the tester's, to hold it back by release.h; first: an item is its kept */
    struct jq_effect effect;     /* arrays and texts owned; bodies are places in the log */
    struct kept *next;           /* the tester's */
    struct kept_chunk *chunks;
};

struct kept *kept_copy(const struct jq_effect *effect);
void kept_free(struct kept *kept); /* takes NULL */

#endif
