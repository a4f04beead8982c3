#include "broker/shell/inbox.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

#include "common/list.h"

enum { SENDER_COUNT = 4, EVENTS_EACH = 20000, LONG_US = 60 * 1000000 };

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

static void *send_events(void *arg) {
    struct event *events = arg;
    for (int i = 0; i < EVENTS_EACH; i++)
        jq_inbox_push(&inbox, &events[i].item);
    return NULL;
}

static int receive_some(int next_number[SENDER_COUNT]) {
    int count = 0;
    for (struct jq_inbox_item *item = jq_inbox_take_all(&inbox); item != NULL; item = item->next) {
        const struct event *event = event_of(item);
        assert_int_equal(event->number, next_number[event->sender]++);
        count++;
    }
    return count;
}

/* With many senders nothing is lost, each sender's order is kept, and the receiver never sleeps over an event. */
static void many_senders(void **state) {
    (void)state;
    pthread_t threads[SENDER_COUNT];
    struct event *events = calloc((size_t)SENDER_COUNT * EVENTS_EACH, sizeof(*events));
    assert_non_null(events);
    for (int i = 0; i < SENDER_COUNT * EVENTS_EACH; i++) {
        events[i].sender = i / EVENTS_EACH;
        events[i].number = i % EVENTS_EACH;
    }
    for (int i = 0; i < SENDER_COUNT; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, send_events, events + (ptrdiff_t)i * EVENTS_EACH), 0);
    int next_number[SENDER_COUNT] = {0};
    for (int left = SENDER_COUNT * EVENTS_EACH; left > 0; left -= receive_some(next_number))
        jq_inbox_wait(&inbox, LONG_US);
    for (int i = 0; i < SENDER_COUNT; i++)
        pthread_join(threads[i], NULL);
    free(events);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(oldest_first, begin),
        cmocka_unit_test_setup(memory_is_bounded, begin),
        cmocka_unit_test_setup(a_full_inbox_stays_full_down_to_its_low_mark, begin),
        cmocka_unit_test_setup(ring_is_kept_until_the_wait, begin),
        cmocka_unit_test_setup(many_senders, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
