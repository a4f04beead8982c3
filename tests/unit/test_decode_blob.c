/* Requests of pieces of blobs: sizes, and frames that are larger than any other. */
#include "broker/shell/decode.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "common/codec_client.h"
#include "tests/lib/decode_bench.h"

enum { CHUNK = JQ_BLOB_CHUNK_SIZE, FRAME_ROOM = 2 * JQ_LARGE_FRAME_SIZE_MAX };

static const uint8_t hash[JQ_BLOB_HASH_SIZE] = {1, 2, 3};
static uint8_t data[JQ_BLOB_PIECE_MAX + CHUNK];

static int set_up(void **state) {
    return bench_make(state, FRAME_ROOM);
}

static struct jq_pack begin(struct bench *bench, struct jq_str op, size_t field_count) {
    const struct jq_request_head head = {.op = op, .id = 7, .done = 5, .token = JQ_STR("secret")};
    return jq_request_begin(&bench->frame, &head, field_count);
}

static enum jq_err put(struct bench *bench, uint64_t size, uint64_t offset, size_t data_size) {
    struct jq_pack pack = begin(bench, JQ_STR("blob.put"), 4);
    jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_HASH, (struct jq_bytes){hash, sizeof(hash)});
    jq_pack_field_uint(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_SIZE, size);
    jq_pack_field_uint(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_OFFSET, offset);
    jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_DATA, (struct jq_bytes){data, data_size});
    const struct jq_bytes frame = jq_buf_bytes(&bench->frame);
    return frame.size > JQ_FRAME_SIZE_MAX
               ? jq_decode_large_request(bench->decoder, frame, &bench->request, &bench->envelope, &bench->error)
               : jq_decode_request(bench->decoder, frame, &bench->request, &bench->envelope, &bench->error);
}

/* A piece is whole chunks, or all that is left; never nothing but of an empty blob, never more than the largest. */
static void a_piece_is_whole_chunks_or_the_rest(void **state) {
    struct bench *bench = *state;
    assert_int_equal(put(bench, 3 * CHUNK + 5, 0, CHUNK), JQ_OK);
    assert_int_equal(put(bench, 3 * CHUNK + 5, 3 * CHUNK, 5), JQ_OK);
    assert_int_equal(put(bench, 3 * CHUNK + 5, CHUNK, 2 * CHUNK + 5), JQ_OK);
    assert_int_equal(put(bench, 30 * (uint64_t)CHUNK, 0, JQ_BLOB_PIECE_MAX), JQ_OK);
    assert_int_equal(put(bench, 0, 0, 0), JQ_OK);
    assert_int_equal(put(bench, 3 * CHUNK + 5, 0, CHUNK + 5), JQ_ERR_INVALID);
    assert_int_equal(put(bench, 3 * CHUNK + 5, 0, 0), JQ_ERR_INVALID);
    assert_int_equal(put(bench, 3 * CHUNK + 5, 3 * CHUNK, CHUNK), JQ_ERR_INVALID);
    assert_int_equal(put(bench, 3 * CHUNK + 5, CHUNK / 2, CHUNK), JQ_ERR_INVALID);
    assert_int_equal(put(bench, 30 * (uint64_t)CHUNK, 0, JQ_BLOB_PIECE_MAX + CHUNK), JQ_ERR_TOO_BIG);
}

/* The data of a large frame are not copied; all else of the request outlives the frame. */
static void the_data_of_a_large_frame_stay_in_it(void **state) {
    struct bench *bench = *state;
    assert_int_equal(put(bench, 10 * CHUNK, 0, 10 * CHUNK), JQ_OK);
    const uint8_t *given = bench->request.u.blob.data.data;
    assert_true(given > bench->frame.data && given < bench->frame.data + bench->frame.size);
    memset(bench->frame.data, 0xc1, bench->frame.size);
    assert_memory_equal(bench->request.u.blob.hash, hash, sizeof(hash));
    assert_int_equal(bench->request.u.blob.size, 10 * CHUNK);
}

/* Nothing but a piece of a blob comes in a large frame: whatever else does is refused before its body is read. */
static void nothing_else_is_large(void **state) {
    struct bench *bench = *state;
    struct jq_pack pack = begin(bench, JQ_STR("submit"), 1);
    jq_pack_str(&pack, JQ_STR("padding"));
    jq_pack_bin(&pack, (struct jq_bytes){data, 2 * CHUNK});
    assert_int_equal(jq_decode_large_request(bench->decoder, jq_buf_bytes(&bench->frame), &bench->request,
                                             &bench->envelope, &bench->error),
                     JQ_ERR_TOO_BIG);
    assert_int_equal(jq_decoder_refusal(bench->decoder)->status, JQ_REPLY_TOO_BIG);
    assert_int_equal(jq_decoder_refusal(bench->decoder)->request, 7);
    jq_buf_clear(&bench->frame);
    pack = jq_pack_of(&bench->frame);
    jq_pack_bin(&pack, (struct jq_bytes){data, 2 * CHUNK});
    assert_int_equal(jq_decode_large_request(bench->decoder, jq_buf_bytes(&bench->frame), &bench->request,
                                             &bench->envelope, &bench->error),
                     JQ_ERR_INVALID);
}

