/* Threads that submit through one client at a time (see common/libjq/gather.c), before a broker whose answers the test gives by hand. */
#include "common/libjq/submit.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <sched.h>
#include <stdio.h>

#include "tests/lib/by_hand.h"
#include "tests/lib/event.h"

enum { CALLERS_MAX = 8, FIRST_ID = 100, LONG_MS = 60000, BIG_SIZE = 40000 };

/* A submit that the broker was asked for. */
struct asked {
    const struct by_hand_request *request;
    size_t count;
    int64_t wait_ms;
    char first[16]; /* handler of its first task */
};

struct caller {
    pthread_t thread;
    struct jq_client *client;
    struct jq_task_spec task;
    jq_task_id id;
    enum jq_err err;
    struct jq_error error;
};

static struct jq_client *client;
static struct caller callers[CALLERS_MAX];

/* ---- the broker ---- */

static struct asked wait_asked(size_t at) {
    const struct by_hand_request *request = by_hand_wait(at);
    const struct jq_view tasks = jq_view_get(request->body, "tasks");
    const struct jq_str handler = jq_view_str(jq_view_at(tasks, 0), "handler");
    struct asked one = {.request = request,
                        .count = jq_view_count(tasks),
                        .wait_ms = (int64_t)jq_view_uint(request->body, "wait_ms", 0)};
    (void)snprintf(one.first, sizeof(one.first), "%.*s", JQ_STR_ARG(handler));
    return one;
}

static void accept_all(const struct asked *one, uint64_t first) {
    struct jq_buf buf;
    struct jq_pack pack = by_hand_reply_begin(&buf, one->request, JQ_REPLY_OK, 1);
    jq_pack_field_uint(&pack, &jq_message_submit_reply, JQ_AT_SUBMIT_REPLY_FIRST, first);
    by_hand_reply_end(&buf, one->request);
}

/* Accepts all but the first task. */
static void accept_but_first(const struct asked *one, uint64_t first, enum jq_reply status) {
    struct jq_buf buf;
    struct jq_pack pack = by_hand_reply_begin(&buf, one->request, JQ_REPLY_OK, 2);
    jq_pack_field_uint(&pack, &jq_message_submit_reply, JQ_AT_SUBMIT_REPLY_FIRST, first);
    jq_pack_key(&pack, &jq_message_submit_reply, JQ_AT_SUBMIT_REPLY_EXCEPTIONS);
    jq_pack_array(&pack, 1);
    jq_pack_array(&pack, JQ_COUNT_exception);
    jq_pack_uint(&pack, 0);
    jq_pack_uint(&pack, (uint64_t)status);
    jq_pack_uint(&pack, 0);
    jq_pack_uint(&pack, 1);
    jq_pack_nil(&pack);
    jq_pack_str(&pack, JQ_STR("not this one"));
    by_hand_reply_end(&buf, one->request);
}

static void refuse(const struct asked *one, enum jq_reply status) {
    struct jq_buf buf;
    struct jq_pack pack = by_hand_reply_begin(&buf, one->request, status, 1);
    jq_pack_str(&pack, JQ_STR("reason"));
    jq_pack_str(&pack, JQ_STR("not so"));
    by_hand_reply_end(&buf, one->request);
}

/* ---- its clients ---- */

static void *call_submit(void *ctx) {
    struct caller *caller = ctx;
    caller->err = jq_submit(caller->client, &caller->task, &caller->id, &caller->error);
    return NULL;
}

static struct caller *start(size_t at, const char *handler) {
    struct caller *caller = &callers[at];
    *caller = (struct caller){.client = client, .task = jq_task(handler)};
    assert_int_equal(pthread_create(&caller->thread, NULL, call_submit, caller), 0);
    return caller;
}

static void join(struct caller *caller) {
    assert_int_equal(pthread_join(caller->thread, NULL), 0);
}

static size_t lined_up(void) {
    pthread_mutex_lock(&client->gathering.lock);
    const size_t count = client->gathering.waiting;
    pthread_mutex_unlock(&client->gathering.lock);
    return count;
}

