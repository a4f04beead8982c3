#include "common/err.h"
#include "common/hash.h"
#include "common/map.h"

#include <stdlib.h>

/* Cells with one hash form a chain. Two different texts with one 64-bit hash are not expected in the life of a machine,
 * but the map is right all the same. Cells lie in chunks that never move, so that no operation copies them all. */
enum { CHUNK_SIZE = 1024 };
static const uint32_t no_cell = UINT32_MAX;

struct text {
    uint32_t size;
    char data[];
};

struct jq_strmap_cell {
    struct text *text; /* NULL: free */
    uint32_t value;
    uint32_t next; /* in the chain of one hash, or of free cells */
};

static inline struct jq_strmap_cell *cell_at(const struct jq_strmap *map, uint32_t index) {
    return &map->chunks[index / CHUNK_SIZE][index % CHUNK_SIZE];
}

static inline uint64_t hash_of(const struct jq_strmap *map, struct jq_str key) {
    return jq_hash_bytes(key.data, key.size, map->seed) & map->hash_mask;
}

static inline struct jq_str text_of(const struct jq_strmap_cell *cell) {
    return (struct jq_str){cell->text->data, cell->text->size};
}

void jq_strmap_init(struct jq_strmap *map, uint64_t seed) {
    *map = (struct jq_strmap){.free_head = no_cell, .seed = seed, .hash_mask = UINT64_MAX};
    jq_map_init(&map->heads);
}

void jq_strmap_fini(struct jq_strmap *map) {
    if (!map)
        return;
    for (uint32_t i = 0; i < map->used; i++)
        free(cell_at(map, i)->text);
    for (size_t i = 0; i < map->chunk_count; i++)
        free(map->chunks[i]);
    free(map->chunks);
    jq_map_fini(&map->heads);
    jq_strmap_init(map, map->seed);
}

/* The cell of `key` in the chain from `index`, or no_cell. ret_before: the cell before it in the chain, or no_cell. */
static uint32_t chain_find(const struct jq_strmap *map, uint32_t index, struct jq_str key, uint32_t *ret_before) {
    uint32_t before = no_cell;
    while (index != no_cell && !jq_str_equal(text_of(cell_at(map, index)), key)) {
        before = index;
        index = cell_at(map, index)->next;
    }
    *ret_before = before;
    return index;
}

static uint32_t find(const struct jq_strmap *map, struct jq_str key) {
    uint32_t before;
    return chain_find(map, jq_map_get(&map->heads, hash_of(map, key), no_cell), key, &before);
}

static bool add_chunk(struct jq_strmap *map) {
    struct jq_strmap_cell **chunks = realloc(map->chunks, (map->chunk_count + 1) * sizeof(*chunks));
    if (!chunks)
        return false;
    map->chunks = chunks;
    chunks[map->chunk_count] = calloc(CHUNK_SIZE, sizeof(*chunks[0]));
    if (!chunks[map->chunk_count])
        return false;
    map->chunk_count++;
    return true;
}

/* A free cell, or no_cell when out of memory. It stays free until cell_use(). */
static uint32_t free_cell(struct jq_strmap *map) {
    if (map->free_head != no_cell)
        return map->free_head;
    if (map->used == no_cell || (map->used / CHUNK_SIZE == map->chunk_count && !add_chunk(map)))
        return no_cell;
    const uint32_t index = map->used++;
    *cell_at(map, index) = (struct jq_strmap_cell){.next = no_cell};
    map->free_head = index;
    return index;
}

static struct text *text_new(struct jq_str key) {
    if (key.size > UINT32_MAX)
        return NULL;
    struct text *text = malloc(sizeof(*text) + key.size);
    if (!text)
        return NULL;
    text->size = (uint32_t)key.size;
    if (key.size > 0)
        memcpy(text->data, key.data, key.size);
    return text;
}

static bool add(struct jq_strmap *map, uint64_t hash, struct jq_str key, uint32_t value) {
    const uint32_t index = free_cell(map);
    if (index == no_cell)
        return false;
    struct text *text = text_new(key);
    if (!text)
        return false;
    const uint32_t head = jq_map_get(&map->heads, hash, no_cell);
    if (!jq_map_put(&map->heads, hash, index)) {
        free(text);
        return false;
    }
    struct jq_strmap_cell *cell = cell_at(map, index);
    map->free_head = cell->next;
    *cell = (struct jq_strmap_cell){text, value, head};
    map->count++;
    return true;
}

bool jq_strmap_put(struct jq_strmap *map, struct jq_str key, uint32_t value) {
    const uint64_t hash = hash_of(map, key);
    uint32_t before;
    const uint32_t index = chain_find(map, jq_map_get(&map->heads, hash, no_cell), key, &before);
    if (index == no_cell)
        return add(map, hash, key, value);
    cell_at(map, index)->value = value;
    return true;
}

uint32_t jq_strmap_get(const struct jq_strmap *map, struct jq_str key, uint32_t none) {
    const uint32_t index = find(map, key);
    return index == no_cell ? none : cell_at(map, index)->value;
}

static void unlink_cell(struct jq_strmap *map, uint64_t hash, uint32_t before, uint32_t next) {
    if (before != no_cell)
        cell_at(map, before)->next = next;
    else if (next == no_cell)
        jq_map_remove(&map->heads, hash);
    else
        JQ_CHECK(jq_map_put(&map->heads, hash, next)); /* The key is there: no memory is needed. */
}

bool jq_strmap_remove(struct jq_strmap *map, struct jq_str key) {
    const uint64_t hash = hash_of(map, key);
    uint32_t before;
    const uint32_t index = chain_find(map, jq_map_get(&map->heads, hash, no_cell), key, &before);
    if (index == no_cell)
        return false;
    struct jq_strmap_cell *cell = cell_at(map, index);
    unlink_cell(map, hash, before, cell->next);
    free(cell->text);
    *cell = (struct jq_strmap_cell){.next = map->free_head};
    map->free_head = index;
    map->count--;
    return true;
}

bool jq_strmap_next(const struct jq_strmap *map, uint32_t *cursor, struct jq_str *ret_key, uint32_t *ret_value) {
    while (*cursor < map->used) {
        const struct jq_strmap_cell *cell = cell_at(map, (*cursor)++);
        if (!cell->text)
            continue;
        *ret_key = text_of(cell);
        *ret_value = cell->value;
        return true;
    }
    return false;
}
