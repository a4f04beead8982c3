/* A task that is too large for what is left over: after reserve_after it holds a worker, and small ones cannot starve it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_sized(struct lab *lab, const char *need, int priority) {
    struct jq_submit_item item = lab_item();
    item.need = jq_str_of(need);
    item.priority = priority;
    return submit_item(lab, &item);
}

static const struct jq_why_line *find_line(struct lab *lab, jq_task_id task, enum jq_why why) {
    const struct jq_reply_effect *reply = explain_task(lab, task);
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        if (reply->u.explain.lines[i].why == why) {
            return &reply->u.explain.lines[i];
        }
    }
    return NULL;
}

/* The worker (4 cpu, 4 slots) runs one small task of 2 cpu and asks; a large task of 4 cpu is ready, small ones keep coming. */
static jq_lease_token begin(struct lab *lab, jq_task_id *ret_large) {
    submit_sized(lab, "cpu=2", 5);
    const jq_lease_token running = lease_task(lab, "worker-1");
    *ret_large = submit_sized(lab, "cpu=4", 5);
    return running;
}

/* Ends one small task after another, as they do where they never all end at once. Returns the token of the one that runs. */
static jq_lease_token pass_small_ones(struct lab *lab, jq_lease_token running, int64_t ms) {
    for (int64_t passed = 0; passed < ms; passed += 5000) {
        submit_sized(lab, "cpu=2", 5);
        const jq_lease_token next = lease_task(lab, "worker-1");
        if (next.value == 0) {
            return running; /* the worker is kept */
        }
        assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
        running = next;
        advance_ms(lab, 5000);
    }
    return running;
}

/* Small tasks pass a large one for reserve_after, not longer: then the worker gets nothing more until the large one has it. */
static void large_task_is_not_starved_by_small_ones(void **state) {
    (void)state;
    struct lab *lab = lab_new(); /* reserve_after = 30000 */
    jq_task_id large, got;
    jq_lease_token running = begin(lab, &large), token;
    running = pass_small_ones(lab, running, 30000);
    assert_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
    const jq_task_id small = submit_sized(lab, "cpu=2", 5);
    assert_int_equal(lease_task(lab, "worker-1").value, 0); /* there is room for it, and it is held */
    const struct jq_why_line *holds = find_line(lab, large, JQ_WHY_HOLDS_WORKER);
    assert_non_null(holds);
    assert_true(jq_str_equal(holds->worker, JQ_STR("worker-1")));
    assert_true(jq_str_equal(holds->detail, JQ_STR("cpu")));
    assert_int_equal(holds->number, 2000);
    const struct jq_why_line *reserved = find_line(lab, small, JQ_WHY_WORKER_RESERVED);
    assert_non_null(reserved);
    assert_true(jq_str_equal(reserved->detail, JQ_STR("2")));
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    got = lease_task_id(lab, "worker-1", &token);
    assert_int_equal(got.value, large.value);
    assert_null(find_line(lab, small, JQ_WHY_WORKER_RESERVED));
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Until then nothing is held: what fits goes on. */
static void nothing_is_held_before_its_time(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id large;
    (void)begin(lab, &large);
    advance_ms(lab, 29999);
    submit_sized(lab, "cpu=1", 5);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
    lab_free(lab);
}

/* What does not delay the large task is still handed out: it takes only of offers that the large one does not wait for, and leaves
 * enough of them. */
static void backfill_takes_only_what_does_not_delay(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker_unregistered(lab, "worker-1");
    lab_offer(worker, "slots", 8000);
    register_worker(lab, worker);
    jq_task_id large;
    jq_lease_token running = begin(lab, &large), token;
    running = pass_small_ones(lab, running, 30000);
    submit_sized(lab, "cpu=1", 5);
    const jq_task_id light = submit_sized(lab, "mem=1G", 5);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, light.value);
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, large.value); /* while the light one still runs */
    lab_free(lab);
}

/* A slot is an offer too: with one slot left beside what runs, nothing takes it before the task it is kept for. */
static void last_slot_is_kept(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker_unregistered(lab, "worker-1");
    lab_offer(worker, "slots", 2000);
    register_worker(lab, worker);
    jq_task_id large;
    jq_lease_token running = begin(lab, &large), token;
    advance_ms(lab, 30000);
    submit_sized(lab, "mem=1G", 5);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, large.value);
    lab_free(lab);
}

