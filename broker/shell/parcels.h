/* parcels.h - memory of what comes in from the net: an event with the decoder that holds all it points to, pooled.
 *
 * take -> decode into parcel->inbound.event -> push (the core thread gives it back by inbound.done) or give.
 * Threads: any.
 */
#ifndef JQ_BROKER_SHELL_PARCELS_H
#define JQ_BROKER_SHELL_PARCELS_H

#include <pthread.h>

#include "broker/shell/decode.h"
#include "broker/shell/inbound.h"

struct jq_parcels;

struct jq_parcel {
    struct jq_inbound inbound;
    struct jq_decoder *decoder;
    struct jq_parcels *parcels;
    struct jq_parcel *next; /* in the pool */
};

struct jq_parcels {
    pthread_mutex_t lock;
    struct jq_decode_config decode;
    struct jq_parcel *pool;
    size_t count, count_max; /* of parcels that rest in the pool; what is given back beyond is freed */
};

/* Lives as long as the process: parcels come back from the core thread at any time. `decode` as in jq_decoder_new(). */
void jq_parcels_init(struct jq_parcels *parcels, const struct jq_decode_config *decode, size_t count_max);

/* With `inbound.done` set, all else of `inbound` zero. NULL: out of memory. */
struct jq_parcel *jq_parcels_take(struct jq_parcels *parcels);
void jq_parcels_give(struct jq_parcel *parcel);

#endif
