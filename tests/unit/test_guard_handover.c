/* Threads of NNG before 1.6 wake each other less often (see guard_handover.h), and no callback is lost or held up for it. A callback
 * makes others due by aborting what they wait for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "common/transport/guard.h"
#include "common/transport/internal.h"
#include "tests/lib/event.h"
#include "tests/lib/rounds.h"

enum {
    FOLLOWER_COUNT = 20, /* more than a batch */
    ROUND_COUNT = ROUNDS(2000),
};

struct callback {
    nng_ctx context;
    nng_aio *aio;
    struct event done;
    void (*act)(void); /* NULL: nothing but `done` */
};

static nng_socket replies; /* nobody asks: what receives there waits until it is aborted */
static struct callback first, followers[FOLLOWER_COUNT];
static bool reached;

static void run(void *arg) {
    struct callback *callback = arg;
    if (callback->act != NULL) {
        callback->act();
    }
    event_add(&callback->done);
}

static void prepare(struct callback *callback) {
    callback->done = (struct event)EVENT_INIT;
    assert_int_equal(nng_ctx_open(&callback->context, replies), 0);
    assert_int_equal(nng_aio_alloc(&callback->aio, run, callback), 0);
}

static int open_socket(void **state) {
    (void)state;
    assert_int_equal(nng_rep0_open(&replies), 0);
    prepare(&first);
    for (int i = 0; i < FOLLOWER_COUNT; i++) {
        prepare(&followers[i]);
    }
    return 0;
}

static void make_wait(struct callback *callback) {
    nng_ctx_recv(callback->context, callback->aio);
}

static void make_due(struct callback *callback) {
    nng_aio_abort(callback->aio, NNG_ECANCELED);
}

/* What `act` does in a callback that another thread has made due. */
static void run_as_callback(void (*act)(void)) {
    const uint64_t before = event_count(&first.done);
    first.act = act;
    make_wait(&first);
    make_due(&first);
    assert_true(event_wait(&first.done, before + 1));
}

static void make_all_due(void) {
    for (int i = 0; i < FOLLOWER_COUNT; i++) {
        make_due(&followers[i]);
    }
}

static void expect_all_done(uint64_t count) {
    for (int i = 0; i < FOLLOWER_COUNT; i++) {
        assert_true(event_wait(&followers[i].done, count));
    }
}

/* However many callbacks a callback makes due, every one runs, every time. */
static void no_callback_is_lost(void **state) {
    (void)state;
    for (uint64_t round = 1; round <= ROUND_COUNT; round++) {
        const uint64_t before = event_count(&followers[0].done);
        for (int i = 0; i < FOLLOWER_COUNT; i++) {
            make_wait(&followers[i]);
        }
        run_as_callback(make_all_due);
        expect_all_done(before + 1);
    }
}

/* Nor is one of those that a thread makes due in a batch. */
static void no_callback_of_a_batch_is_lost(void **state) {
    (void)state;
    for (int round = 0; round < ROUND_COUNT; round++) {
        const uint64_t before = event_count(&followers[0].done);
        for (int i = 0; i < FOLLOWER_COUNT; i++) {
            make_wait(&followers[i]);
        }
        jq_guard_begin_batch();
        make_all_due();
        jq_guard_end_batch(false);
        expect_all_done(before + 1);
    }
}

/* A batch may wait, by NNG's means, for what it has made due itself; it takes a moment. */
static void a_batch_may_wait(void **state) {
    (void)state;
    for (int round = 0; round < ROUND_COUNT / 20; round++) {
        const uint64_t before = event_count(&followers[0].done);
        make_wait(&followers[0]);
        jq_guard_begin_batch();
        make_due(&followers[0]);
        nng_aio_wait(followers[0].aio);
        jq_guard_end_batch(true);
        assert_int_equal(event_count(&followers[0].done), before + 1);
    }
}

static void make_due_and_wait(void) {
    make_due(&followers[0]);
    nng_aio_wait(followers[0].aio);
}

/* A callback may wait, by NNG's means, for another that it has made due itself. */
static void a_callback_may_wait_for_the_next(void **state) {
    (void)state;
    for (int round = 0; round < ROUND_COUNT; round++) {
        make_wait(&followers[0]);
        run_as_callback(make_due_and_wait);
    }
}

static void make_due_and_hand_over(void) {
    const uint64_t before = event_count(&followers[0].done);
    make_due(&followers[0]);
    jq_guard_hand_over();
    reached = event_wait(&followers[0].done, before + 1);
}

/* A callback that hands over what it has made due may do what it likes: another thread goes on with it. */
static void what_is_handed_over_goes_on(void **state) {
    (void)state;
    for (int round = 0; round < ROUND_COUNT; round++) {
        make_wait(&followers[0]);
        run_as_callback(make_due_and_hand_over);
        assert_true(reached);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_callback_is_lost),
        cmocka_unit_test(no_callback_of_a_batch_is_lost),
        cmocka_unit_test(a_batch_may_wait),
        cmocka_unit_test(a_callback_may_wait_for_the_next),
        cmocka_unit_test(what_is_handed_over_goes_on),
    };
    jq_guard_own_process();
    const int failed = cmocka_run_group_tests(tests, open_socket, NULL);
    fflush(NULL);
    _exit(failed); /* NNG's threads are still at work. */
}