static void wait_lined_up(size_t count) {
    const int64_t until_ms = jq_flight_now_ms() + EVENT_WAIT_MAX_S * 1000;
    while (lined_up() < count && jq_flight_now_ms() < until_ms) {
        (void)sched_yield();
    }
    assert_int_equal(lined_up(), count);
}

static int begin(void **state) {
    (void)state;
    by_hand_open();
    const struct jq_connect_config connect = {.server = by_hand_url(), .timeout_ms = LONG_MS};
    if (jq_connect(&connect, &client, NULL) != JQ_OK) {
        return -1;
    }
    client->gathering.patience_ms = LONG_MS;
    return 0;
}

static int end(void **state) {
    (void)state;
    jq_disconnect(client);
    by_hand_close();
    return 0;
}

/* A first request under way, behind which `count` callers have lined up. */
static struct asked line_up_behind_one(size_t count) {
    static const char *const handlers[] = {"h0", "h1", "h2", "h3", "h4", "h5", "h6", "h7"};
    (void)start(0, handlers[0]);
    const struct asked first = wait_asked(0);
    for (size_t i = 1; i <= count; i++) {
        (void)start(i, handlers[i]);
        wait_lined_up(i);
    }
    return first;
}

/* Submits that come while one is under way go together in the next request, each gets its own id, and who is alone does not wait. */
static void callers_gather_while_one_is_under_way(void **state) {
    (void)state;
    const struct asked first = line_up_behind_one(CALLERS_MAX - 1);
    assert_int_equal(first.count, 1);
    accept_all(&first, 1);
    const struct asked second = wait_asked(1);
    assert_int_equal(second.count, CALLERS_MAX - 1);
    accept_all(&second, FIRST_ID);
    for (size_t i = 0; i < CALLERS_MAX; i++) {
        join(&callers[i]);
        assert_int_equal(callers[i].err, JQ_OK);
        assert_int_equal(callers[i].id.value, i == 0 ? 1 : FIRST_ID + i - 1);
    }
    assert_int_equal(by_hand_count(), 2);
}

/* A task that is refused among others is refused for its caller alone. */
static void refusal_of_one_is_its_own(void **state) {
    (void)state;
    const struct asked first = line_up_behind_one(2);
    accept_all(&first, 1);
    const struct asked second = wait_asked(1);
    accept_but_first(&second, FIRST_ID, JQ_REPLY_INVALID);
    for (size_t i = 0; i < 3; i++) {
        join(&callers[i]);
    }
    assert_int_equal(callers[1].err, JQ_ERR_INVALID);
    assert_non_null(strstr(callers[1].error.message, "not this one"));
    assert_int_equal(callers[2].err, JQ_OK);
    assert_int_equal(callers[2].id.value, FIRST_ID);
    assert_int_equal(by_hand_count(), 2);
}

/* A request of several that is refused as a whole is no verdict on any of them: each goes alone and gets its own. */
static void refused_company_goes_one_by_one(void **state) {
    (void)state;
    const struct asked first = line_up_behind_one(2);
    accept_all(&first, 1);
    const struct asked second = wait_asked(1);
    assert_int_equal(second.count, 2);
    refuse(&second, JQ_REPLY_FORBIDDEN);
    for (size_t i = 2; i < 4; i++) {
        const struct asked one = wait_asked(i);
        assert_int_equal(one.count, 1);
        if (strcmp(one.first, "h1") == 0) {
            refuse(&one, JQ_REPLY_FORBIDDEN);
        } else {
            accept_all(&one, FIRST_ID);
        }
    }
    for (size_t i = 0; i < 3; i++) {
        join(&callers[i]);
    }
    assert_int_equal(callers[1].err, JQ_ERR_DENIED);
    assert_int_equal(callers[2].err, JQ_OK);
    assert_int_equal(callers[2].id.value, FIRST_ID);
}

