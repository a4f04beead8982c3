/* codec_check.c - the walk over a frame before msgpack-c sees it: what does it announce, and can that be true? */
#include "common/codec.h"

/* What the first byte of an object says. */
enum shape {
    SCALAR,    /* `size` bytes after the first byte */
    SIZED,     /* a length of `size` bytes, then so many bytes */
    ARRAY,     /* a count of `size` bytes, then so many objects */
    MAP,       /* a count of `size` bytes, then so many pairs */
    FORBIDDEN, /* ext types, and 0xc1 that no one may use */
};

struct head {
    uint8_t shape;
    uint8_t size;
};

/* 0xc0 .. 0xdf of the specification's table of formats; what is missing is FORBIDDEN by name. */
static const struct head heads[32] = {
    [0x00] = {SCALAR, 0},    [0x01] = {FORBIDDEN, 0}, [0x02] = {SCALAR, 0},    [0x03] = {SCALAR, 0},
    [0x04] = {SIZED, 1},     [0x05] = {SIZED, 2},     [0x06] = {SIZED, 4},     [0x07] = {FORBIDDEN, 0},
    [0x08] = {FORBIDDEN, 0}, [0x09] = {FORBIDDEN, 0}, [0x0a] = {SCALAR, 4},    [0x0b] = {SCALAR, 8},
    [0x0c] = {SCALAR, 1},    [0x0d] = {SCALAR, 2},    [0x0e] = {SCALAR, 4},    [0x0f] = {SCALAR, 8},
    [0x10] = {SCALAR, 1},    [0x11] = {SCALAR, 2},    [0x12] = {SCALAR, 4},    [0x13] = {SCALAR, 8},
    [0x14] = {FORBIDDEN, 0}, [0x15] = {FORBIDDEN, 0}, [0x16] = {FORBIDDEN, 0}, [0x17] = {FORBIDDEN, 0},
    [0x18] = {FORBIDDEN, 0}, [0x19] = {SIZED, 1},     [0x1a] = {SIZED, 2},     [0x1b] = {SIZED, 4},
    [0x1c] = {ARRAY, 2},     [0x1d] = {ARRAY, 4},     [0x1e] = {MAP, 2},       [0x1f] = {MAP, 4},
};

struct walk {
    const uint8_t *start, *at, *end;
    const char *fault; /* NULL: none yet */
    size_t objects;    /* still to come in the innermost container */
    size_t announced;  /* in all containers so far */
    unsigned depth;
    size_t outer[JQ_FRAME_DEPTH_MAX]; /* the same of those around it */
};

static bool fail(struct walk *walk, const char *fault) {
    walk->fault = fault;
    return false;
}

static bool skip(struct walk *walk, size_t size) {
    if ((size_t)(walk->end - walk->at) < size)
        return fail(walk, "the frame ends within an object");
    walk->at += size;
    return true;
}

static bool enter(struct walk *walk, size_t count) {
    if (count > (size_t)(walk->end - walk->at))
        return fail(walk, "a container longer than the frame");
    if (walk->depth == JQ_FRAME_DEPTH_MAX)
        return fail(walk, "containers are nested too deep");
    walk->announced += count;
    if (walk->announced > JQ_FRAME_SIZE_MAX) /* which a small frame has no bytes for */
        return fail(walk, "too many objects");
    walk->outer[walk->depth++] = walk->objects;
    walk->objects = count;
    return true;
}

static bool take_number(struct walk *walk, unsigned size, size_t *ret_number) {
    const uint8_t *from = walk->at;
    if (!skip(walk, size))
        return false;
    size_t number = 0;
    for (unsigned i = 0; i < size; i++)
        number = number << 8 | from[i];
    *ret_number = number;
    return true;
}

static bool walk_other(struct walk *walk, uint8_t first) {
    const struct head head = heads[first & 31];
    size_t number = 0;
    if (head.shape == SCALAR)
        return skip(walk, head.size);
    if (head.shape == FORBIDDEN)
        return fail(walk, "a type that the protocol does not use");
    if (!take_number(walk, head.size, &number))
        return false;
    if (head.shape == SIZED)
        return skip(walk, number);
    return enter(walk, head.shape == MAP ? number * 2 : number);
}

static bool walk_one(struct walk *walk) {
    if (walk->at == walk->end)
        return fail(walk, "the frame ends before its last object");
    const uint8_t first = *walk->at++;
    walk->objects--;
    if (first < 0x80 || first >= 0xe0)
        return true;
    if (first < 0x90)
        return enter(walk, (size_t)(first & 15) * 2);
    if (first < 0xa0)
        return enter(walk, first & 15);
    if (first < 0xc0)
        return skip(walk, first & 31);
    return walk_other(walk, first);
}

/* Passes over one object, whatever is in it. */
static bool walk_object(struct walk *walk) {
    walk->objects = 1;
    for (;;) {
        while (walk->objects == 0) {
            if (walk->depth == 0)
                return true;
            walk->objects = walk->outer[--walk->depth];
        }
        if (!walk_one(walk))
            return false;
    }
}

static enum jq_err check(struct jq_bytes frame, size_t size_max, struct jq_error *reterr) {
    if (frame.size > size_max)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "frame: %zu bytes, at most %zu", frame.size, size_max);
    if (frame.size == 0)
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "frame: empty");
    struct walk walk = {.start = frame.data, .at = frame.data, .end = frame.data + frame.size};
    if (walk_object(&walk) && walk.at != walk.end)
        fail(&walk, "something stands after the end");
    if (walk.fault)
        return jq_fail(reterr, JQ_ERR_PROTOCOL, "frame: byte %zu: %s", (size_t)(walk.at - walk.start), walk.fault);
    return JQ_OK;
}

enum jq_err jq_msgpack_check(struct jq_bytes frame, struct jq_error *reterr) {
    return check(frame, JQ_FRAME_SIZE_MAX, reterr);
}

enum jq_err jq_msgpack_check_large(struct jq_bytes frame, struct jq_error *reterr) {
    return check(frame, JQ_LARGE_FRAME_SIZE_MAX, reterr);
}

size_t jq_msgpack_first_size(struct jq_bytes bytes) {
    if (bytes.size == 0)
        return 0;
    struct walk walk = {.start = bytes.data, .at = bytes.data, .end = bytes.data + bytes.size};
    return walk_object(&walk) ? (size_t)(walk.at - walk.start) : 0;
}
