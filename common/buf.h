/* buf.h - a bounded, growable byte buffer, and a bounded reader over borrowed bytes.
 *
 * Integers are little-endian. A varint is unsigned LEB128 (7 bits a byte, low bits first, at most 10 bytes); a svarint
 * is the varint of the zigzag form, so that small negative numbers stay short.
 *
 * Errors:    both are sticky. An append that would pass `size_max` or finds no memory sets `failed` and appends
 *            nothing; so do all later ones. A read that is short, over-long or over its bound sets `failed` and gives
 *            0 or empty; so do all later ones. Encode or decode a whole message, then look at `failed` once.
 * Ownership: the buffer owns `data`; what jq_buf_bytes() lends ends with the next append, clear or fini.
 *            What a reader gives points into the bytes that it reads.
 */
#ifndef JQ_COMMON_BUF_H
#define JQ_COMMON_BUF_H

#include "common/types.h"

#include <endian.h>

struct jq_buf {
    uint8_t *data;
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes held */
    size_t size_max; /* bytes that `size` may reach */
    bool failed;
};

enum { JQ_VARINT_SIZE_MAX = 10 };

/* Takes no memory until the first append. fini may be called twice, and on zeroed memory. */
void jq_buf_init(struct jq_buf *buf, size_t size_max);
void jq_buf_fini(struct jq_buf *buf);

/* Empties the buffer, keeps its memory, resets `failed`. */
void jq_buf_clear(struct jq_buf *buf);

/* Makes room for `extra` more bytes; call it through jq_buf_room(). False, and `failed` set, when that is over the bound
 * or there is no memory. */
bool jq_buf_reserve(struct jq_buf *buf, size_t extra);

/* Bytes that can be written at data + size after this returned true. `size` is the caller's to advance. */
static inline bool jq_buf_room(struct jq_buf *buf, size_t extra) {
    return (!buf->failed && extra <= buf->capacity - buf->size) || jq_buf_reserve(buf, extra);
}

static inline void jq_buf_append(struct jq_buf *buf, const void *data, size_t size) {
    if (size == 0 || !jq_buf_room(buf, size))
        return;
    memcpy(buf->data + buf->size, data, size);
    buf->size += size;
}

static inline void jq_buf_append_u8(struct jq_buf *buf, uint8_t value) {
    if (!jq_buf_room(buf, 1))
        return;
    buf->data[buf->size++] = value;
}

static inline void jq_buf_append_u16(struct jq_buf *buf, uint16_t value) {
    const uint16_t bytes = htole16(value);
    jq_buf_append(buf, &bytes, sizeof(bytes));
}

static inline void jq_buf_append_u32(struct jq_buf *buf, uint32_t value) {
    const uint32_t bytes = htole32(value);
    jq_buf_append(buf, &bytes, sizeof(bytes));
}

static inline void jq_buf_append_u64(struct jq_buf *buf, uint64_t value) {
    const uint64_t bytes = htole64(value);
    jq_buf_append(buf, &bytes, sizeof(bytes));
}

/* Bytes that jq_buf_append_varint() writes for `value`: 1 to 10. */
static inline size_t jq_varint_size(uint64_t value) {
    const unsigned bits = 64U - (unsigned)__builtin_clzll(value | 1);
    return (bits + 6) / 7;
}

static inline void jq_buf_append_varint(struct jq_buf *buf, uint64_t value) {
    if (!jq_buf_room(buf, jq_varint_size(value)))
        return;
    uint8_t *at = buf->data + buf->size;
    while (value >= 0x80) {
        *at++ = (uint8_t)(value | 0x80);
        value >>= 7;
    }
    *at++ = (uint8_t)value;
    buf->size = (size_t)(at - buf->data);
}

static inline uint64_t jq_zigzag(int64_t value) {
    return ((uint64_t)value << 1) ^ (value < 0 ? UINT64_MAX : 0);
}

static inline int64_t jq_unzigzag(uint64_t value) {
    return (int64_t)((value >> 1) ^ (0 - (value & 1)));
}

static inline void jq_buf_append_svarint(struct jq_buf *buf, int64_t value) {
    jq_buf_append_varint(buf, jq_zigzag(value));
}