/* Whether `unavailable` was executed nobody knows: it is told to all, and nothing is sent under another request id. */
static void unavailable_is_not_sent_again(void **state) {
    (void)state;
    const struct asked first = line_up_behind_one(2);
    accept_all(&first, 1);
    const struct asked second = wait_asked(1);
    refuse(&second, JQ_REPLY_UNAVAILABLE);
    for (size_t i = 0; i < 3; i++) {
        join(&callers[i]);
        assert_int_equal(callers[i].err, i == 0 ? JQ_OK : JQ_ERR_UNAVAILABLE);
    }
    assert_int_equal(by_hand_count(), 2);
}

/* A full queue holds nobody back but those who submit to it: in company it answers at once, and its callers ask again alone, and are
 * held. */
static void full_queue_holds_only_its_own(void **state) {
    (void)state;
    const struct asked first = line_up_behind_one(2);
    assert_true(first.wait_ms > 0);
    accept_all(&first, 1);
    const struct asked second = wait_asked(1);
    assert_int_equal(second.wait_ms, 0);
    accept_but_first(&second, FIRST_ID, JQ_REPLY_BUSY);
    join(&callers[2]);
    assert_int_equal(callers[2].id.value, FIRST_ID);
    const struct asked third = wait_asked(2);
    assert_string_equal(third.first, "h1");
    assert_true(third.wait_ms > 0);
    accept_all(&third, FIRST_ID + 1);
    join(&callers[0]);
    join(&callers[1]);
    assert_int_equal(callers[1].err, JQ_OK);
    assert_int_equal(callers[1].id.value, FIRST_ID + 1);
}

/* Tasks that do not fit a frame together do not go together. */
static void big_tasks_go_apart(void **state) {
    static const uint8_t payload[BIG_SIZE];
    (void)state;
    const struct asked first = line_up_behind_one(0);
    for (size_t i = 1; i < 3; i++) {
        callers[i] = (struct caller){.client = client, .task = jq_task("big")};
        callers[i].task.payload = payload;
        callers[i].task.payload_size = sizeof(payload);
        assert_int_equal(pthread_create(&callers[i].thread, NULL, call_submit, &callers[i]), 0);
        wait_lined_up(i);
    }
    accept_all(&first, 1);
    for (size_t i = 1; i < 3; i++) {
        const struct asked one = wait_asked(i);
        assert_int_equal(one.count, 1);
        accept_all(&one, FIRST_ID + i);
    }
    for (size_t i = 0; i < 3; i++) {
        join(&callers[i]);
        assert_int_equal(callers[i].id.value, i == 0 ? 1 : FIRST_ID + i);
    }
}

/* Who has waited for company long enough goes alone, and behind a request that stands still nobody waits at all. */
static void nobody_waits_behind_what_stands_still(void **state) {
    (void)state;
    client->gathering.patience_ms = 1;
    const struct asked first = line_up_behind_one(0);
    for (size_t i = 1; i < 3; i++) {
        struct caller *caller = start(i, "late");
        const struct asked one = wait_asked(i);
        assert_int_equal(one.count, 1);
        accept_all(&one, FIRST_ID + i);
        join(caller);
        assert_int_equal(caller->id.value, FIRST_ID + i);
    }
    accept_all(&first, 1);
    join(&callers[0]);
    assert_int_equal(callers[0].id.value, 1);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(callers_gather_while_one_is_under_way, begin, end),
        cmocka_unit_test_setup_teardown(refusal_of_one_is_its_own, begin, end),
        cmocka_unit_test_setup_teardown(refused_company_goes_one_by_one, begin, end),
        cmocka_unit_test_setup_teardown(unavailable_is_not_sent_again, begin, end),
        cmocka_unit_test_setup_teardown(full_queue_holds_only_its_own, begin, end),
        cmocka_unit_test_setup_teardown(big_tasks_go_apart, begin, end),
        cmocka_unit_test_setup_teardown(nobody_waits_behind_what_stands_still, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
