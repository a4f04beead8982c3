#include "common/buf.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

/* A buffer never grows past its bound; the append that would is dropped whole, and all later ones, until it is cleared. */
static void append_over_the_bound_fails_and_stays_failed(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 100);
    for (int i = 0; i < 99; i++)
        jq_buf_append_u8(&buf, (uint8_t)i);
    assert_false(buf.failed);
    jq_buf_append_u16(&buf, 1);
    assert_true(buf.failed);
    jq_buf_append_u8(&buf, 1);
    assert_int_equal(buf.size, 99);
    assert_true(buf.capacity <= 100);

    jq_buf_clear(&buf);
    assert_false(buf.failed);
    jq_buf_append(&buf, "0123456789", 10);
    assert_memory_equal(buf.data, "0123456789", 10);
    assert_false(jq_buf_reserve(&buf, SIZE_MAX));
    assert_true(buf.failed);
    jq_buf_fini(&buf);
    jq_buf_fini(&buf);
}

/* Bytes on disk and on the wire are little-endian on every machine. */
static void integers_are_little_endian(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    jq_buf_append_u8(&buf, 0x01);
    jq_buf_append_u16(&buf, 0x0302);
    jq_buf_append_u32(&buf, 0x07060504);
    jq_buf_append_u64(&buf, UINT64_C(0x0f0e0d0c0b0a0908));
    assert_int_equal(buf.size, 15);
    for (size_t i = 0; i < 15; i++)
        assert_int_equal(buf.data[i], i + 1);
    struct jq_reader reader = jq_reader_of(jq_buf_bytes(&buf));
    assert_int_equal(jq_read_u8(&reader), 0x01);
    assert_int_equal(jq_read_u16(&reader), 0x0302);
    assert_int_equal(jq_read_u32(&reader), 0x07060504);
    assert_true(jq_read_u64(&reader) == UINT64_C(0x0f0e0d0c0b0a0908));
    assert_true(jq_reader_done(&reader));
    jq_buf_fini(&buf);
}

static const struct {
    uint64_t value;
    size_t size;
} varints[] = {
    {0, 1},
    {1, 1},
    {127, 1},
    {128, 2},
    {16383, 2},
    {16384, 3},
    {UINT32_MAX, 5},
    {UINT64_C(1) << 62, 9},
    {UINT64_C(1) << 63, 10},
    {UINT64_MAX, 10},
};

/* Every number comes back from its varint, which has the length that was foretold, and no prefix of it can be read. */
static void varints_come_back(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof(varints) / sizeof(varints[0]); i++) {
        jq_buf_clear(&buf);
        jq_buf_append_varint(&buf, varints[i].value);
        assert_int_equal(buf.size, varints[i].size);
        assert_int_equal(jq_varint_size(varints[i].value), varints[i].size);
        struct jq_reader reader = jq_reader_of(jq_buf_bytes(&buf));
        assert_true(jq_read_varint(&reader) == varints[i].value);
        assert_true(jq_reader_done(&reader));
        struct jq_reader cut = jq_reader_of((struct jq_bytes){buf.data, buf.size - 1});
        assert_int_equal(jq_read_varint(&cut), 0);
        assert_true(cut.failed);
    }
    jq_buf_fini(&buf);
}

/* Negative numbers come back, and those near zero take one byte. */
static void signed_varints_come_back(void **state) {
    (void)state;
    static const int64_t values[] = {0, -1, 1, -64, 63, 64, -65, INT64_MAX, INT64_MIN};
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof(values) / sizeof(values[0]); i++) {
        jq_buf_clear(&buf);
        jq_buf_append_svarint(&buf, values[i]);
        assert_true(i > 4 || buf.size == 1);
        struct jq_reader reader = jq_reader_of(jq_buf_bytes(&buf));
        assert_true(jq_read_svarint(&reader) == values[i]);
        assert_true(jq_reader_done(&reader));
    }
    jq_buf_fini(&buf);
}

