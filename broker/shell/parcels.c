#include "broker/shell/parcels.h"

#include <stdlib.h>

#include "common/list.h"

void jq_parcels_init(struct jq_parcels *parcels, const struct jq_decode_config *decode, size_t count_max) {
    *parcels = (struct jq_parcels){.count_max = count_max};
    if (decode != NULL)
        parcels->decode = *decode;
    else
        jq_decode_config_init(&parcels->decode);
    JQ_CHECK(pthread_mutex_init(&parcels->lock, NULL) == 0);
}

static struct jq_parcel *new_parcel(struct jq_parcels *parcels) {
    struct jq_parcel *parcel = calloc(1, sizeof(*parcel));
    if (parcel == NULL)
        return NULL;
    parcel->parcels = parcels;
    parcel->decoder = jq_decoder_new(&parcels->decode);
    if (parcel->decoder != NULL)
        return parcel;
    free(parcel);
    return NULL;
}

static void done(struct jq_inbound *inbound) {
    jq_parcels_give(JQ_CONTAINER_OF(inbound, struct jq_parcel, inbound));
}

struct jq_parcel *jq_parcels_take(struct jq_parcels *parcels) {
    pthread_mutex_lock(&parcels->lock);
    struct jq_parcel *parcel = parcels->pool;
    if (parcel != NULL) {
        parcels->pool = parcel->next;
        parcels->count--;
    }
    pthread_mutex_unlock(&parcels->lock);
    if (parcel == NULL)
        parcel = new_parcel(parcels);
    if (parcel != NULL)
        parcel->inbound = (struct jq_inbound){.done = done};
    return parcel;
}

void jq_parcels_give(struct jq_parcel *parcel) {
    struct jq_parcels *parcels = parcel->parcels;
    pthread_mutex_lock(&parcels->lock);
    const bool keep = parcels->count < parcels->count_max;
    if (keep) {
        parcel->next = parcels->pool;
        parcels->pool = parcel;
        parcels->count++;
    }
    pthread_mutex_unlock(&parcels->lock);
    if (keep)
        return;
    jq_decoder_free(parcel->decoder);
    free(parcel);
}
