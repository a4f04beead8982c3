/* What the operator's configuration says of single queues: their share, a pause at the beginning, which ones there are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static const struct jq_queue_config queues[] = {{.name = "heavy", .weight = 3},
                                                {.name = "light"},
                                                {.name = "quiet", .paused = true},
                                                {.name = "short", .depth_max = 2}};

static struct lab *lab_of(bool declared) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 5;
    config.classes_max = 64;
    config.options_max = 64;
    config.queues = queues;
    config.queue_count = sizeof(queues) / sizeof(queues[0]);
    config.queues_declared = declared;
    return lab_new_with(&config);
}

/* What became of one task for that queue. */
static const struct jq_exception *refusal_of(struct lab *lab, const char *queue) {
    struct jq_submit_item item = lab_item();
    item.queue = jq_str_of(queue);
    const struct jq_reply_effect *reply = submit_items(lab, &item, 1);
    assert_non_null(reply);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.submit.exception_count, 1);
    return &reply->u.submit.exceptions[0];
}

/* Two queues that always have something for the same worker share it by their weights: 3 leases to 1. */
static void queues_share_the_workers_by_weight(void **state) {
    struct lab *lab = lab_of(false);
    (void)state;
    int heavy = 0;
    for (int i = 0; i < 40; i++) {
        submit_task(lab, "heavy");
        submit_task(lab, "light");
    }
    for (int i = 0; i < 40; i++) {
        jq_lease_token token;
        const jq_task_id task = lease_task_id(lab, "worker-1", &token);
        heavy += jq_str_equal(task_row_of(lab, task).queue, JQ_STR("heavy"));
        assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    }
    assert_in_range(heavy, 29, 31);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A queue that is to start paused is paused by its first use, as a fact in the log: an operator's resume comes later there, and holds
 * over restarts, though the configuration still says the same. */
static void a_pause_at_the_beginning_is_overruled_for_good(void **state) {
    struct lab *lab = lab_of(false);
    (void)state;
    submit_task(lab, "quiet");
    expect_trace(lab, "[0] queue quiet paused\n");
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_int_equal(lease_task(lab, "worker-1").value, 0);

    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "quiet", false), JQ_REPLY_OK);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    submit_task(lab, "quiet");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_trace(lab, "[0] queue quiet resumed\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A queue that is idle gives its place to a new one, but not one of the configuration: it would be paused again when it comes back. */
static void a_configured_queue_keeps_its_place(void **state) {
    struct lab *lab = lab_of(false);
    (void)state;
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "quiet", false), JQ_REPLY_OK);
    for (const char *const *name = (const char *const[]){"a", "b", "c", "d", "e", "f", NULL}; *name; name++) {
        assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, *name, false), JQ_REPLY_OK);
    }
    submit_task(lab, "quiet");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Its own depth_max is a queue's, whatever the broker's. */
static void a_queue_has_its_own_depth(void **state) {
    struct lab *lab = lab_of(false);
    (void)state;
    submit_task(lab, "short");
    submit_task(lab, "short");
    assert_int_equal(refusal_of(lab, "short")->status, JQ_REPLY_BUSY);
    lab_free(lab);
}

/* With `queues_declared` a mistyped name makes no queue: neither for a task nor for an operator. */
static void only_declared_queues_take_tasks(void **state) {
    struct lab *lab = lab_of(true);
    (void)state;
    submit_task(lab, "light");
    const struct jq_exception *refused = refusal_of(lab, "ligth");
    assert_int_equal(refused->status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(refused->field, "queue");
    assert_string_equal(refused->reason, "not declared");
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "ligth", true), JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A queue that the configuration no longer names takes no more tasks; those in it are still handed out, and it can be steered. */
static void a_queue_that_is_no_longer_declared_runs_dry(void **state) {
    struct lab *lab = lab_of(false);
    (void)state;
    submit_task(lab, "other");
    lab->config.queues_declared = true;
    restart_broker(lab);
    assert_int_equal(refusal_of(lab, "other")->status, JQ_REPLY_NOT_FOUND);
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "other", false), JQ_REPLY_OK);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static struct jq_limit_row limit_of_queue(struct lab *lab) {
    struct jq_request request = lab_request(lab, JQ_OP_LIMIT_LS);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    return reply->u.limits.count > 0 ? reply->u.limits.rows[0] : (struct jq_limit_row){0};
}

/* A queue's section may limit it. It holds from the start on; an operator's word comes before it, and once that is taken back it holds
 * again. A change of the section is followed by the next start, and nobody can remove what it says but there. */
static void section_limits_its_queue(void **state) {
    static const struct jq_queue_config one[] = {{.name = "cad", .concurrency = 1}};
    static const struct jq_queue_config two[] = {{.name = "cad", .concurrency = 2, .rate = {100, 3600000}}};
    struct jq_core_config config;
    (void)state;
    jq_core_config_init(&config);
    config.queues = one;
    config.queue_count = 1;
    struct lab *lab = lab_new_with(&config);
    for (int i = 0; i < 4; i++) {
        submit_task(lab, "cad");
    }
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    assert_int_equal(remove_limit(lab, "queue:cad"), JQ_REPLY_CONFLICT);
    lab->config.queues = two;
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "worker-1"));
    assert_int_equal(limit_of_queue(lab).concurrency, 2);
    assert_int_equal(limit_of_queue(lab).rate.count, 100);
    assert_true(limit_of_queue(lab).configured);
    jq_buf_clear(&lab->trace);
    restart_broker(lab); /* it is so already */
    expect_trace(lab, "");
    assert_int_equal(set_limit(lab, "queue:cad", 3, NULL), JQ_REPLY_OK);
    restart_broker(lab);
    assert_int_equal(limit_of_queue(lab).concurrency, 3);
    assert_int_equal(remove_limit(lab, "queue:cad"), JQ_REPLY_OK);
    assert_int_equal(limit_of_queue(lab).concurrency, 2);
    lab->config.queue_count = 0;
    restart_broker(lab);
    assert_int_equal(limit_of_queue(lab).concurrency, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_share_the_workers_by_weight),
        cmocka_unit_test(a_pause_at_the_beginning_is_overruled_for_good),
        cmocka_unit_test(a_configured_queue_keeps_its_place),
        cmocka_unit_test(a_queue_has_its_own_depth),
        cmocka_unit_test(only_declared_queues_take_tasks),
        cmocka_unit_test(a_queue_that_is_no_longer_declared_runs_dry),
        cmocka_unit_test(section_limits_its_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