/* Priority stays strict: a large task of a lower priority reserves nothing while tasks above it are waiting their turn. */
static void lower_priority_reserves_nothing(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_sized(lab, "cpu=2", 5);
    (void)lease_task(lab, "worker-1");
    const jq_task_id large = submit_sized(lab, "cpu=4", 3);
    for (int i = 0; i < 6; i++) {
        advance_ms(lab, 10000);
        submit_sized(lab, "cpu=1", 5);
        const jq_lease_token token = lease_task(lab, "worker-1");
        assert_int_not_equal(token.value, 0);
        assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    }
    assert_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
    lab_free(lab);
}

/* Another worker that has room before takes the task, and the one that was kept is free for others at once. */
static void another_worker_may_take_it_first(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id large;
    jq_lease_token running = begin(lab, &large), token;
    (void)pass_small_ones(lab, running, 30000);
    submit_sized(lab, "cpu=2", 5);
    struct jq_request parked = poll_of(lab, "worker-1", 1, 20000);
    assert_null(lab_ask(lab, &parked));
    assert_non_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
    assert_int_equal(lease_task_id(lab, "worker-2", &token).value, large.value);
    const struct jq_reply_effect *reply = lab_reply_to(lab, parked.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.lease.count, 1);
    lab_free(lab);
}

/* A task of another queue, which has had its share: the first queue's turn is next. */
static void let_other_queue_go_ahead(struct lab *lab) {
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("other");
    item.need = JQ_STR("mem=1G");
    for (int i = 0; i < 3; i++) {
        submit_item(lab, &item);
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    }
    item.need = JQ_STR("cpu=2");
    submit_item(lab, &item);
}

/* Its task cancelled, or its queue paused: whatever ends the reservation frees the worker, which is asking, for what waits. */
static void reservation_ends_with_what_it_is_for(void **state) {
    (void)state;
    for (int how = 0; how < 2; how++) {
        struct lab *lab = lab_new();
        jq_task_id large;
        jq_lease_token running = begin(lab, &large);
        (void)pass_small_ones(lab, running, 30000);
        let_other_queue_go_ahead(lab);
        struct jq_request parked = poll_of(lab, "worker-1", 1, 20000);
        assert_null(lab_ask(lab, &parked));
        assert_non_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
        if (how == 0) {
            assert_int_equal(cancel_task(lab, large), JQ_REPLY_OK);
        } else {
            assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", true), JQ_REPLY_OK);
        }
        assert_int_equal(lab_reply_to(lab, parked.call)->u.lease.count, 1);
        assert_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
        lab_free(lab);
    }
}

/* A worker that goes, drains or comes back as another is kept for nobody. */
static void reservation_ends_with_its_worker(void **state) {
    (void)state;
    for (int how = 0; how < 3; how++) {
        struct lab *lab = lab_new();
        jq_task_id large;
        jq_lease_token running = begin(lab, &large);
        (void)pass_small_ones(lab, running, 30000);
        submit_sized(lab, "cpu=2", 5);
        assert_int_equal(lease_task(lab, "worker-1").value, 0);
        assert_non_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
        if (how == 0) {
            restart_worker(lab, "worker-1");
        } else if (how == 1) {
            assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_OK);
        } else {
            stop_answering_surveys(lab, "worker-1");
            advance_ms(lab, 20000);
        }
        assert_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
        expect_replay_matches_live(lab);
        lab_free(lab);
    }
}

/* A worker that says it has less than it offers is not kept for ever: drained and still without room, it is given to others. */
static void worker_that_never_has_room_is_not_kept(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id large;
    const struct jq_amount told = {JQ_STR("cpu"), 3000};
    jq_lease_token running = begin(lab, &large);
    running = pass_small_ones(lab, running, 30000);
    const jq_task_id small = submit_sized(lab, "cpu=2", 5);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    for (int i = 0; i < 3; i++) {
        struct jq_request poll = poll_of(lab, "worker-1", 1, 0);
        poll.u.lease.free = &told;
        poll.u.lease.free_count = 1;
        const struct jq_reply_effect *reply = lab_ask(lab, &poll);
        take_leases(lab_worker(lab, "worker-1"), reply);
        if (reply->u.lease.count > 0) {
            assert_int_equal(reply->u.lease.items[0].task.value, small.value);
            lab_free(lab);
            return;
        }
        advance_ms(lab, 1000);
    }
    fail_msg("the worker is kept in vain");
}

