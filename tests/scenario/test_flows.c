/* Flows: staged in frames, taken as a whole, cancelled as a whole, forgotten with their last task. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "broker/record.h"
#include "tests/lib/lab.h"

enum { FRAME_COUNT = 500, HUGE_COUNT = 100000 };

static const struct jq_reply_effect *ask_flow(struct lab *lab, enum jq_op op, uint64_t flow, uint32_t count) {
    struct jq_request request = lab_request(lab, op);
    request.u.flow.flow = flow;
    request.u.flow.count = count;
    request.u.flow.limit = 100;
    return lab_ask(lab, &request);
}

static uint64_t begin_flow(struct lab *lab, uint32_t count) {
    struct jq_request request = lab_request(lab, JQ_OP_FLOW_BEGIN);
    request.u.flow.count = count;
    request.u.flow.name = JQ_STR("nightly");
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.stage.flow;
}

static const struct jq_reply_effect *add_tasks(struct lab *lab, uint64_t flow, uint32_t at,
                                               const struct jq_submit_item *items, size_t count) {
    struct jq_request request = lab_request(lab, JQ_OP_FLOW_ADD);
    request.u.submit.flow = flow;
    request.u.submit.at = at;
    request.u.submit.items = items;
    request.u.submit.count = count;
    return lab_ask(lab, &request);
}

/* A task of the flow behind `parent` (a place; -1: none). */
static void add_task(struct lab *lab, uint64_t flow, uint32_t at, int parent, enum jq_on on) {
    const jq_task_id after = {flow + (uint64_t)(parent > 0 ? parent : 0)};
    struct jq_submit_item item = lab_item();
    item.after = &after;
    item.after_count = parent >= 0;
    item.on = on;
    const struct jq_reply_effect *reply = add_tasks(lab, flow, at, &item, 1);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.stage.count, at + 1);
}

static void commit_flow(struct lab *lab, uint64_t flow, uint32_t count) {
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, count)->status, JQ_REPLY_OK);
}

/* 0 ─► 1 ─► 2, committed. */
static uint64_t chain_of_three(struct lab *lab) {
    const uint64_t flow = begin_flow(lab, 3);
    add_task(lab, flow, 0, -1, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 1, 0, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 2, 1, JQ_ON_SUCCEEDED);
    commit_flow(lab, flow, 3);
    return flow;
}

static void run_one(struct lab *lab, enum jq_outcome outcome) {
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_not_equal(token.value, 0);
    assert_int_equal(outcome == JQ_OUTCOME_SUCCESS ? report_success(lab, token)
                                                   : report_failure(lab, token, outcome, false),
                     JQ_REPLY_OK);
}

static struct jq_flow_row row_of(struct lab *lab, uint64_t flow) {
    const struct jq_reply_effect *reply = ask_flow(lab, JQ_OP_FLOW_SHOW, flow, 0);
    return reply->status == JQ_REPLY_OK ? reply->u.flows.rows[0] : (struct jq_flow_row){.state = "none"};
}

/* Until it is committed nobody sees a task of a flow, nobody can cancel or wait for one, and no worker gets one; then all of them are
 * there, in one moment. */
