/* payload.c - JSON into msgpack and back. Source of the format: the MessagePack specification of 2017. */
#include "tools/jqctl/payload.h"

/* ---- JSON into msgpack ------------------------------------------------------------------------------------------------- */

enum jq_err jqctl_payload_part(struct jq_pack *pack, const struct jq_json_part *part, struct jq_error *reterr) {
    switch (part->kind) {
    case JQ_JSON_NULL: jq_pack_nil(pack); break;
    case JQ_JSON_BOOL: jq_pack_bool(pack, part->boolean); break;
    case JQ_JSON_INT: msgpack_pack_int64(&pack->packer, part->number); break;
    case JQ_JSON_DOUBLE: jq_pack_double(pack, part->real); break;
    case JQ_JSON_KEY:
    case JQ_JSON_STR: jq_pack_str(pack, part->text); break;
    case JQ_JSON_OBJECT_BEGIN: jq_pack_map(pack, part->count); break;
    case JQ_JSON_ARRAY_BEGIN: jq_pack_array(pack, part->count); break;
    case JQ_JSON_OBJECT_END:
    case JQ_JSON_ARRAY_END: break;
    }
    if (pack->buf->failed)
        return jq_fail(reterr, JQ_ERR_TOO_BIG,
                       "larger than %zu bytes as msgpack; what is larger travels as a file: --input NAME=FILE",
                       pack->buf->size_max);
    return JQ_OK;
}

struct packing {
    struct jq_pack pack;
    int depth;
};

static enum jq_err pack_visit(void *ctx, const struct jq_json_part *part, struct jq_error *reterr) {
    struct packing *packing = ctx;
    packing->depth += part->kind == JQ_JSON_OBJECT_BEGIN || part->kind == JQ_JSON_ARRAY_BEGIN;
    packing->depth -= part->kind == JQ_JSON_OBJECT_END || part->kind == JQ_JSON_ARRAY_END;
    if (packing->depth > JQCTL_PAYLOAD_DEPTH_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "deeper than %d levels", JQCTL_PAYLOAD_DEPTH_MAX);
    return jqctl_payload_part(&packing->pack, part, reterr);
}

enum jq_err jqctl_payload_pack(struct jq_str text, struct jq_buf *out, struct jq_error *reterr) {
    struct packing packing = {.pack = jq_pack_of(out)};
    return jq_json_read(text, JQCTL_PAYLOAD_JSON_SIZE_MAX, pack_visit, &packing, reterr);
}

/* ---- msgpack into JSON ------------------------------------------------------------------------------------------------- */

/* What the first byte of an object says. */
enum shape {
    SHAPE_NONE,
    SHAPE_NIL,
    SHAPE_BOOL,
    SHAPE_UINT,
    SHAPE_INT,
    SHAPE_REAL,
    SHAPE_STR,
    SHAPE_BIN,
    SHAPE_EXT,
    SHAPE_ARRAY,
    SHAPE_MAP
};

struct head {
    enum shape shape;
    uint64_t number; /* the value; the size of str, bin, ext; the count of array and map */
    double real;
    int8_t ext;
};

static uint64_t read_big(struct jq_reader *in, unsigned size) {
    uint64_t value = 0;
    for (unsigned i = 0; i < size; i++)
        value = value << 8 | jq_read_u8(in);
    return value;
}

/* Two's complement of that many bytes. */
static uint64_t read_signed(struct jq_reader *in, unsigned size) {
    if (size == 0)
        return 0;
    const uint64_t value = read_big(in, size);
    const uint64_t sign = UINT64_C(1) << (8 * size - 1);
    return (value ^ sign) - sign;
}

static double read_real(struct jq_reader *in, unsigned size) {
    const uint64_t bits = read_big(in, size);
    const uint32_t low = (uint32_t)bits;
    double wide;
    float narrow;
    memcpy(&wide, &bits, sizeof(wide));
    memcpy(&narrow, &low, sizeof(narrow));
    return size == 4 ? (double)narrow : wide;
}

/* 0xc0 to 0xdf, a row each: shape, and the bytes of the number that follow (fixext: the size of its data). */
static const struct {
    uint8_t shape, size;
} wide_heads[32] = {
    {SHAPE_NIL, 0},  {SHAPE_NONE, 0}, {SHAPE_BOOL, 0}, {SHAPE_BOOL, 0}, {SHAPE_BIN, 1},   {SHAPE_BIN, 2},
    {SHAPE_BIN, 4},  {SHAPE_EXT, 1},  {SHAPE_EXT, 2},  {SHAPE_EXT, 4},  {SHAPE_REAL, 4},  {SHAPE_REAL, 8},
    {SHAPE_UINT, 1}, {SHAPE_UINT, 2}, {SHAPE_UINT, 4}, {SHAPE_UINT, 8}, {SHAPE_INT, 1},   {SHAPE_INT, 2},
    {SHAPE_INT, 4},  {SHAPE_INT, 8},  {SHAPE_EXT, 0},  {SHAPE_EXT, 0},  {SHAPE_EXT, 0},   {SHAPE_EXT, 0},
    {SHAPE_EXT, 0},  {SHAPE_STR, 1},  {SHAPE_STR, 2},  {SHAPE_STR, 4},  {SHAPE_ARRAY, 2}, {SHAPE_ARRAY, 4},
    {SHAPE_MAP, 2},  {SHAPE_MAP, 4},
};

