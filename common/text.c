#define _GNU_SOURCE
#include "common/text.h"

#include <inttypes.h>
#include <stdio.h>

enum { QUOTED_SIZE_MAX = 60 };

/* Refuses `text`, of which the message quotes the start. */
static enum jq_err refuse(struct jq_error *reterr, enum jq_err code, struct jq_str text, const char *reason) {
    const bool cut = text.size > QUOTED_SIZE_MAX;
    const struct jq_str start = {text.data, cut ? QUOTED_SIZE_MAX : text.size};
    return jq_fail(reterr, code, "'%.*s%s': %s", JQ_STR_ARG(start), cut ? "..." : "", reason);
}

static inline bool is_digit(char c) {
    return c >= '0' && c <= '9';
}

/* Takes the digits off the start of *text. False when there is none, or when they pass UINT64_MAX (*ret_over then). */
static bool take_digits(struct jq_str *text, uint64_t *ret_value, bool *ret_over) {
    size_t size = 0;
    uint64_t value = 0;
    *ret_over = false;
    for (; size < text->size && is_digit(text->data[size]); size++) {
        const uint64_t digit = (uint64_t)(text->data[size] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            *ret_over = true;
        else
            value = value * 10 + digit;
    }
    *text = (struct jq_str){text->data + size, text->size - size};
    *ret_value = value;
    return size > 0 && !*ret_over;
}

static const struct unit {
    const char *name;
    uint64_t ms;
} duration_units[] = {{"d", 86400000}, {"h", 3600000}, {"m", 60000}, {"s", 1000}, {"ms", 1}};
enum { DURATION_UNIT_COUNT = sizeof(duration_units) / sizeof(duration_units[0]) };

/* Takes the letters off the start of *text. Index of the unit, or DURATION_UNIT_COUNT. */
static size_t take_duration_unit(struct jq_str *text) {
    size_t size = 0;
    while (size < text->size && !is_digit(text->data[size]))
        size++;
    const struct jq_str name = {text->data, size};
    *text = (struct jq_str){text->data + size, text->size - size};
    size_t unit = 0;
    while (unit < DURATION_UNIT_COUNT && !jq_str_equal(name, jq_str_of(duration_units[unit].name)))
        unit++;
    return unit;
}

enum jq_err jq_text_parse_duration(struct jq_str text, int64_t *ret_ms, struct jq_error *reterr) {
    struct jq_str rest = text;
    uint64_t total = 0;
    size_t next_unit = 0;
    if (jq_str_equal(text, JQ_STR("0"))) {
        *ret_ms = 0;
        return JQ_OK;
    }
    do {
        uint64_t count;
        bool over;
        if (!take_digits(&rest, &count, &over) && !over)
            return refuse(reterr, JQ_ERR_INVALID, text, "not a duration such as 250ms, 5s or 1h30m");
        const size_t unit = take_duration_unit(&rest);
        if (unit == DURATION_UNIT_COUNT)
            return refuse(reterr, JQ_ERR_INVALID, text, "a duration needs a unit after each number: d, h, m, s or ms");
        if (unit < next_unit)
            return refuse(reterr, JQ_ERR_INVALID, text, "units of a duration go from large to small, each once");
        next_unit = unit + 1;
        if (over || count > (JQ_DURATION_MS_MAX - total) / duration_units[unit].ms)
            return refuse(reterr, JQ_ERR_TOO_BIG, text, "a duration is at most 36500d");
        total += count * duration_units[unit].ms;
    } while (rest.size > 0);
    *ret_ms = (int64_t)total;
    return JQ_OK;
}

char *jq_text_format_duration(int64_t ms, char place[JQ_DURATION_TEXT_SIZE]) {
    uint64_t rest = ms < 0 ? 0 - (uint64_t)ms : (uint64_t)ms;
    size_t size = 0;
    if (ms < 0)
        place[size++] = '-';
    if (ms == 0)
        size += (size_t)snprintf(place, JQ_DURATION_TEXT_SIZE, "0s");
    for (size_t i = 0; i < DURATION_UNIT_COUNT; i++) {
        const uint64_t count = rest / duration_units[i].ms;
        rest %= duration_units[i].ms;
        if (count > 0)
            size += (size_t)snprintf(place + size, JQ_DURATION_TEXT_SIZE - size, "%" PRIu64 "%s", count,
                                     duration_units[i].name);
    }
    place[size] = '\0';
    return place;
}

/* Bits to shift by for a suffix of sizes, or -1. */
static int size_shift(char suffix) {
    switch (suffix) {
    case 'k':
    case 'K': return 10;
    case 'm':
    case 'M': return 20;
    case 'g':
    case 'G': return 30;
    case 't':
    case 'T': return 40;
    default: return -1;
    }
}

enum jq_err jq_text_parse_size(struct jq_str text, uint64_t *ret_bytes, struct jq_error *reterr) {
    struct jq_str rest = text;
    uint64_t count;
    bool over;
    const bool found = take_digits(&rest, &count, &over);
    const int shift = rest.size == 0 ? 0 : size_shift(rest.data[0]);
    if ((!found && !over) || rest.size > 1 || shift < 0)
        return refuse(reterr, JQ_ERR_INVALID, text, "not a size such as 4096, 64K, 64M, 4G or 1T");
    if (over || count > UINT64_MAX >> shift)
        return refuse(reterr, JQ_ERR_TOO_BIG, text, "a size is less than 16777216T");
    *ret_bytes = count << shift;
    return JQ_OK;
}

char *jq_text_format_size(uint64_t bytes, char place[JQ_SIZE_TEXT_SIZE]) {
    static const char suffixes[] = {0, 'K', 'M', 'G', 'T'};
    size_t unit = 0;
    while (bytes > 0 && bytes % 1024 == 0 && unit + 1 < sizeof(suffixes)) {
        bytes /= 1024;
        unit++;
    }
    const int size = snprintf(place, JQ_SIZE_TEXT_SIZE, "%" PRIu64, bytes);
    place[size] = suffixes[unit];
    place[size + (unit > 0 ? 1 : 0)] = '\0';
    return place;
}

enum jq_err jq_text_parse_uint(struct jq_str text, uint64_t max, uint64_t *ret_value, struct jq_error *reterr) {
    struct jq_str rest = text;
    uint64_t value;
    bool over;
    const bool found = take_digits(&rest, &value, &over);
    if ((!found && !over) || rest.size > 0)
        return refuse(reterr, JQ_ERR_INVALID, text, "not a whole number");
    if (over || value > max) {
        char reason[64];
        snprintf(reason, sizeof(reason), "more than %" PRIu64, max);
        return refuse(reterr, JQ_ERR_TOO_BIG, text, reason);
    }
    *ret_value = value;
    return JQ_OK;
}

enum jq_err jq_text_parse_int(struct jq_str text, int64_t min, int64_t max, int64_t *ret_value,
                              struct jq_error *reterr) {
    struct jq_str rest = text;
    const bool negative = text.size > 0 && text.data[0] == '-';
    if (negative)
        rest = (struct jq_str){text.data + 1, text.size - 1};
    uint64_t size;
    bool over;
    const bool found = take_digits(&rest, &size, &over);
    if ((!found && !over) || rest.size > 0)
        return refuse(reterr, JQ_ERR_INVALID, text, "not a whole number");
    /* Minus 2^63 is the one number whose size has no positive twin. */
    over = over || size > (uint64_t)INT64_MAX + (negative ? 1 : 0);
    const int64_t value = (int64_t)(negative ? 0 - size : size);
    if (over || value < min || value > max) {
        char reason[80];
        snprintf(reason, sizeof(reason), "not between %" PRId64 " and %" PRId64, min, max);
        return refuse(reterr, JQ_ERR_TOO_BIG, text, reason);
    }
    *ret_value = value;
    return JQ_OK;
}

enum { ID_SEQUENCE_BITS = 56 };
#define ID_SEQUENCE_MAX ((UINT64_C(1) << ID_SEQUENCE_BITS) - 1)

enum jq_err jq_text_parse_task_id(struct jq_str text, jq_task_id *ret_id, struct jq_error *reterr) {
    struct jq_str rest = text;
    uint64_t group = 0, sequence;
    bool over, group_over = false;
    bool found = take_digits(&rest, &sequence, &over);
    if (rest.size > 0 && rest.data[0] == '-') {
        rest = (struct jq_str){rest.data + 1, rest.size - 1};
        group = sequence;
        group_over = over;
        found = take_digits(&rest, &sequence, &over) && (found || group_over);
    }
    if ((!found && !over && !group_over) || rest.size > 0)
        return refuse(reterr, JQ_ERR_INVALID, text, "not a task id such as 17 or 3-17");
    if (over || group_over || group > 255 || sequence > ID_SEQUENCE_MAX || sequence == 0)
        return refuse(reterr, JQ_ERR_TOO_BIG, text, "no such task id: groups go to 255, numbers from 1 to 2^56 - 1");
    ret_id->value = group << ID_SEQUENCE_BITS | sequence;
    return JQ_OK;
}

char *jq_text_format_task_id(jq_task_id id, char place[JQ_TASK_ID_TEXT_SIZE]) {
    const uint64_t group = id.value >> ID_SEQUENCE_BITS;
    const uint64_t sequence = id.value & ID_SEQUENCE_MAX;
    if (group == 0)
        snprintf(place, JQ_TASK_ID_TEXT_SIZE, "%" PRIu64, sequence);
    else
        snprintf(place, JQ_TASK_ID_TEXT_SIZE, "%" PRIu64 "-%" PRIu64, group, sequence);
    return place;
}