/* A worker whose host ran short of something under such a task takes none of them for a while, and is not kept for one. */
static void worker_that_ran_short_is_not_kept(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id large;
    jq_lease_token running = begin(lab, &large), token;
    const jq_task_id second = submit_sized(lab, "cpu=4", 5);
    running = pass_small_ones(lab, running, 30000);
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    const jq_lease_token first = lease_task(lab, "worker-1"); /* the large one, for there is room */
    submit_sized(lab, "mem=1G", 5);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0); /* passes the second one */
    assert_non_null(find_line(lab, second, JQ_WHY_HOLDS_WORKER));
    assert_int_equal(report_failure(lab, first, JQ_OUTCOME_RESOURCE_EXHAUSTED, false), JQ_REPLY_OK);
    const jq_task_id small = submit_sized(lab, "cpu=2", 5);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, small.value);
    assert_null(find_line(lab, second, JQ_WHY_HOLDS_WORKER));
    lab_free(lab);
}

/* A restart forgets who was kept for whom; the task, which has been ready for long, has a worker kept again as soon as it is passed. */
static void reservation_comes_back_after_a_restart(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id large;
    jq_lease_token running = begin(lab, &large), token;
    running = pass_small_ones(lab, running, 30000);
    restart_broker(lab);
    submit_sized(lab, "cpu=2", 5);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_non_null(find_line(lab, large, JQ_WHY_HOLDS_WORKER));
    assert_int_equal(report_success(lab, running), JQ_REPLY_OK);
    assert_int_equal(lease_task_id(lab, "worker-1", &token).value, large.value);
    lab_free(lab);
}

/* One worker is kept for one task at most, and of workers that could the one that lacks least is kept. */
static void the_worker_that_lacks_least_is_kept(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_sized(lab, "cpu=3", 5);
    submit_sized(lab, "cpu=1", 5);
    (void)lease_task(lab, "busy");
    (void)lease_task(lab, "idle");
    const jq_task_id first = submit_sized(lab, "cpu=4", 5);
    struct jq_submit_item item = lab_item();
    item.handler = JQ_STR("mail");
    item.need = JQ_STR("cpu=4");
    const jq_task_id second = submit_item(lab, &item);
    advance_ms(lab, 30000);
    submit_sized(lab, "cpu=1", 5);
    submit_sized(lab, "cpu=1", 5);
    (void)lease_task(lab, "busy"); /* passes both: one is reserved now, the other at the next turn */
    advance_ms(lab, 100);
    (void)lease_task(lab, "busy");
    const struct jq_why_line *line = find_line(lab, first, JQ_WHY_HOLDS_WORKER);
    assert_non_null(line);
    assert_true(jq_str_equal(line->worker, JQ_STR("idle")));
    line = find_line(lab, second, JQ_WHY_HOLDS_WORKER);
    assert_true(!line || jq_str_equal(line->worker, JQ_STR("busy")));
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(large_task_is_not_starved_by_small_ones),
        cmocka_unit_test(nothing_is_held_before_its_time),
        cmocka_unit_test(backfill_takes_only_what_does_not_delay),
        cmocka_unit_test(last_slot_is_kept),
        cmocka_unit_test(lower_priority_reserves_nothing),
        cmocka_unit_test(another_worker_may_take_it_first),
        cmocka_unit_test(reservation_ends_with_what_it_is_for),
        cmocka_unit_test(reservation_ends_with_its_worker),
        cmocka_unit_test(worker_that_never_has_room_is_not_kept),
        cmocka_unit_test(worker_that_ran_short_is_not_kept),
        cmocka_unit_test(reservation_comes_back_after_a_restart),
        cmocka_unit_test(the_worker_that_lacks_least_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