/* Who asks for a piece says how much may come: whole chunks, one unless he says more. */
static void who_asks_says_how_much_may_come(void **state) {
    struct bench *bench = *state;
    static const struct {
        size_t said, taken; /* 0: nothing said */
    } cases[] = {{0, CHUNK}, {CHUNK, CHUNK}, {2 * CHUNK - 1, CHUNK}, {JQ_BLOB_PIECE_MAX, JQ_BLOB_PIECE_MAX}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_pack pack = begin(bench, JQ_STR("blob.get"), cases[i].said > 0 ? 2 : 1);
        jq_pack_field_bin(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_HASH, (struct jq_bytes){hash, sizeof(hash)});
        if (cases[i].said > 0) {
            jq_pack_field_uint(&pack, &jq_message_blob_get, JQ_AT_BLOB_GET_PIECE_MAX, cases[i].said);
        }
        assert_int_equal(jq_decode_request(bench->decoder, jq_buf_bytes(&bench->frame), &bench->request,
                                           &bench->envelope, &bench->error),
                         JQ_OK);
        assert_int_equal(bench->request.u.blob.piece_max, cases[i].taken);
    }
}

enum { WITH_HASH = 1, WITH_DRAFT = 2, WITH_DATA = 4, LARGE = 8 };

static enum jq_err put_named(struct bench *bench, unsigned with) {
    static const uint8_t draft[JQ_BLOB_HASH_SIZE] = {4, 5, 6};
    const unsigned fields = 1u + !!(with & WITH_HASH) + !!(with & WITH_DRAFT) + !!(with & (WITH_DATA | LARGE));
    struct jq_pack pack = begin(bench, JQ_STR("blob.put"), fields);
    jq_pack_field_uint(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_SIZE, 10 * (uint64_t)CHUNK);
    if (with & WITH_HASH)
        jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_HASH, (struct jq_bytes){hash, sizeof(hash)});
    if (with & WITH_DRAFT)
        jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_DRAFT, (struct jq_bytes){draft, sizeof(draft)});
    if (with & WITH_DATA)
        jq_pack_field_bin(&pack, &jq_message_blob_put, JQ_AT_BLOB_PUT_DATA, (struct jq_bytes){data, CHUNK});
    if (with & LARGE) { /* nobody knows that field */
        jq_pack_str(&pack, JQ_STR("padding"));
        jq_pack_bin(&pack, (struct jq_bytes){data, 2 * CHUNK});
    }
    const struct jq_bytes frame = jq_buf_bytes(&bench->frame);
    return with & LARGE
               ? jq_decode_large_request(bench->decoder, frame, &bench->request, &bench->envelope, &bench->error)
               : jq_decode_request(bench->decoder, frame, &bench->request, &bench->envelope, &bench->error);
}

/* A blob comes by its hash or as a draft. Both together say which blob the draft is: then there are no data. In a large frame, too, where
 * both outlive it. */
static void a_blob_comes_by_its_hash_or_as_a_draft(void **state) {
    struct bench *bench = *state;
    assert_int_equal(put_named(bench, WITH_HASH | WITH_DATA), JQ_OK);
    assert_false(bench->request.u.blob.draft);
    assert_null(bench->request.u.blob.named);
    assert_int_equal(put_named(bench, WITH_DRAFT | WITH_DATA), JQ_OK);
    assert_true(bench->request.u.blob.draft);
    assert_int_equal(bench->request.u.blob.hash[0], 4);
    assert_int_equal(put_named(bench, WITH_DATA), JQ_ERR_INVALID);
    assert_int_equal(put_named(bench, WITH_HASH | WITH_DRAFT | WITH_DATA), JQ_ERR_INVALID);
    assert_int_equal(put_named(bench, WITH_HASH | WITH_DRAFT), JQ_OK);
    assert_false(bench->request.u.blob.draft);
    assert_int_equal(bench->request.u.blob.named[0], 4);
    assert_int_equal(put_named(bench, WITH_HASH | WITH_DRAFT | LARGE), JQ_OK);
    memset(bench->frame.data, 0xc1, bench->frame.size);
    assert_memory_equal(bench->request.u.blob.hash, hash, sizeof(hash));
    assert_int_equal(bench->request.u.blob.named[0], 4);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_piece_is_whole_chunks_or_the_rest, set_up, bench_remove),
        cmocka_unit_test_setup_teardown(the_data_of_a_large_frame_stay_in_it, set_up, bench_remove),
        cmocka_unit_test_setup_teardown(nothing_else_is_large, set_up, bench_remove),
        cmocka_unit_test_setup_teardown(who_asks_says_how_much_may_come, set_up, bench_remove),
        cmocka_unit_test_setup_teardown(a_blob_comes_by_its_hash_or_as_a_draft, set_up, bench_remove),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
