#include "tests/lib/notation.h"

#include <inttypes.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* ---- reading ----------------------------------------------------------------------------------------------------- */

struct text {
    const char *at;
    struct jq_pack pack;
};

static void pack_value(struct text *text);

static void skip_blanks(struct text *text) {
    while (*text->at == ' ' || *text->at == '\n')
        text->at++;
}

static bool take(struct text *text, const char *word) {
    skip_blanks(text);
    if (strncmp(text->at, word, strlen(word)) != 0)
        return false;
    text->at += strlen(word);
    return true;
}

static void pack_string(struct text *text) {
    char out[512];
    size_t size = 0;
    for (; *text->at != '"'; text->at++) {
        if (*text->at == '\\')
            text->at++;
        assert_true(*text->at != '\0' && size < sizeof(out));
        out[size++] = *text->at;
    }
    text->at++;
    jq_pack_str(&text->pack, (struct jq_str){out, size});
}

static uint8_t digit_value(char digit) {
    return (uint8_t)(digit <= '9' ? digit - '0' : digit - 'a' + 10);
}

static void pack_hex(struct text *text) {
    uint8_t out[512];
    size_t size = 0;
    for (; *text->at != '\''; text->at += 2) {
        assert_true(text->at[0] != '\0' && text->at[1] != '\0' && size < sizeof(out));
        out[size++] = (uint8_t)(digit_value(text->at[0]) << 4 | digit_value(text->at[1]));
    }
    text->at++;
    jq_pack_bin(&text->pack, (struct jq_bytes){out, size});
}

static void pack_number(struct text *text) {
    char *end = NULL;
    if (strcspn(text->at, ".") < strcspn(text->at, ",]} \n")) {
        jq_pack_double(&text->pack, strtod(text->at, &end));
    } else if (*text->at == '-') {
        msgpack_pack_int64(&text->pack.packer, strtoll(text->at, &end, 10));
    } else {
        jq_pack_uint(&text->pack, strtoull(text->at, &end, 10));
    }
    assert_true(end != text->at);
    text->at = end;
}

/* The elements up to `closing`. The number of them stands before them on the wire: so they are packed aside first. */
static void pack_container(struct text *text, const char *closing, bool map) {
    struct jq_buf inner;
    jq_buf_init(&inner, SIZE_MAX);
    struct text elements = {.at = text->at, .pack = jq_pack_of(&inner)};
    size_t count = 0;
    while (!take(&elements, closing)) {
        assert_true(count == 0 || take(&elements, ","));
        pack_value(&elements);
        if (map) {
            assert_true(take(&elements, ":"));
            pack_value(&elements);
        }
        count++;
    }
    if (map)
        jq_pack_map(&text->pack, count);
    else
        jq_pack_array(&text->pack, count);
    jq_pack_raw(&text->pack, jq_buf_bytes(&inner));
    text->at = elements.at;
    jq_buf_fini(&inner);
}

static void pack_value(struct text *text) {
    if (take(text, "{"))
        pack_container(text, "}", true);
    else if (take(text, "["))
        pack_container(text, "]", false);
    else if (take(text, "\""))
        pack_string(text);
    else if (take(text, "h'"))
        pack_hex(text);
    else if (take(text, "null"))
        jq_pack_nil(&text->pack);
    else if (take(text, "true"))
        jq_pack_bool(&text->pack, true);
    else if (take(text, "false"))
        jq_pack_bool(&text->pack, false);
    else
        pack_number(text);
}

void notation_pack(struct jq_buf *buf, const char *text) {
    struct text reader = {.at = text, .pack = jq_pack_of(buf)};
    pack_value(&reader);
    skip_blanks(&reader);
    assert_string_equal(reader.at, "");
    assert_false(buf->failed);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

static void print_string(struct jq_buf *buf, struct jq_str text) {
    jq_buf_append_u8(buf, '"');
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] == '"' || text.data[i] == '\\')
            jq_buf_append_u8(buf, '\\');
        jq_buf_append_u8(buf, (uint8_t)text.data[i]);
    }
    jq_buf_append_u8(buf, '"');
}

static void print_bin(struct jq_buf *buf, struct jq_bytes bytes) {
    jq_buf_append_format(buf, "h'");
    for (size_t i = 0; i < bytes.size; i++)
        jq_buf_append_format(buf, "%02x", bytes.data[i]);
    jq_buf_append_u8(buf, '\'');
}

static void print_array(struct jq_buf *buf, const msgpack_object_array *array) {
    jq_buf_append_u8(buf, '[');
    for (uint32_t i = 0; i < array->size; i++) {
        jq_buf_append_format(buf, "%s", i > 0 ? ", " : "");
        notation_print(buf, &array->ptr[i]);
    }
    jq_buf_append_u8(buf, ']');
}

static void print_map(struct jq_buf *buf, const msgpack_object_map *map) {
    jq_buf_append_u8(buf, '{');
    for (uint32_t i = 0; i < map->size; i++) {
        jq_buf_append_format(buf, "%s", i > 0 ? ", " : "");
        notation_print(buf, &map->ptr[i].key);
        jq_buf_append_format(buf, ": ");
        notation_print(buf, &map->ptr[i].val);
    }
    jq_buf_append_u8(buf, '}');
}

void notation_print(struct jq_buf *buf, const msgpack_object *object) {
    switch (object->type) {
    case MSGPACK_OBJECT_NIL: jq_buf_append_format(buf, "null"); break;
    case MSGPACK_OBJECT_BOOLEAN: jq_buf_append_format(buf, "%s", object->via.boolean ? "true" : "false"); break;
    case MSGPACK_OBJECT_POSITIVE_INTEGER: jq_buf_append_format(buf, "%" PRIu64, object->via.u64); break;
    case MSGPACK_OBJECT_NEGATIVE_INTEGER: jq_buf_append_format(buf, "%" PRId64, object->via.i64); break;
    case MSGPACK_OBJECT_FLOAT32:
    case MSGPACK_OBJECT_FLOAT64: jq_buf_append_format(buf, "%.1f", object->via.f64); break;
    case MSGPACK_OBJECT_STR: print_string(buf, jq_object_str(object)); break;
    case MSGPACK_OBJECT_BIN: print_bin(buf, jq_object_bin(object)); break;
    case MSGPACK_OBJECT_ARRAY: print_array(buf, &object->via.array); break;
    case MSGPACK_OBJECT_MAP: print_map(buf, &object->via.map); break;
    case MSGPACK_OBJECT_EXT: fail_msg("an ext"); break;
    }
}

void notation_hex(struct jq_buf *buf, struct jq_bytes bytes) {
    for (size_t i = 0; i < bytes.size; i++)
        jq_buf_append_format(buf, i > 0 ? " %02x" : "%02x", bytes.data[i]);
}