static void flow_is_invisible_until_it_is_committed(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t flow = begin_flow(lab, 10);
    add_task(lab, flow, 0, -1, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 1, 0, JQ_ON_SUCCEEDED);
    assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_NONE);
    assert_int_equal(cancel_task(lab, (jq_task_id){flow}), JQ_REPLY_NOT_FOUND);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_SHOW, flow, 0)->status, JQ_REPLY_NOT_FOUND);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_LS, 0, 0)->u.flows.count, 0);
    assert_int_equal(lease_task(lab, "worker-1").value, 0);
    struct jq_server_row numbers;
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.waiting, 0);
    restart_broker(lab);
    assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_NONE);
    commit_flow(lab, flow, 2);
    assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_READY);
    assert_int_equal(task_state(lab, (jq_task_id){flow + 1}), JQ_STATE_WAITING);
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.waiting, 1);
    expect_trace(lab, "[0] flow 1 committed: 2 tasks\n[0] task 1 ready\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A chain runs in its order; the flow's counts and state follow at each step. */
static void chain_runs_in_its_order(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t flow = chain_of_three(lab);
    assert_string_equal(row_of(lab, flow).state, "running");
    assert_int_equal(row_of(lab, flow).queued, 1);
    assert_int_equal(row_of(lab, flow).waiting, 2);
    run_one(lab, JQ_OUTCOME_SUCCESS);
    restart_broker(lab);
    run_one(lab, JQ_OUTCOME_SUCCESS);
    run_one(lab, JQ_OUTCOME_SUCCESS);
    assert_string_equal(row_of(lab, flow).state, "succeeded");
    assert_int_equal(row_of(lab, flow).succeeded, 3);
    expect_trace(lab, "[0] flow 1 committed: 3 tasks\n[0] task 1 ready\n[0] task 1 succeeded\n[0] task 2 ready\n"
                      "[0] task 2 succeeded\n[0] task 3 ready\n[0] task 3 succeeded\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A flow with a dead task is blocked, says so to whoever waits for it, and goes on after a replay. */
static void dead_task_blocks_its_flow(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t flow = chain_of_three(lab);
    struct jq_request wait = lab_request(lab, JQ_OP_FLOW_WAIT);
    wait.u.flow.flow = flow;
    wait.u.flow.wait_ms = 20000;
    assert_null(lab_ask(lab, &wait));
    run_one(lab, JQ_OUTCOME_INVALID_INPUT);
    assert_string_equal(lab_reply_to(lab, wait.call)->u.flows.rows[0].state, "blocked");
    assert_int_equal(row_of(lab, flow).blocked, 1);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, (jq_task_id){flow}), JQ_REPLY_OK);
    wait.id = ++lab->client_request;
    assert_null(lab_ask(lab, &wait));
    for (int i = 0; i < 3; i++) {
        run_one(lab, JQ_OUTCOME_SUCCESS);
    }
    assert_string_equal(lab_reply_to(lab, wait.call)->u.flows.rows[0].state, "succeeded");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A wait for a flow ends by its time, by a stop, and with its connection; one for a flow that nobody knows is answered at once. */
static void waits_for_flows_end(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request wait = lab_request(lab, JQ_OP_FLOW_WAIT);
    wait.u.flow.flow = chain_of_three(lab);
    wait.u.flow.wait_ms = 1000;
    assert_null(lab_ask(lab, &wait));
    advance_ms(lab, 1000);
    assert_string_equal(lab_reply_to(lab, wait.call)->u.flows.rows[0].state, "running");
    assert_null(lab_ask(lab, &wait));
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 1};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, wait.call));
    assert_string_equal(ask_flow(lab, JQ_OP_FLOW_WAIT, 99, 0)->u.flows.rows[0].state, "none");
    assert_null(lab_ask(lab, &wait));
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    assert_int_equal(lab_reply_to(lab, wait.call)->status, JQ_REPLY_DRAINING);
    lab_free(lab);
}

/* Cancelling a flow ends what waits, from the end, and stops what runs. */
static void cancelled_flow_stops_altogether(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t flow = begin_flow(lab, 3);
    add_task(lab, flow, 0, -1, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 1, 0, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 2, 1, JQ_ON_FINISHED);
    commit_flow(lab, flow, 3);
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_OK);
    expect_trace(lab, "[0] flow 1 committed: 3 tasks\n[0] task 1 ready\n[0] flow 1 cancelling\n[0] task 3 cancelled\n"
                      "[0] task 2 cancelled\n[0] task 1 cancelling\n");
    restart_broker(lab);
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_CANCELLED, false), JQ_REPLY_OK);
    assert_string_equal(row_of(lab, flow).state, "cancelled");
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_CONFLICT);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, 77, 0)->status, JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static void add_frame(struct lab *lab, uint64_t flow, uint32_t at) {
    struct jq_submit_item items[FRAME_COUNT];
    for (int i = 0; i < FRAME_COUNT; i++) {
        items[i] = lab_item();
    }
    assert_int_equal(add_tasks(lab, flow, at, items, FRAME_COUNT)->status, JQ_REPLY_OK);
}