/* A varint of more than ten bytes, or of more than 64 bits, is refused: hostile bytes cannot make the reader loop or wrap. */
static void overlong_varints_are_refused(void **state) {
    (void)state;
    uint8_t bytes[12];
    memset(bytes, 0x80, sizeof(bytes));
    bytes[10] = 0;
    struct jq_reader eleven = jq_reader_of((struct jq_bytes){bytes, 11});
    jq_read_varint(&eleven);
    assert_true(eleven.failed);

    memset(bytes, 0xff, sizeof(bytes));
    bytes[9] = 2;
    struct jq_reader too_big = jq_reader_of((struct jq_bytes){bytes, 10});
    assert_int_equal(jq_read_varint(&too_big), 0);
    assert_true(too_big.failed);
}

/* After one short read everything reads as 0 or empty: a decoder may look at `failed` once, at its end. */
static void a_short_read_is_sticky(void **state) {
    (void)state;
    static const uint8_t bytes[] = {1, 2, 3};
    struct jq_reader reader = jq_reader_of((struct jq_bytes){bytes, sizeof(bytes)});
    assert_int_equal(jq_read_u32(&reader), 0);
    assert_true(reader.failed);
    assert_int_equal(jq_read_u8(&reader), 0);
    assert_int_equal(jq_read_varint(&reader), 0);
    assert_int_equal(jq_read_bytes(&reader, 1).size, 0);
    assert_int_equal(jq_read_str(&reader, 10).size, 0);
    assert_true(reader.failed);
}

/* A text longer than what the reader allows, or than what is there, is refused, however long it claims to be. */
static void texts_are_bounded(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 1000);
    jq_buf_append_str(&buf, JQ_STR("flange"));
    jq_buf_append_str(&buf, (struct jq_str){NULL, 0});
    struct jq_reader reader = jq_reader_of(jq_buf_bytes(&buf));
    assert_true(jq_str_equal(jq_read_str(&reader, 6), JQ_STR("flange")));
    assert_int_equal(jq_read_str(&reader, 6).size, 0);
    assert_true(jq_reader_done(&reader));

    struct jq_reader narrow = jq_reader_of(jq_buf_bytes(&buf));
    assert_int_equal(jq_read_str(&narrow, 5).size, 0);
    assert_true(narrow.failed);

    jq_buf_clear(&buf);
    jq_buf_append_varint(&buf, UINT64_MAX);
    struct jq_reader liar = jq_reader_of(jq_buf_bytes(&buf));
    assert_int_equal(jq_read_str(&liar, SIZE_MAX).size, 0);
    assert_true(liar.failed);
    jq_buf_fini(&buf);
}

/* Formatted text of any length arrives whole, up to the last byte of the bound. */
static void formatted_text_fits_exactly(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 300);
    jq_buf_append_format(&buf, "%d-%s", 7, "x");
    jq_buf_append_format(&buf, "%*s", 297, "y");
    assert_false(buf.failed);
    assert_int_equal(buf.size, 300);
    assert_memory_equal(buf.data, "7-x  ", 5);
    assert_int_equal(buf.data[299], 'y');
    jq_buf_append_format(&buf, "z");
    assert_true(buf.failed);
    jq_buf_fini(&buf);
}

/* Empty bytes need no address. */
static void empty_bytes_read_as_done(void **state) {
    (void)state;
    struct jq_reader reader = jq_reader_of((struct jq_bytes){NULL, 0});
    assert_int_equal(jq_read_bytes(&reader, 0).size, 0);
    assert_true(jq_reader_done(&reader));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_over_the_bound_fails_and_stays_failed),
        cmocka_unit_test(integers_are_little_endian),
        cmocka_unit_test(varints_come_back),
        cmocka_unit_test(signed_varints_come_back),
        cmocka_unit_test(overlong_varints_are_refused),
        cmocka_unit_test(a_short_read_is_sticky),
        cmocka_unit_test(texts_are_bounded),
        cmocka_unit_test(formatted_text_fits_exactly),
        cmocka_unit_test(empty_bytes_read_as_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
