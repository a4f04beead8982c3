/* map.h - hash maps from a number, or from a text, to a uint32_t (an index into somebody's table).
 *
 * jq_map is an open-addressing table with linear probing (Knuth, TAOCP 3, 6.4, algorithms L and R: a removal shifts the
 * cluster back, there are no tombstones). From a few thousand keys on it is cut by hash into 1,024 parts that grow, and
 * shrink, each on its own: one operation moves at most a thousandth of the keys, so growth at ten million keys takes
 * well below a millisecond. 12 bytes a slot, loaded between 0.53 and 0.8 while it grows: 15 to 23 bytes a key.
 *
 * Keys are mixed by jq_hash_u64(), which is public: where strangers choose the keys, hash them with a secret seed
 * first. The order of iteration is arbitrary, but the same for the same history of operations on every machine.
 */
#ifndef JQ_COMMON_MAP_H
#define JQ_COMMON_MAP_H

#include "common/types.h"

struct jq_map_part;

struct jq_map {
    struct jq_map_part *parts; /* NULL while empty */
    uint32_t part_count;       /* 0, 1 or 1024 */
    bool has_zero;             /* key 0 marks a free slot: its value is kept here */
    uint32_t zero_value;
    size_t count;
};

/* Takes no memory until the first put. fini may be called twice, and on zeroed memory. */
void jq_map_init(struct jq_map *map);
void jq_map_fini(struct jq_map *map);

/* Sets the value of `key`, new or not. False when out of memory: then nothing has changed. */
bool jq_map_put(struct jq_map *map, uint64_t key, uint32_t value);

/* The value of `key`, or `none`. */
uint32_t jq_map_get(const struct jq_map *map, uint64_t key, uint32_t none);

/* True if the key was there. Never fails. */
bool jq_map_remove(struct jq_map *map, uint64_t key);

static inline size_t jq_map_count(const struct jq_map *map) {
    return map->count;
}

/* Bytes of memory held. */
size_t jq_map_memory_bytes(const struct jq_map *map);

/* `uint64_t cursor = 0; while (jq_map_next(&map, &cursor, &key, &value))`: each key once. The map must not change
 * meanwhile. */
bool jq_map_next(const struct jq_map *map, uint64_t *cursor, uint64_t *ret_key, uint32_t *ret_value);

/* Text to number. Keys are copied, may hold any bytes, and are at most UINT32_MAX bytes. Hashed under a seed: with a
 * secret one nobody outside can choose keys that collide. Each key costs one allocation and about 35 bytes more. */
struct jq_strmap_cell;

struct jq_strmap {
    struct jq_map heads; /* hash -> index of the first cell with that hash */
    struct jq_strmap_cell **chunks;
    size_t chunk_count;
    uint32_t used;      /* cells ever handed out */
    uint32_t free_head; /* chain of free cells, or UINT32_MAX */
    size_t count;
    uint64_t seed;
    uint64_t hash_mask; /* all ones; tests narrow it to make hashes collide */
};

void jq_strmap_init(struct jq_strmap *map, uint64_t seed);
void jq_strmap_fini(struct jq_strmap *map);

/* As for jq_map. */
bool jq_strmap_put(struct jq_strmap *map, struct jq_str key, uint32_t value);
uint32_t jq_strmap_get(const struct jq_strmap *map, struct jq_str key, uint32_t none);
bool jq_strmap_remove(struct jq_strmap *map, struct jq_str key);

static inline size_t jq_strmap_count(const struct jq_strmap *map) {
    return map->count;
}

/* Iteration, with a cursor that starts at 0. The key lent ends with its removal. The map must not change meanwhile. */
bool jq_strmap_next(const struct jq_strmap *map, uint32_t *cursor, struct jq_str *ret_key, uint32_t *ret_value);

#endif