/* Who waits for a flow that is being cancelled hears at once when the last of it is forgotten, not when the wait is over. */
static void waiter_hears_that_a_cancelled_flow_is_forgotten(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.finished_max = 0; /* what has ended is forgotten in the next step */
    struct lab *lab = lab_new_with(&config);
    lab->quiet = true;
    const uint64_t flow = begin_flow(lab, 1);
    add_task(lab, flow, 0, -1, JQ_ON_SUCCEEDED);
    commit_flow(lab, flow, 1);
    const jq_lease_token token = lease_task(lab, "worker-1");
    struct jq_request wait = lab_request(lab, JQ_OP_FLOW_WAIT);
    wait.u.flow.flow = flow;
    wait.u.flow.wait_ms = 20000;
    assert_null(lab_ask(lab, &wait));
    const uint64_t large =
        begin_flow(lab, 6 * FRAME_COUNT); /* what has to be done for it stands before the other's end */
    for (uint32_t at = 0; at < 6 * FRAME_COUNT; at += FRAME_COUNT) {
        add_frame(lab, large, at);
    }
    commit_flow(lab, large, 6 * FRAME_COUNT);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_OK);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    advance_ms(lab, 100);
    assert_string_equal(row_of(lab, flow).state, "none");
    assert_non_null(lab_reply_to(lab, wait.call));
    assert_string_equal(lab_reply_to(lab, wait.call)->u.flows.rows[0].state, "none");
    lab_free(lab);
}

/* A flow that is not committed in its time is dropped, over a restart too, and its tasks leave nothing behind. */
static void uncommitted_flow_is_dropped(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t empty = jq_core_digest(lab->core);
    const uint64_t flow = begin_flow(lab, 2);
    add_task(lab, flow, 0, -1, JQ_ON_SUCCEEDED);
    add_task(lab, flow, 1, 0, JQ_ON_SUCCEEDED);
    advance_ms(lab, 300000);
    restart_broker(lab);
    advance_ms(lab, 299999);
    assert_int_equal(add_tasks(lab, flow, 1, &(struct jq_submit_item){0}, 1)->status, JQ_REPLY_CONFLICT);
    advance_ms(lab, 1);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 2)->status, JQ_REPLY_NOT_FOUND);
    expect_trace(lab, "[600000] flow 1 forgotten\n");
    struct jq_server_row numbers;
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.flows, 0);
    assert_int_not_equal(jq_core_digest(lab->core), empty); /* ids, queues and answers stay */
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* What cannot be: a task before its parent, a parent outside, a key, another namespace, a wrong place, another's flow, a count that
 * is not that of the tasks. Each is refused by name, and nothing of its frame is staged. */
