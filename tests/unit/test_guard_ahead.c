/* A stream that is read ahead (see guard_ahead.h) is the same stream. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "common/transport/guard_ahead.h"

enum {
    STREAM_SIZE = 1 << 20,
    PIECE_MAX = 5000,
    BODY_SIZE = 100,
};

struct stream {
    int fds[2];
    struct guard_ahead *ahead;
};

static int open_stream(void **state) {
    static struct stream stream;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, stream.fds), 0);
    stream.ahead = guard_ahead_new();
    assert_non_null(stream.ahead);
    *state = &stream;
    return 0;
}

static int close_stream(void **state) {
    struct stream *stream = *state;
    guard_ahead_free(stream->ahead);
    close(stream->fds[0]);
    close(stream->fds[1]);
    return 0;
}

static uint8_t byte_at(size_t offset) {
    return (uint8_t)(offset * 31 + offset / 251);
}

static void put(struct stream *stream, size_t offset, size_t size) {
    uint8_t bytes[PIECE_MAX];
    for (size_t i = 0; i < size; i++) {
        bytes[i] = byte_at(offset + i);
    }
    assert_int_equal(write(stream->fds[0], bytes, size), size);
}

/* Asks for `first` and then `second` bytes in one call, and checks those that come: they are the ones at `offset`. */
static ssize_t take(struct stream *stream, size_t offset, size_t first, size_t second) {
    uint8_t bytes[2][PIECE_MAX];
    const struct iovec parts[] = {{bytes[0], first}, {bytes[1], second}};
    const ssize_t count = guard_ahead_read(stream->ahead, stream->fds[1], parts, 2);
    for (size_t i = 0; count > 0 && i < (size_t)count; i++) {
        assert_int_equal(i < first ? bytes[0][i] : bytes[1][i - first], byte_at(offset + i));
    }
    return count;
}

/* Whatever sizes it is written and read in, every byte comes, once, in order; EAGAIN is told only to who then finds the socket
 * readable or has read all of it. */
static void all_comes_in_order(void **state) {
    struct stream *stream = *state;
    size_t sent = 0, got = 0;
    for (unsigned round = 0; got < STREAM_SIZE; round++) {
        const size_t piece = round * 7919 % PIECE_MAX;
        put(stream, sent, piece);
        sent += piece;
        int refusals = 0;
        while (got < sent && refusals < 2) {
            const ssize_t count =
                take(stream, got, round * 31 % 64 + 1, round % 5 == 0 ? round * 104729 % PIECE_MAX : 0);
            assert_true(count > 0 || errno == EAGAIN);
            refusals = count > 0 ? 0 : refusals + 1;
            got += count > 0 ? (size_t)count : 0;
        }
        assert_int_equal(got, sent);
    }
}

/* One call takes a message, and the small ones behind it, from the socket; and who asks for more then is told that there is none
 * without a call. */
static void one_call_does_for_small_messages(void **state) {
    struct stream *stream = *state;
    uint8_t none;
    put(stream, 0, 3 * BODY_SIZE);
    assert_int_equal(take(stream, 0, 8, 0), 8);
    assert_int_equal(recv(stream->fds[1], &none, 1, 0), -1);
    assert_int_equal(take(stream, 8, BODY_SIZE, BODY_SIZE), 2 * BODY_SIZE);
    assert_int_equal(take(stream, 2 * BODY_SIZE + 8, BODY_SIZE, 0), BODY_SIZE - 8);
    put(stream, 3 * BODY_SIZE, 1);
    assert_int_equal(take(stream, 3 * BODY_SIZE, 8, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(take(stream, 3 * BODY_SIZE, 8, 0), 1);
}

/* Where there was more than it had room for, the next call reads on at once. */
static void more_than_there_is_room_for_comes_at_once(void **state) {
    struct stream *stream = *state;
    put(stream, 0, PIECE_MAX);
    assert_int_equal(take(stream, 0, 8, 0), 8);
    assert_int_equal(take(stream, 8, PIECE_MAX - 108, 0), PIECE_MAX - 108);
    assert_int_equal(take(stream, PIECE_MAX - 100, 200, 0), 100);
}

/* The end of a stream comes after all of it. */
static void the_end_comes_last(void **state) {
    struct stream *stream = *state;
    put(stream, 0, BODY_SIZE);
    assert_int_equal(shutdown(stream->fds[0], SHUT_WR), 0);
    assert_int_equal(take(stream, 0, 8, 0), 8);
    assert_int_equal(take(stream, 8, BODY_SIZE, 0), BODY_SIZE - 8);
    assert_int_equal(take(stream, BODY_SIZE, 8, 0), -1);
    assert_int_equal(errno, EAGAIN);
    assert_int_equal(take(stream, BODY_SIZE, 8, 0), 0);
    assert_int_equal(take(stream, BODY_SIZE, 8, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(all_comes_in_order, open_stream, close_stream),
        cmocka_unit_test_setup_teardown(one_call_does_for_small_messages, open_stream, close_stream),
        cmocka_unit_test_setup_teardown(more_than_there_is_room_for_comes_at_once, open_stream, close_stream),
        cmocka_unit_test_setup_teardown(the_end_comes_last, open_stream, close_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
