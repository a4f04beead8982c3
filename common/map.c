#include "common/map.h"

#include "common/hash.h"

#include <stdlib.h>

enum {
    PART_COUNT = 1024,      /* of a map with more than WHOLE_COUNT_MAX keys */
    WHOLE_COUNT_MAX = 4096, /* keys in a map of one part */
    CAPACITY_MIN = 8,
};

/* The key in two halves: 12 bytes, where a uint64_t would make it 16. Key 0: free. */
struct slot {
    uint32_t key_low;
    uint32_t key_high;
    uint32_t value;
};

struct jq_map_part {
    struct slot *slots;
    uint32_t count;
    uint32_t capacity; /* any number: homes are found by multiplication, not by a mask */
};

static inline uint64_t slot_key(const struct slot *slot) {
    return (uint64_t)slot->key_high << 32 | slot->key_low;
}

/* The low bits of the hash choose the part, the high half the home in it: ascending hashes have ascending homes, so
 * that a table copied slot by slot is written almost in sequence. */
static inline uint32_t home_of(const struct jq_map_part *part, uint64_t key) {
    return (uint32_t)(((jq_hash_u64(key) >> 32) * part->capacity) >> 32);
}

static inline struct jq_map_part *part_of(const struct jq_map *map, uint64_t key) {
    return &map->parts[jq_hash_u64(key) & (map->part_count - 1)];
}

static inline uint32_t slot_after(const struct jq_map_part *part, uint32_t index) {
    return index + 1 == part->capacity ? 0 : index + 1;
}

/* Index of the slot of `key`, or of the free slot where it belongs. There always is a free one. */
static uint32_t part_find(const struct jq_map_part *part, uint64_t key) {
    uint32_t index = home_of(part, key);
    for (;;) {
        const uint64_t found = slot_key(&part->slots[index]);
        if (found == key || found == 0)
            return index;
        index = slot_after(part, index);
    }
}

static void part_set(struct jq_map_part *part, uint32_t index, uint64_t key, uint32_t value) {
    part->slots[index] = (struct slot){(uint32_t)key, (uint32_t)(key >> 32), value};
}

static bool part_resize(struct jq_map_part *part, uint64_t capacity) {
    if (capacity > UINT32_MAX)
        return false;
    struct jq_map_part next = {NULL, part->count, (uint32_t)capacity};
    next.slots = calloc(next.capacity, sizeof(*next.slots));
    if (!next.slots)
        return false;
    for (uint32_t i = 0; i < part->capacity; i++) {
        const uint64_t key = slot_key(&part->slots[i]);
        if (key != 0)
            part_set(&next, part_find(&next, key), key, part->slots[i].value);
    }
    free(part->slots);
    *part = next;
    return true;
}

/* At most four slots in five are in use. */
static bool part_make_room(struct jq_map_part *part) {
    if (((uint64_t)part->count + 1) * 5 <= (uint64_t)part->capacity * 4)
        return true;
    const uint64_t capacity = (uint64_t)part->capacity + part->capacity / 2;
    return part_resize(part, capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);
}

static bool part_put(struct jq_map_part *part, uint64_t key, uint32_t value, bool *ret_added) {
    if (part->capacity > 0) {
        const uint32_t index = part_find(part, key);
        if (slot_key(&part->slots[index]) == key) {
            part->slots[index].value = value;
            *ret_added = false;
            return true;
        }
    }
    if (!part_make_room(part))
        return false;
    part_set(part, part_find(part, key), key, value);
    part->count++;
    *ret_added = true;
    return true;
}

/* True when the entry at `from`, whose home is `home`, may not move to `hole`: home lies after hole, up to from, on the
 * ring. */
static inline bool stays(uint32_t home, uint32_t hole, uint32_t from) {
    return hole <= from ? (hole < home && home <= from) : (hole < home || home <= from);
}

static void part_close_hole(struct jq_map_part *part, uint32_t hole) {
    uint32_t from = hole;
    for (;;) {
        from = slot_after(part, from);
        const uint64_t key = slot_key(&part->slots[from]);
        if (key == 0)
            break;
        if (stays(home_of(part, key), hole, from))
            continue;
        part->slots[hole] = part->slots[from];
        hole = from;
    }
    part->slots[hole] = (struct slot){0};
}

static void part_shrink(struct jq_map_part *part) {
    if (part->capacity <= CAPACITY_MIN || (uint64_t)part->count * 6 > part->capacity)
        return;
    const uint64_t capacity = (uint64_t)part->count * 2;
    /* Out of memory is no harm here: the larger table serves as well. */
    (void)part_resize(part, capacity < CAPACITY_MIN ? CAPACITY_MIN : capacity);
}