static void wrong_frames_are_refused(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id outside = submit_task(lab, "default");
    const uint64_t flow = begin_flow(lab, 3);
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    const jq_task_id later = {flow + 1};
    items[0].after = &later;
    items[0].after_count = 1;
    const struct jq_reply_effect *reply = add_tasks(lab, flow, 0, items, 2);
    assert_int_equal(reply->status, JQ_REPLY_INVALID);
    assert_string_equal(reply->field, "tasks[0].after");
    items[0].after = &outside;
    assert_string_equal(add_tasks(lab, flow, 0, items, 2)->field, "tasks[0].after");
    items[0].after_count = 0;
    items[1].key = JQ_STR("k");
    assert_string_equal(add_tasks(lab, flow, 0, items, 2)->field, "tasks[1].key");
    items[1].key = JQ_STR("");
    items[1].queue = JQ_STR("cad.big");
    assert_string_equal(add_tasks(lab, flow, 0, items, 2)->field, "tasks[1].queue");
    assert_string_equal(add_tasks(lab, flow, 1, items, 1)->field, "at");
    items[1].queue = JQ_STR("default");
    assert_int_equal(add_tasks(lab, flow, 0, items, 2)->status, JQ_REPLY_OK);
    assert_string_equal(add_tasks(lab, flow, 2, items, 2)->field, "tasks");
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 3)->status, JQ_REPLY_CONFLICT);
    lab->client.bytes[0] ^= 1;
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 2)->status, JQ_REPLY_NOT_FOUND);
    lab->client.bytes[0] ^= 1;
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 2)->status, JQ_REPLY_OK);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A queue without room for the whole flow takes nothing of it, and all of it once there is room. */
static void full_queue_takes_the_whole_flow_or_nothing(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.depth_max = 3;
    struct lab *lab = lab_new_with(&config);
    const jq_task_id task = submit_task(lab, "default");
    const uint64_t flow = begin_flow(lab, 3);
    for (uint32_t i = 0; i < 3; i++) {
        add_task(lab, flow, i, (int)i - 1, JQ_ON_SUCCEEDED);
    }
    const struct jq_reply_effect *reply = ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 3);
    assert_int_equal(reply->status, JQ_REPLY_BUSY);
    assert_true(reply->retry_after_ms > 0);
    assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_NONE);
    assert_int_equal(cancel_task(lab, task), JQ_REPLY_OK);
    commit_flow(lab, flow, 3);
    const struct jq_submit_item item = lab_item();
    assert_int_equal(submit_items(lab, &item, 1)->u.submit.exceptions[0].status, JQ_REPLY_BUSY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The same request twice begins one flow, adds its tasks once, commits once. */
static void resent_requests_do_nothing_twice(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request begin = lab_request(lab, JQ_OP_FLOW_BEGIN);
    begin.u.flow.count = 2;
    const uint64_t flow = lab_ask(lab, &begin)->u.stage.flow;
    assert_int_equal(lab_ask(lab, &begin)->u.stage.flow, flow);
    const struct jq_submit_item item = lab_item();
    struct jq_request add = lab_request(lab, JQ_OP_FLOW_ADD);
    add.u.submit.flow = flow;
    add.u.submit.items = &item;
    add.u.submit.count = 1;
    assert_int_equal(lab_ask(lab, &add)->u.stage.count, 1);
    restart_broker(lab);
    assert_int_equal(lab_ask(lab, &add)->u.stage.count, 1);
    struct jq_request commit = lab_request(lab, JQ_OP_FLOW_COMMIT);
    commit.u.flow.flow = flow;
    commit.u.flow.count = 1;
    assert_int_equal(lab_ask(lab, &commit)->status, JQ_REPLY_OK);
    assert_int_equal(lab_ask(lab, &commit)->status, JQ_REPLY_OK);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_LS, 0, 0)->u.flows.count, 1);
    lab_free(lab);
}