static struct head read_wide(struct jq_reader *in, uint8_t first) {
    struct head head = {.shape = (enum shape)wide_heads[first - 0xc0].shape};
    const unsigned size = wide_heads[first - 0xc0].size;
    switch (head.shape) {
    case SHAPE_BOOL: head.number = first & 1; break;
    case SHAPE_REAL: head.real = read_real(in, size); break;
    case SHAPE_INT: head.number = read_signed(in, size); break;
    case SHAPE_EXT:
        head.number = size > 0 ? read_big(in, size) : UINT64_C(1) << (first - 0xd4);
        head.ext = (int8_t)jq_read_u8(in);
        break;
    default: head.number = read_big(in, size); break;
    }
    return head;
}

static struct head read_head(struct jq_reader *in) {
    const uint8_t first = jq_read_u8(in);
    if (first < 0x80)
        return (struct head){.shape = SHAPE_UINT, .number = first};
    if (first < 0x90)
        return (struct head){.shape = SHAPE_MAP, .number = first & 0x0f};
    if (first < 0xa0)
        return (struct head){.shape = SHAPE_ARRAY, .number = first & 0x0f};
    if (first < 0xc0)
        return (struct head){.shape = SHAPE_STR, .number = first & 0x1f};
    if (first >= 0xe0)
        return (struct head){.shape = SHAPE_INT, .number = (uint64_t)(int64_t)(int8_t)first};
    return read_wide(in, first);
}

static bool has_bytes(enum shape shape) {
    return shape == SHAPE_STR || shape == SHAPE_BIN || shape == SHAPE_EXT;
}

/* Walks one object without using anything of it; every count is bounded by the bytes that are left. */
static void skip(struct jq_reader *in, int depth) {
    const struct head head = read_head(in);
    uint64_t below = head.shape == SHAPE_ARRAY ? head.number : head.shape == SHAPE_MAP ? 2 * head.number : 0;
    if (head.shape == SHAPE_NONE || depth > JQCTL_PAYLOAD_DEPTH_MAX || below > jq_reader_left(in))
        jq_reader_fail(in);
    if (has_bytes(head.shape))
        (void)jq_read_bytes(in, head.number <= jq_reader_left(in) ? (size_t)head.number : SIZE_MAX);
    for (; below > 0 && !in->failed; below--)
        skip(in, depth + 1);
}

size_t jqctl_payload_first_size(struct jq_bytes bytes) {
    struct jq_reader in = jq_reader_of(bytes);
    skip(&in, 0);
    return in.failed ? 0 : bytes.size - jq_reader_left(&in);
}

bool jqctl_payload_is_msgpack(struct jq_bytes bytes) {
    if (bytes.size == 0 || (bytes.size == 1 && bytes.data[0] >= ' ' && bytes.data[0] < 0x7f))
        return false;
    struct jq_reader in = jq_reader_of(bytes);
    skip(&in, 0);
    return jq_reader_done(&in);
}

static void write_ext(const struct head *head, struct jq_bytes data, struct jq_json *json) {
    jq_json_object_begin(json);
    jq_json_put_int(json, "ext", head->ext);
    jq_json_put_bytes(json, "data", data);
    jq_json_object_end(json);
}

static void write_bytes(const struct head *head, struct jq_bytes data, struct jq_json *json) {
    if (head->shape == SHAPE_STR)
        jq_json_str(json, (struct jq_str){(const char *)data.data, data.size});
    else if (head->shape == SHAPE_BIN)
        jq_json_bytes(json, data);
    else
        write_ext(head, data, json);
}

static void write_value(struct jq_reader *in, struct jq_json *json);

/* The key of a member: text as it is, anything else as its JSON. */
static void write_key(struct jq_reader *in, struct jq_json *json) {
    struct jq_reader ahead = *in;
    const struct head head = read_head(&ahead);
    if (head.shape == SHAPE_STR) {
        const struct jq_bytes bytes = jq_read_bytes(&ahead, (size_t)head.number);
        jq_json_key(json, (struct jq_str){(const char *)bytes.data, bytes.size});
        *in = ahead;
        return;
    }
    struct jq_buf text;
    struct jq_json inner;
    jq_buf_init(&text, 4 * (size_t)JQ_PAYLOAD_SIZE_MAX);
    jq_json_init(&inner, &text);
    write_value(in, &inner);
    jq_json_key(json, jq_buf_str(&text));
    jq_buf_fini(&text);
}

static void write_container(const struct head *head, struct jq_reader *in, struct jq_json *json) {
    if (head->shape == SHAPE_MAP)
        jq_json_object_begin(json);
    else
        jq_json_array_begin(json);
    for (uint64_t i = 0; i < head->number; i++) {
        if (head->shape == SHAPE_MAP)
            write_key(in, json);
        write_value(in, json);
    }
    if (head->shape == SHAPE_MAP)
        jq_json_object_end(json);
    else
        jq_json_array_end(json);
}

static void write_value(struct jq_reader *in, struct jq_json *json) {
    const struct head head = read_head(in);
    switch (head.shape) {
    case SHAPE_BOOL: jq_json_bool(json, head.number != 0); break;
    case SHAPE_UINT: jq_json_uint(json, head.number); break;
    case SHAPE_INT: jq_json_int(json, (int64_t)head.number); break;
    case SHAPE_REAL: jq_json_double(json, head.real); break;
    case SHAPE_STR:
    case SHAPE_BIN:
    case SHAPE_EXT: write_bytes(&head, jq_read_bytes(in, (size_t)head.number), json); break;
    case SHAPE_ARRAY:
    case SHAPE_MAP: write_container(&head, in, json); break;
    case SHAPE_NIL:
    case SHAPE_NONE: jq_json_null(json); break;
    }
}

void jqctl_payload_write(struct jq_bytes bytes, struct jq_json *json) {
    struct jq_reader in = jq_reader_of(bytes);
    write_value(&in, json);
}