static bool part_remove(struct jq_map_part *part, uint64_t key) {
    if (part->count == 0)
        return false;
    const uint32_t index = part_find(part, key);
    if (slot_key(&part->slots[index]) != key)
        return false;
    part_close_hole(part, index);
    part->count--;
    part_shrink(part);
    return true;
}

static void parts_free(struct jq_map_part *parts, uint32_t count) {
    for (uint32_t i = 0; i < count; i++)
        free(parts[i].slots);
    free(parts);
}

void jq_map_init(struct jq_map *map) {
    *map = (struct jq_map){0};
}

void jq_map_fini(struct jq_map *map) {
    if (!map)
        return;
    parts_free(map->parts, map->part_count);
    jq_map_init(map);
}

static bool copy_to_parts(struct jq_map *to, const struct jq_map_part *from) {
    bool added;
    for (uint32_t i = 0; i < from->capacity; i++) {
        const uint64_t key = slot_key(&from->slots[i]);
        if (key != 0 && !part_put(part_of(to, key), key, from->slots[i].value, &added))
            return false;
    }
    return true;
}

/* From one part to many. Out of memory is no harm: one part serves as well, only less evenly. */
static void cut_into_parts(struct jq_map *map) {
    struct jq_map cut = *map;
    cut.part_count = PART_COUNT;
    cut.parts = calloc(PART_COUNT, sizeof(*cut.parts));
    if (!cut.parts)
        return;
    if (!copy_to_parts(&cut, &map->parts[0])) {
        parts_free(cut.parts, PART_COUNT);
        return;
    }
    parts_free(map->parts, map->part_count);
    *map = cut;
}

static bool ensure_parts(struct jq_map *map) {
    if (map->part_count == 1 && map->count > WHOLE_COUNT_MAX)
        cut_into_parts(map);
    if (map->part_count > 0)
        return true;
    map->parts = calloc(1, sizeof(*map->parts));
    if (!map->parts)
        return false;
    map->part_count = 1;
    return true;
}

static bool put_zero(struct jq_map *map, uint32_t value) {
    map->count += map->has_zero ? 0 : 1;
    map->has_zero = true;
    map->zero_value = value;
    return true;
}

bool jq_map_put(struct jq_map *map, uint64_t key, uint32_t value) {
    if (key == 0)
        return put_zero(map, value);
    bool added;
    if (!ensure_parts(map) || !part_put(part_of(map, key), key, value, &added))
        return false;
    map->count += added ? 1 : 0;
    return true;
}

uint32_t jq_map_get(const struct jq_map *map, uint64_t key, uint32_t none) {
    if (key == 0)
        return map->has_zero ? map->zero_value : none;
    if (map->part_count == 0)
        return none;
    const struct jq_map_part *part = part_of(map, key);
    if (part->count == 0)
        return none;
    const struct slot *slot = &part->slots[part_find(part, key)];
    return slot_key(slot) == key ? slot->value : none;
}

static bool remove_zero(struct jq_map *map) {
    const bool had_zero = map->has_zero;
    map->has_zero = false;
    return had_zero;
}

bool jq_map_remove(struct jq_map *map, uint64_t key) {
    bool removed;
    if (key == 0)
        removed = remove_zero(map);
    else
        removed = map->part_count > 0 && part_remove(part_of(map, key), key);
    map->count -= removed ? 1 : 0;
    return removed;
}

size_t jq_map_memory_bytes(const struct jq_map *map) {
    size_t bytes = map->part_count * sizeof(*map->parts);
    for (uint32_t i = 0; i < map->part_count; i++)
        bytes += map->parts[i].capacity * sizeof(struct slot);
    return bytes;
}

/* The cursor: part in the high half, slot in the low one; behind the last part comes key 0, then the end. */
bool jq_map_next(const struct jq_map *map, uint64_t *cursor, uint64_t *ret_key, uint32_t *ret_value) {
    uint64_t part_index = *cursor >> 32;
    uint32_t slot_index = (uint32_t)*cursor;
    for (; part_index < map->part_count; part_index++, slot_index = 0) {
        const struct jq_map_part *part = &map->parts[part_index];
        while (slot_index < part->capacity && slot_key(&part->slots[slot_index]) == 0)
            slot_index++;
        if (slot_index == part->capacity)
            continue;
        *ret_key = slot_key(&part->slots[slot_index]);
        *ret_value = part->slots[slot_index].value;
        *cursor = part_index << 32 | (slot_index + 1);
        return true;
    }
    const bool zero_is_next = map->has_zero && part_index == map->part_count;
    *cursor = (uint64_t)(map->part_count + 1) << 32;
    if (!zero_is_next)
        return false;
    *ret_key = 0;
    *ret_value = map->zero_value;
    return true;
}