/* A flow is forgotten with the last of its tasks; the pages of its tasks tell who waits for whom. */
static void flow_is_forgotten_with_its_last_task(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    const uint64_t flow = begin_flow(lab, 2);
    const jq_task_id first = {flow};
    items[0].result_ttl_ms = 1000;
    items[1].result_ttl_ms = 5000;
    items[1].after = &first;
    items[1].after_count = 1;
    assert_int_equal(add_tasks(lab, flow, 0, items, 2)->status, JQ_REPLY_OK);
    commit_flow(lab, flow, 2);
    run_one(lab, JQ_OUTCOME_SUCCESS);
    const struct jq_reply_effect *page = ask_flow(lab, JQ_OP_FLOW_SHOW, flow, 0);
    assert_int_equal(page->u.flows.member_count, 2);
    assert_int_equal(page->u.flows.members[1].after_count, 1);
    assert_int_equal(page->u.flows.members[1].after[0].value, flow);
    run_one(lab, JQ_OUTCOME_SUCCESS);
    advance_ms(lab, 1000);
    assert_int_equal(row_of(lab, flow).succeeded, 1);
    assert_int_equal(row_of(lab, flow).total, 2);
    lab_prologue(lab);
    corelog_delete_below(&lab->log, jq_core_needs_from(lab->core));
    restart_broker(lab);
    assert_int_equal(row_of(lab, flow).total, 2);
    advance_ms(lab, 4000);
    assert_string_equal(row_of(lab, flow).state, "none");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The log may end after any record: whatever a crash cuts off is taken up, and all tasks of the flow end as they must. */
static void every_cut_is_taken_up(void **state) {
    (void)state;
    struct lab *whole = lab_new();
    const uint64_t flow = begin_flow(whole, 4);
    add_task(whole, flow, 0, -1, JQ_ON_SUCCEEDED);
    for (uint32_t i = 1; i < 4; i++) {
        add_task(whole, flow, i, 0, i == 3 ? JQ_ON_FINISHED : JQ_ON_SUCCEEDED);
    }
    const size_t staged = whole->log.count;
    commit_flow(whole, flow, 4);
    assert_int_equal(cancel_task(whole, (jq_task_id){flow}), JQ_REPLY_OK);
    const size_t end = whole->log.count;
    for (size_t count = staged + 1; count <= end; count++) {
        struct jq_core *core = NULL;
        struct jq_error error;
        assert_int_equal(jq_core_new(&whole->config, 3, &core, &error), JQ_OK);
        whole->log.count = count;
        assert_int_equal(corelog_replay(&whole->log, core, &error), JQ_OK);
        assert_int_equal(jq_core_digest(core), jq_core_digest_slow(core));
        struct lab *lab = lab_new();
        jq_core_free(lab->core);
        corelog_fini(&lab->log);
        corelog_init(&lab->log, &lab->config);
        lab->core = core;
        lab->epoch = 10;
        lab->client_request = whole->client_request;
        int64_t time_ms = 0;
        for (size_t i = 0; i < count; i++) { /* the lab's own log begins with the cut one */
            struct jq_record record;
            bool clock = false;
            const struct corelog_entry *entry = &whole->log.entries[i];
            const struct jq_bytes bytes = {whole->log.bytes.data + entry->at, entry->size};
            assert_int_equal(jq_record_decode(entry->type, bytes, &time_ms, &record, &clock, &error), JQ_OK);
            if (!clock) {
                corelog_append(&lab->log, &record);
            }
        }
        restart_broker(lab);
        (void)cancel_task(lab, (jq_task_id){flow});
        advance_ms(lab, 10);
        assert_int_equal(task_state(lab, (jq_task_id){flow}), JQ_STATE_CANCELLED);
        assert_int_equal(task_row_of(lab, (jq_task_id){flow + 1}).outcome, JQ_OUTCOME_PARENT_FAILED);
        assert_int_equal(task_row_of(lab, (jq_task_id){flow + 2}).outcome, JQ_OUTCOME_PARENT_FAILED);
        assert_int_equal(task_state(lab, (jq_task_id){flow + 3}), JQ_STATE_READY);
        expect_replay_matches_live(lab);
        lab_free(lab);
    }
    lab_free(whole);
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

/* Step by step until there is nothing left to do; the longest step. */
static double settle(struct lab *lab) {
    double longest = 0;
    while (jq_core_deadline_ms(lab->core) <= lab->now_ms) {
        const double begun = seconds();
        struct jq_event event = {.type = JQ_EVENT_TIME};
        lab_step(lab, &event);
        longest = seconds() - begun > longest ? seconds() - begun : longest;
    }
    return longest;
}

static void add_huge(struct lab *lab, uint64_t flow) {
    struct jq_submit_item *items = calloc(FRAME_COUNT, sizeof(*items));
    const jq_task_id first = {flow};
    for (uint32_t at = 0; at < HUGE_COUNT; at += FRAME_COUNT) {
        for (uint32_t i = 0; i < FRAME_COUNT; i++) {
            items[i] = lab_item();
            items[i].after = &first;
            items[i].after_count = at + i > 0;
        }
        assert_int_equal(add_tasks(lab, flow, at, items, FRAME_COUNT)->status, JQ_REPLY_OK);
    }
    free(items);
}

/* A flow of 100,000 tasks, 99,999 of them behind one: no step is long, and in the end every one of them is ready, or cancelled. */
static void hundred_thousand_tasks_in_one_flow(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    struct lab *lab = lab_new_with(&config);
    lab->quiet = true;
    const double begun = seconds();
    const uint64_t flow = begin_flow(lab, HUGE_COUNT);
    add_huge(lab, flow);
    const double staged = seconds();
    commit_flow(lab, flow, HUGE_COUNT);
    double longest = settle(lab);
    const double committed = seconds();
    run_one(lab, JQ_OUTCOME_SUCCESS);
    double slice = settle(lab);
    longest = slice > longest ? slice : longest;
    const double woken = seconds();
    assert_int_equal(row_of(lab, flow).queued, HUGE_COUNT - 1);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_OK);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_OK); /* it is under way */
    slice = settle(lab);
    longest = slice > longest ? slice : longest;
    assert_int_equal(row_of(lab, flow).cancelled, HUGE_COUNT - 1);
    const double cancelled = seconds();
    assert_string_equal(row_of(lab, flow).state, "cancelled");
    print_message("100,000 tasks: staged in %.0f ms, committed in %.1f ms, woken in %.0f ms, cancelled in %.0f ms; the "
                  "longest step took %.1f ms (with its shadow)\n",
                  1000 * (staged - begun), 1000 * (committed - staged), 1000 * (woken - committed),
                  1000 * (cancelled - woken), 1000 * longest);
    lab_free(lab);
}

