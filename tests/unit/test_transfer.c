#include "common/libjq/transfer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { CHUNK = JQ_BLOB_CHUNK_SIZE, LONG_MS = 60000 };

/* As if the oldest piece had been sent so long ago; below 0: in no time, on however slow a machine. */
static size_t piece_after(size_t piece, size_t piece_max, int64_t took_ms) {
    struct transfer transfer = {.piece = piece, .piece_max = piece_max};
    transfer.pieces[0].sent_ms = jq_flight_now_ms() - took_ms;
    transfer_pace(&transfer);
    return transfer.piece;
}

/* Pieces grow while they come over quickly, up to what the other side takes, and shrink, whole chunks always, where each takes long: on a
 * slow line none may take as long as one that is lost. */
static void pieces_follow_the_pace_of_the_line(void **state) {
    (void)state;
    assert_int_equal(piece_after(CHUNK, 10 * CHUNK, -LONG_MS), 2 * CHUNK);
    assert_int_equal(piece_after(8 * CHUNK, 10 * CHUNK, -LONG_MS), 10 * CHUNK);
    assert_int_equal(piece_after(10 * CHUNK, 10 * CHUNK, -LONG_MS), 10 * CHUNK);
    assert_int_equal(piece_after(CHUNK, CHUNK, -LONG_MS), CHUNK);
    assert_int_equal(piece_after(10 * CHUNK, 10 * CHUNK, LONG_MS), 5 * CHUNK);
    assert_int_equal(piece_after(5 * CHUNK, 10 * CHUNK, LONG_MS), 2 * CHUNK);
    assert_int_equal(piece_after(CHUNK, 10 * CHUNK, LONG_MS), CHUNK);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(pieces_follow_the_pace_of_the_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
