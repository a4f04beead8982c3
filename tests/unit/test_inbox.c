#include "broker/shell/inbox.h"

#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/list.h"

enum { SENDER_COUNT = 4, EVENTS_EACH = 20000, LONG_US = 600 * 1000000, SHORT_US = 20000 };

struct event {
    struct jq_inbox_item item;
    int sender;
    int number;
};

static struct jq_inbox inbox;

static int begin(void **state) {
    (void)state;
    jq_inbox_init(&inbox, 100);
    return 0;
}

static struct event *event_of(struct jq_inbox_item *item) {
    return JQ_CONTAINER_OF(item, struct event, item);
}

/* Events are taken in the order in which they came. */
static void oldest_first(void **state) {
    (void)state;
    struct event events[3];
    for (int i = 0; i < 3; i++) {
        events[i].number = i;
        jq_inbox_push(&inbox, &events[i].item);
    }
    assert_false(jq_inbox_empty(&inbox));
    int number = 0;
    for (struct jq_inbox_item *item = jq_inbox_take_all(&inbox); item != NULL; item = item->next)
        assert_int_equal(event_of(item)->number, number++);
    assert_int_equal(number, 3);
    assert_null(jq_inbox_take_all(&inbox));
    assert_true(jq_inbox_empty(&inbox));
}

/* Bytes in flight are bounded; what is given back can be used again; one event is admitted whatever its size. */
static void memory_is_bounded(void **state) {
    (void)state;
    assert_true(jq_inbox_admit(&inbox, 60));
    assert_true(jq_inbox_admit(&inbox, 40));
    assert_false(jq_inbox_admit(&inbox, 1));
    jq_inbox_settle(&inbox, 40, 0);
    assert_false(jq_inbox_admit(&inbox, 41));
    jq_inbox_settle(&inbox, 1, 0);
    assert_true(jq_inbox_admit(&inbox, 40));
    jq_inbox_settle(&inbox, 99, 0);
    assert_int_equal(jq_inbox_in_flight_bytes(&inbox), 0);
    assert_true(jq_inbox_admit(&inbox, 1000));
    assert_false(jq_inbox_admit(&inbox, 1));
}

/* From the mark on everything is refused, until what waits is down at seven eighths of it; when that will be is told from the rate at
 * which the receiver gets on. */
static void a_full_inbox_stays_full_down_to_its_low_mark(void **state) {
    (void)state;
    const int64_t second = 1000000000;
    assert_int_equal(jq_inbox_retry_ms(&inbox), 200); /* nothing is known yet */
    assert_true(jq_inbox_admit(&inbox, 100));
    assert_false(jq_inbox_admit(&inbox, 1));
    jq_inbox_settle(&inbox, 10, second);
    assert_int_equal(jq_inbox_retry_ms(&inbox), 600); /* down to 84, at 10 bytes a second */
    assert_false(jq_inbox_admit(&inbox, 1));
    jq_inbox_settle(&inbox, 6, second);
    assert_true(jq_inbox_admit(&inbox, 1));
    jq_inbox_settle(&inbox, 85, second);
}

/* A ring that came before the wait is not lost, and is used up by it. */
static void ring_is_kept_until_the_wait(void **state) {
    (void)state;
    jq_inbox_ring(&inbox);
    jq_inbox_wait(&inbox, LONG_US);
    jq_inbox_wait(&inbox, 1);
}

/* What the one who has the receiver's place may touch. */
static atomic_int next_number[SENDER_COUNT];
static int left, disordered;

static void receive_all(void) {
    for (struct jq_inbox_item *item = jq_inbox_take_all(&inbox); item != NULL; item = item->next) {
        const struct event *event = event_of(item);
        disordered += event->number != atomic_fetch_add(&next_number[event->sender], 1) ? 1 : 0;
        left--;
    }
}

static void *send_events(void *arg) {
    struct event *events = arg;
    for (int i = 0; i < EVENTS_EACH; i++)
        jq_inbox_push(&inbox, &events[i].item);
    return NULL;
}

/* One by one: an event that is slept over is waited for in vain. The last one tells the receiver, which has no other reason to wake. */
static void *bring_events(void *arg) {
    struct event *events = arg;
    for (int i = 0; i < EVENTS_EACH; i++) {
        while (atomic_load(&next_number[events->sender]) < i)
            sched_yield();
        if (jq_inbox_bring(&inbox, &events[i].item)) {
            jq_inbox_serve(&inbox);
            receive_all();
            jq_inbox_leave(&inbox, left > 0 ? 2 * LONG_US : 0);
        }
    }
    return NULL;
}