/* A task of a flow may expire like any, also one whose time was over before the commit: the flow has failed. */
static void tasks_of_flows_expire(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t flow = begin_flow(lab, 2);
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    items[0].expires_wall_ms = LAB_WALL_MS + 1000;
    items[1].expires_wall_ms = LAB_WALL_MS + 200000;
    assert_int_equal(add_tasks(lab, flow, 0, items, 2)->status, JQ_REPLY_OK);
    advance_ms(lab, 5000);
    restart_broker(lab);
    commit_flow(lab, flow, 2);
    advance_ms(lab, 120000);
    assert_int_equal(row_of(lab, flow).expired, 1);
    assert_string_equal(row_of(lab, flow).state, "running");
    advance_ms(lab, 120000);
    assert_int_equal(row_of(lab, flow).expired, 2);
    assert_string_equal(row_of(lab, flow).state, "failed");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A flow that is being cancelled says so while its tasks run on. */
static void cancelling_is_told(void **state) {
    (void)state;
    enum { TASK_COUNT = 3000 };
    struct jq_core_config config;
    jq_core_config_init(&config);
    struct lab *lab = lab_new_with(&config);
    lab->quiet = true;
    const uint64_t flow = begin_flow(lab, TASK_COUNT);
    struct jq_submit_item *items = calloc(TASK_COUNT, sizeof(*items));
    for (size_t i = 0; i < TASK_COUNT; i++) {
        items[i] = lab_item();
    }
    assert_int_equal(add_tasks(lab, flow, 0, items, TASK_COUNT)->status, JQ_REPLY_OK);
    free(items);
    commit_flow(lab, flow, TASK_COUNT);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, flow, 0)->status, JQ_REPLY_OK);
    assert_string_equal(row_of(lab, flow).state, "cancelling");
    advance_ms(lab, 0);
    assert_string_equal(row_of(lab, flow).state, "cancelled");
    lab_free(lab);
}

/* Flows are listed by the page, in the order of their ids; the next page begins behind the last, though that has been forgotten. */
static void flows_come_by_the_page(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    uint64_t flows[3];
    for (int i = 0; i < 3; i++) {
        flows[i] = begin_flow(lab, 1);
        struct jq_submit_item item = lab_item();
        item.result_ttl_ms = i == 1 ? 1000 : 86400000;
        assert_int_equal(add_tasks(lab, flows[i], 0, &item, 1)->status, JQ_REPLY_OK);
        commit_flow(lab, flows[i], 1);
        run_one(lab, JQ_OUTCOME_SUCCESS);
    }
    struct jq_request request = lab_request(lab, JQ_OP_FLOW_LS);
    request.u.flow.limit = 2;
    const struct jq_reply_effect *page = lab_ask(lab, &request);
    assert_int_equal(page->u.flows.count, 2);
    assert_int_equal(page->u.flows.next, flows[1]);
    request.u.flow.flow = page->u.flows.next;
    page = lab_ask(lab, &request);
    assert_int_equal(page->u.flows.count, 1);
    assert_int_equal(page->u.flows.rows[0].flow, flows[2]);
    advance_ms(lab, 2000);
    assert_string_equal(row_of(lab, flows[1]).state, "none");
    page = lab_ask(lab, &request);
    assert_int_equal(page->u.flows.count, 1);
    assert_int_equal(page->u.flows.rows[0].flow, flows[2]);
    lab_free(lab);
}

