#include "common/buf.h"

#include "common/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { CAPACITY_MIN = 64 };

void jq_buf_init(struct jq_buf *buf, size_t size_max) {
    *buf = (struct jq_buf){.size_max = size_max};
}

void jq_buf_fini(struct jq_buf *buf) {
    if (!buf)
        return;
    free(buf->data);
    *buf = (struct jq_buf){.size_max = buf->size_max};
}

void jq_buf_clear(struct jq_buf *buf) {
    buf->size = 0;
    buf->failed = false;
}

/* Twice the old capacity, so that appending n bytes costs O(n); never past the bound. */
static size_t next_capacity(const struct jq_buf *buf, size_t needed) {
    size_t capacity = buf->capacity > buf->size_max / 2 ? buf->size_max : buf->capacity * 2;
    if (capacity < CAPACITY_MIN)
        capacity = CAPACITY_MIN;
    if (capacity > buf->size_max)
        capacity = buf->size_max;
    return capacity < needed ? needed : capacity;
}

bool jq_buf_reserve(struct jq_buf *buf, size_t extra) {
    JQ_CHECK(buf->size <= buf->capacity && buf->capacity <= buf->size_max);
    if (buf->failed)
        return false;
    if (extra <= buf->capacity - buf->size)
        return true;
    if (extra > buf->size_max - buf->size) {
        buf->failed = true;
        return false;
    }
    const size_t capacity = next_capacity(buf, buf->size + extra);
    uint8_t *data = realloc(buf->data, capacity);
    if (!data) {
        buf->failed = true;
        return false;
    }
    buf->data = data;
    buf->capacity = capacity;
    return true;
}

/* vsnprintf wants a byte for its NUL, which may lie over the bound: text is formatted aside. */
static void append_long(struct jq_buf *buf, size_t size, const char *format, va_list args) {
    char *text = malloc(size + 1);
    if (!text) {
        buf->failed = true;
        return;
    }
    vsnprintf(text, size + 1, format, args);
    jq_buf_append(buf, text, size);
    free(text);
}

static void append_vformat(struct jq_buf *buf, const char *format, va_list args) {
    char text[256];
    va_list again;
    va_copy(again, args);
    const int size = vsnprintf(text, sizeof(text), format, args);
    if (size < 0 || (size_t)size > buf->size_max - buf->size)
        buf->failed = true;
    else if ((size_t)size < sizeof(text))
        jq_buf_append(buf, text, (size_t)size);
    else
        append_long(buf, (size_t)size, format, again);
    va_end(again);
}

void jq_buf_append_format(struct jq_buf *buf, const char *format, ...) {
    va_list args;
    va_start(args, format);
    append_vformat(buf, format, args);
    va_end(args);
}

uint64_t jq_read_varint_long(struct jq_reader *reader) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end)
            break;
        const uint8_t byte = *reader->at++;
        if (shift == 63 && byte > 1)
            break; /* More than 64 bits, or more than 10 bytes. */
        value |= (uint64_t)(byte & 0x7f) << shift;
        if (byte < 0x80)
            return value;
    }
    jq_reader_fail(reader);
    return 0;
}
