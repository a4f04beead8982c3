#include "broker/shell/output_store.h"

#include <stdlib.h>

#include "common/list.h"
#include "common/map.h"

#define NONE UINT32_MAX

enum { CAPACITY_MIN = 1024 };

/* The last `size` bytes in front of place `end`. */
struct stream {
    uint8_t *data;
    size_t size, capacity;
    uint64_t end;
};

struct entry {
    struct jq_list used; /* in store->by_use: the one told of last stands behind */
    uint64_t task, token;
    int64_t read_ms;
    struct stream streams[JQ_OUTPUT_STREAMS];
    uint32_t index;
};

struct jq_output_store {
    uint64_t bytes, bytes_max;
    struct jq_map by_task; /* -> index in entries */
    struct jq_list by_use;
    struct entry **entries;
    uint32_t count, capacity;
};

static uint64_t weight_of(const struct entry *entry) {
    return sizeof(*entry) + entry->streams[0].capacity + entry->streams[1].capacity;
}

static struct entry *find(const struct jq_output_store *store, uint64_t task) {
    const uint32_t index = jq_map_get(&store->by_task, task, NONE);
    return index == NONE ? NULL : store->entries[index];
}

static void forget(struct jq_output_store *store, struct entry *entry) {
    store->bytes -= weight_of(entry);
    (void)jq_map_remove(&store->by_task, entry->task);
    jq_list_remove(&entry->used);
    /* The last one takes its place. */
    struct entry *last = store->entries[--store->count];
    store->entries[entry->index] = last;
    last->index = entry->index;
    if (last != entry)
        (void)jq_map_put(&store->by_task, last->task, last->index);
    free(entry->streams[0].data);
    free(entry->streams[1].data);
    free(entry);
}

static struct entry *add(struct jq_output_store *store, uint64_t task) {
    if (store->count == store->capacity) {
        const uint32_t capacity = store->capacity ? store->capacity * 2 : 64;
        struct entry **entries = realloc((void *)store->entries, capacity * sizeof(*entries));
        if (entries == NULL)
            return NULL;
        store->entries = entries;
        store->capacity = capacity;
    }
    struct entry *entry = calloc(1, sizeof(*entry));
    if (entry == NULL || !jq_map_put(&store->by_task, task, store->count)) {
        free(entry);
        return NULL;
    }
    entry->task = task;
    entry->index = store->count;
    store->entries[store->count++] = entry;
    jq_list_init(&entry->used);
    store->bytes += weight_of(entry);
    return entry;
}

static bool reserve(struct jq_output_store *store, struct stream *stream, size_t size) {
    size_t capacity = stream->capacity ? stream->capacity : CAPACITY_MIN;
    while (capacity < size)
        capacity *= 2;
    if (capacity == stream->capacity)
        return true;
    uint8_t *data = realloc(stream->data, capacity);
    if (data == NULL)
        return false;
    store->bytes += capacity - stream->capacity;
    stream->data = data;
    stream->capacity = capacity;
    return true;
}

static void append(struct jq_output_store *store, struct stream *stream, struct jq_bytes bytes) {
    const size_t extra = bytes.size > JQ_OUTPUT_KEPT_MAX ? bytes.size - JQ_OUTPUT_KEPT_MAX : 0;
    stream->end += bytes.size;
    bytes.data += extra;
    bytes.size -= extra;
    const size_t room = JQ_OUTPUT_KEPT_MAX - bytes.size;
    const size_t kept = stream->size < room ? stream->size : room;
    if (bytes.size == 0)
        return;
    if (!reserve(store, stream, kept + bytes.size)) {
        stream->size = 0;
        return;
    }
    memmove(stream->data, stream->data + (stream->size - kept), kept);
    memcpy(stream->data + kept, bytes.data, bytes.size);
    stream->size = kept + bytes.size;
}

static struct entry *open_entry(struct jq_output_store *store, uint64_t task, uint64_t token) {
    struct entry *entry = find(store, task);
    if (entry != NULL && entry->token != token) {
        for (int i = 0; i < JQ_OUTPUT_STREAMS; i++)
            entry->streams[i].size = 0, entry->streams[i].end = 0;
    }
    entry = entry != NULL ? entry : add(store, task);
    if (entry != NULL) {
        entry->token = token;
        jq_list_remove(&entry->used);
        jq_list_push_back(&store->by_use, &entry->used);
    }
    return entry;
}

void jq_output_store_put(struct jq_output_store *store, jq_task_id task, jq_lease_token token, int stream, uint64_t at,
                         struct jq_bytes bytes) {
    struct entry *entry = open_entry(store, task.value, token.value);
    if (entry == NULL)
        return;
    struct stream *to = &entry->streams[stream];
    const uint64_t known = to->end > at ? to->end - at : 0;
    if (at > to->end) {
        to->size = 0;
        to->end = at;
    }
    if (known < bytes.size)
        append(store, to, (struct jq_bytes){bytes.data + known, bytes.size - (size_t)known});
    while (store->bytes > store->bytes_max && store->count > 0)
        forget(store, JQ_CONTAINER_OF(jq_list_first(&store->by_use), struct entry, used));
}

bool jq_output_store_get(struct jq_output_store *store, jq_task_id task, int stream, size_t size_max, uint64_t *at,
                         struct jq_bytes *ret_bytes, uint64_t *ret_end) {
    const struct entry *entry = find(store, task.value);
    if (entry == NULL)
        return false;
    const struct stream *from = &entry->streams[stream];
    const uint64_t oldest = from->end - from->size;
    *at = *at < oldest || *at > from->end ? oldest : *at; /* beyond the end: that was another attempt's */
    const uint64_t left = from->end - *at;
    *ret_bytes = (struct jq_bytes){from->data != NULL ? from->data + (*at - oldest) : NULL,
                                   left < size_max ? (size_t)left : size_max};
    *ret_end = from->end;
    return true;
}

jq_lease_token jq_output_store_token(const struct jq_output_store *store, jq_task_id task) {
    const struct entry *entry = find(store, task.value);
    return (jq_lease_token){entry != NULL ? entry->token : 0};
}

void jq_output_store_set_read(struct jq_output_store *store, jq_task_id task, int64_t now_ms) {
    struct entry *entry = find(store, task.value);
    if (entry != NULL)
        entry->read_ms = now_ms;
}

int64_t jq_output_store_read_ms(const struct jq_output_store *store, jq_task_id task) {
    const struct entry *entry = find(store, task.value);
    return entry != NULL ? entry->read_ms : 0;
}

uint64_t jq_output_store_bytes(const struct jq_output_store *store) {
    return store->bytes;
}

struct jq_output_store *jq_output_store_new(uint64_t bytes_max) {
    struct jq_output_store *store = calloc(1, sizeof(*store));
    if (store != NULL) {
        store->bytes_max = bytes_max;
        jq_map_init(&store->by_task);
        jq_list_init(&store->by_use);
    }
    return store;
}

void jq_output_store_free(struct jq_output_store *store) {
    if (store == NULL)
        return;
    while (store->count > 0)
        forget(store, store->entries[store->count - 1]);
    jq_map_fini(&store->by_task);
    free((void *)store->entries);
    free(store);
}