/* flows_max, a task that the shell found wrong, bytes for which its queue has no room: each is told by its name. */
static void bounds_of_flows_are_told(void **state) {
    (void)state;
    static const uint8_t body[600];
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = config.classes_max = config.options_max = 64;
    config.flows_max = 1;
    config.bytes_max = 1000;
    struct lab *lab = lab_new_with(&config);
    const uint64_t flow = begin_flow(lab, 3);
    struct jq_request begin = lab_request(lab, JQ_OP_FLOW_BEGIN);
    begin.u.flow.count = 1;
    assert_string_equal(lab_ask(lab, &begin)->reason, "flows_max reached");
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    items[0].body = items[1].body = (struct jq_bytes){body, sizeof(body)};
    items[1].refused = JQ_REPLY_INVALID;
    items[1].field = "handler";
    items[1].reason = "not a name";
    const struct jq_reply_effect *reply = add_tasks(lab, flow, 0, items, 2);
    assert_string_equal(reply->field, "tasks[1].handler");
    assert_string_equal(reply->reason, "not a name");
    items[1].refused = JQ_REPLY_OK;
    assert_int_equal(add_tasks(lab, flow, 0, items, 2)->status, JQ_REPLY_OK);
    reply = ask_flow(lab, JQ_OP_FLOW_COMMIT, flow, 2);
    assert_int_equal(reply->status, JQ_REPLY_BUSY);
    assert_string_equal(reply->field, "bytes_max");
    lab_free(lab);
}

/* Of several who wait for flows each is answered by its own time, or when its own flow has ended. */
static void each_wait_has_its_own_end(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request early = lab_request(lab, JQ_OP_FLOW_WAIT), late = lab_request(lab, JQ_OP_FLOW_WAIT);
    struct jq_request last = lab_request(lab, JQ_OP_FLOW_WAIT);
    early.u.flow.flow = late.u.flow.flow = last.u.flow.flow = chain_of_three(lab);
    early.u.flow.wait_ms = 1000;
    late.u.flow.wait_ms = 5000;
    last.u.flow.wait_ms = 9000;
    last.pipe = 7;
    assert_null(lab_ask(lab, &early));
    assert_null(lab_ask(lab, &last));
    assert_null(lab_ask(lab, &late));
    advance_ms(lab, 1000);
    assert_string_equal(lab_reply_to(lab, early.call)->u.flows.rows[0].state, "running");
    assert_null(lab_reply_to(lab, late.call));
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 7};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, last.call));
    assert_false(lab_dropped(lab, late.call));
    advance_ms(lab, 4000);
    assert_string_equal(lab_reply_to(lab, late.call)->u.flows.rows[0].state, "running");
    lab_free(lab);
}

/* Each wait for a flow ends at its own time, whichever came first. */
static void waits_for_a_flow_end_in_the_order_of_their_times(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_request slow = lab_request(lab, JQ_OP_FLOW_WAIT);
    slow.u.flow.flow = chain_of_three(lab);
    slow.u.flow.wait_ms = 10000;
    struct jq_request fast = slow;
    fast.id = ++lab->client_request;
    fast.u.flow.wait_ms = 5000;
    assert_null(lab_ask(lab, &slow));
    assert_null(lab_ask(lab, &fast));
    advance_ms(lab, 5000);
    assert_string_equal(lab_reply_to(lab, fast.call)->u.flows.rows[0].state, "running");
    assert_null(lab_reply_to(lab, slow.call));
    advance_ms(lab, 5000);
    assert_non_null(lab_reply_to(lab, slow.call));
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(flow_is_invisible_until_it_is_committed),
        cmocka_unit_test(chain_runs_in_its_order),
        cmocka_unit_test(dead_task_blocks_its_flow),
        cmocka_unit_test(waits_for_flows_end),
        cmocka_unit_test(waiter_hears_that_a_cancelled_flow_is_forgotten),
        cmocka_unit_test(cancelled_flow_stops_altogether),
        cmocka_unit_test(uncommitted_flow_is_dropped),
        cmocka_unit_test(wrong_frames_are_refused),
        cmocka_unit_test(full_queue_takes_the_whole_flow_or_nothing),
        cmocka_unit_test(resent_requests_do_nothing_twice),
        cmocka_unit_test(flow_is_forgotten_with_its_last_task),
        cmocka_unit_test(every_cut_is_taken_up),
        cmocka_unit_test(hundred_thousand_tasks_in_one_flow),
        cmocka_unit_test(tasks_of_flows_expire),
        cmocka_unit_test(cancelling_is_told),
        cmocka_unit_test(flows_come_by_the_page),
        cmocka_unit_test(bounds_of_flows_are_told),
        cmocka_unit_test(each_wait_has_its_own_end),
        cmocka_unit_test(waits_for_a_flow_end_in_the_order_of_their_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
