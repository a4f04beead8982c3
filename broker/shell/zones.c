#include "broker/shell/zones.h"

#include <stdlib.h>

#include "broker/shell/inbound.h"
#include "common/list.h"
#include "common/log.h"
#include "common/zone_file.h"

enum { ZONES_MAX = 1024 /* kept at one time; the data base has about 600 names */ };

struct entry {
    char name[JQ_ZONE_NAME_SIZE_MAX + 1];
    size_t name_size;
    struct jq_zone *zone;
};

struct jq_zones {
    struct entry entries[ZONES_MAX];
    size_t count;
};

enum jq_err jq_zones_new(struct jq_zones **ret_zones, struct jq_error *reterr) {
    struct jq_zones *zones = calloc(1, sizeof(*zones));
    if (zones == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "time zones");
    *ret_zones = zones;
    return JQ_OK;
}

static void clear(struct jq_zones *zones) {
    for (size_t i = 0; i < zones->count; i++)
        jq_zone_free(zones->entries[i].zone);
    zones->count = 0;
}

const struct jq_zone *jq_zones_find(void *ctx, struct jq_str name) {
    struct jq_zones *zones = ctx;
    struct jq_error error;
    for (size_t i = 0; i < zones->count; i++) {
        const struct entry *entry = &zones->entries[i];
        if (entry->name_size == name.size && memcmp(entry->name, name.data, name.size) == 0)
            return entry->zone;
    }
    if (zones->count == ZONES_MAX)
        return NULL;
    struct entry *entry = &zones->entries[zones->count];
    const enum jq_err err = jq_zone_read(name, &entry->zone, &error);
    if (err != JQ_OK) {
        if (err != JQ_ERR_NOT_FOUND && err != JQ_ERR_INVALID)
            JQ_LOG_WARN("a time zone cannot be read", JQ_F_TEXT("zone", name), JQ_F_ERR(&error));
        return NULL;
    }
    memcpy(entry->name, name.data, name.size);
    entry->name_size = name.size;
    zones->count++;
    return entry->zone;
}

/* ---- reading them anew ---- */

struct renewal {
    struct jq_inbound errand, event;
    struct jq_zones *zones;
};

static void forget_all(struct jq_inbound *inbound) {
    struct renewal *renewal = JQ_CONTAINER_OF(inbound, struct renewal, errand);
    clear(renewal->zones);
}

static void errand_done(struct jq_inbound *inbound) {
    (void)inbound; /* The event behind it is of the same allocation. */
}

static void event_done(struct jq_inbound *inbound) {
    free(JQ_CONTAINER_OF(inbound, struct renewal, event));
}

void jq_zones_reload(struct jq_zones *zones, struct jq_inbox *inbox) {
    struct renewal *renewal = calloc(1, sizeof(*renewal));
    if (renewal == NULL)
        return; /* They stay as they are. */
    renewal->zones = zones;
    renewal->errand = (struct jq_inbound){.errand = forget_all, .done = errand_done};
    renewal->event = (struct jq_inbound){.event.type = JQ_EVENT_ZONES, .done = event_done};
    jq_inbox_push(inbox, &renewal->errand.item);
    jq_inbox_push(inbox, &renewal->event.item);
}