/* varint length, then the bytes. */
static inline void jq_buf_append_str(struct jq_buf *buf, struct jq_str text) {
    jq_buf_append_varint(buf, text.size);
    jq_buf_append(buf, text.data, text.size);
}

/* The bytes alone, without a length. */
static inline void jq_buf_append_text(struct jq_buf *buf, struct jq_str text) {
    jq_buf_append(buf, text.data, text.size);
}

/* printf onto the buffer; no NUL is kept. */
void jq_buf_append_format(struct jq_buf *buf, const char *format, ...) __attribute__((format(printf, 2, 3)));

static inline struct jq_bytes jq_buf_bytes(const struct jq_buf *buf) {
    return (struct jq_bytes){buf->data, buf->size};
}

static inline struct jq_str jq_buf_str(const struct jq_buf *buf) {
    return (struct jq_str){(const char *)buf->data, buf->size};
}

struct jq_reader {
    const uint8_t *at;
    const uint8_t *end;
    bool failed;
};

static inline struct jq_reader jq_reader_of(struct jq_bytes bytes) {
    /* Empty bytes may come with a null pointer, to which nothing may be added. */
    return (struct jq_reader){bytes.data, bytes.size ? bytes.data + bytes.size : bytes.data, false};
}

static inline size_t jq_reader_left(const struct jq_reader *reader) {
    return (size_t)(reader->end - reader->at);
}

/* True when everything was read, and nothing went wrong. */
static inline bool jq_reader_done(const struct jq_reader *reader) {
    return !reader->failed && reader->at == reader->end;
}

/* Also for the caller who finds a value out of its bounds: every later read then gives 0 or empty. */
static inline void jq_reader_fail(struct jq_reader *reader) {
    reader->failed = true;
    reader->at = reader->end;
}

static inline bool jq_reader_copy(struct jq_reader *reader, void *ret_data, size_t size) {
    if (jq_reader_left(reader) < size) {
        jq_reader_fail(reader);
        return false;
    }
    memcpy(ret_data, reader->at, size);
    reader->at += size;
    return true;
}

static inline uint8_t jq_read_u8(struct jq_reader *reader) {
    uint8_t value = 0;
    return jq_reader_copy(reader, &value, sizeof(value)) ? value : 0;
}

static inline uint16_t jq_read_u16(struct jq_reader *reader) {
    uint16_t value = 0;
    return jq_reader_copy(reader, &value, sizeof(value)) ? le16toh(value) : 0;
}

static inline uint32_t jq_read_u32(struct jq_reader *reader) {
    uint32_t value = 0;
    return jq_reader_copy(reader, &value, sizeof(value)) ? le32toh(value) : 0;
}

static inline uint64_t jq_read_u64(struct jq_reader *reader) {
    uint64_t value = 0;
    return jq_reader_copy(reader, &value, sizeof(value)) ? le64toh(value) : 0;
}

/* Varints of two bytes and more. */
uint64_t jq_read_varint_long(struct jq_reader *reader);

static inline uint64_t jq_read_varint(struct jq_reader *reader) {
    if (reader->at != reader->end && *reader->at < 0x80)
        return *reader->at++;
    return jq_read_varint_long(reader);
}

static inline int64_t jq_read_svarint(struct jq_reader *reader) {
    return jq_unzigzag(jq_read_varint(reader));
}

static inline struct jq_bytes jq_read_bytes(struct jq_reader *reader, size_t size) {
    if (jq_reader_left(reader) < size) {
        jq_reader_fail(reader);
        return (struct jq_bytes){reader->end, 0};
    }
    const struct jq_bytes bytes = {reader->at, size};
    if (size > 0)
        reader->at += size;
    return bytes;
}

/* Varint length, then that many bytes; longer than `size_max` fails. */
static inline struct jq_str jq_read_str(struct jq_reader *reader, size_t size_max) {
    const uint64_t size = jq_read_varint(reader);
    if (size > size_max)
        jq_reader_fail(reader);
    const struct jq_bytes bytes = jq_read_bytes(reader, reader->failed ? 0 : (size_t)size);
    return (struct jq_str){(const char *)bytes.data, bytes.size};
}

#endif