static void exchange(void *(*send)(void *), void *(*send_too)(void *)) {
    pthread_t threads[SENDER_COUNT];
    struct event *events = calloc((size_t)SENDER_COUNT * EVENTS_EACH, sizeof(*events));
    assert_non_null(events);
    for (int i = 0; i < SENDER_COUNT * EVENTS_EACH; i++) {
        events[i].sender = i / EVENTS_EACH;
        events[i].number = i % EVENTS_EACH;
    }
    for (int i = 0; i < SENDER_COUNT; i++)
        atomic_store(&next_number[i], 0);
    left = SENDER_COUNT * EVENTS_EACH;
    disordered = 0;
    for (int i = 0; i < SENDER_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 == 0 ? send : send_too, events + i * EVENTS_EACH), 0);
    while (left > 0) {
        jq_inbox_wait(&inbox, LONG_US);
        receive_all();
    }
    for (int i = 0; i < SENDER_COUNT; i++)
        pthread_join(threads[i], NULL);
    free(events);
    assert_int_equal(disordered, 0);
}

/* With many senders nothing is lost, each sender's order is kept, and the receiver never sleeps over an event. */
static void many_senders(void **state) {
    (void)state;
    exchange(send_events, send_events);
}

/* The same with senders that take the receiver's place while it sleeps: never two have it. */
static void many_guests(void **state) {
    (void)state;
    exchange(bring_events, bring_events);
    exchange(bring_events, send_events);
}

/* Nobody takes a place that is taken. */
static void no_guest_while_the_receiver_works(void **state) {
    (void)state;
    struct event event;
    assert_false(jq_inbox_bring(&inbox, &event.item));
    assert_ptr_equal(jq_inbox_take_all(&inbox), &event.item);
}

struct sleeper {
    pthread_t thread;
    int64_t timeout_us;
    atomic_bool awake;
    struct event event; /* that the guest brings */
};

static void *sleep_once(void *arg) {
    struct sleeper *sleeper = arg;
    jq_inbox_wait(&inbox, sleeper->timeout_us);
    atomic_store(&sleeper->awake, true);
    return NULL;
}

/* A receiver that has gone to sleep, in whose place we are. False: it had slept its time before. */
static bool visit(struct sleeper *sleeper, int64_t timeout_us) {
    sleeper->timeout_us = timeout_us;
    atomic_store(&sleeper->awake, false);
    assert_int_equal(pthread_create(&sleeper->thread, NULL, sleep_once, sleeper), 0);
    while (atomic_load(&inbox.place) == JQ_INBOX_TAKEN && !atomic_load(&sleeper->awake))
        sched_yield();
    const bool guest = jq_inbox_bring(&inbox, &sleeper->event.item);
    assert_ptr_equal(jq_inbox_take_all(&inbox), &sleeper->event.item);
    return guest;
}

/* The receiver sleeps on after a guest, unless something has come meanwhile, or is due before it would wake. */
static void receiver_wakes_after_a_guest_for_a_reason(void **state) {
    (void)state;
    struct sleeper sleeper;
    assert_true(visit(&sleeper, LONG_US));
    jq_inbox_leave(&inbox, 2 * LONG_US);
    assert_int_equal(atomic_load(&inbox.place), JQ_INBOX_FREE);
    jq_inbox_ring(&inbox);
    pthread_join(sleeper.thread, NULL);

    assert_true(visit(&sleeper, LONG_US));
    jq_inbox_leave(&inbox, LONG_US / 2);
    assert_int_equal(atomic_load(&inbox.place), JQ_INBOX_TAKEN);
    pthread_join(sleeper.thread, NULL);

    assert_true(visit(&sleeper, LONG_US));
    jq_inbox_ring(&inbox);
    assert_int_equal(atomic_load(&inbox.place), JQ_INBOX_GUEST);
    jq_inbox_leave(&inbox, 2 * LONG_US);
    assert_int_equal(atomic_load(&inbox.place), JQ_INBOX_TAKEN);
    pthread_join(sleeper.thread, NULL);
}

/* A receiver whose time comes while a guest has its place waits for the guest, and no longer. */
static void receiver_waits_for_its_guest(void **state) {
    (void)state;
    struct sleeper sleeper;
    while (!visit(&sleeper, SHORT_US))
        pthread_join(sleeper.thread, NULL);
    while (atomic_load(&inbox.place) != JQ_INBOX_GUEST_WANTED)
        sched_yield();
    jq_inbox_leave(&inbox, 2 * LONG_US);
    pthread_join(sleeper.thread, NULL);
    assert_int_equal(atomic_load(&inbox.place), JQ_INBOX_TAKEN);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(oldest_first, begin),
        cmocka_unit_test_setup(memory_is_bounded, begin),
        cmocka_unit_test_setup(a_full_inbox_stays_full_down_to_its_low_mark, begin),
        cmocka_unit_test_setup(ring_is_kept_until_the_wait, begin),
        cmocka_unit_test_setup(many_senders, begin),
        cmocka_unit_test_setup(many_guests, begin),
        cmocka_unit_test_setup(no_guest_while_the_receiver_works, begin),
        cmocka_unit_test_setup(receiver_wakes_after_a_guest_for_a_reason, begin),
        cmocka_unit_test_setup(receiver_waits_for_its_guest, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
