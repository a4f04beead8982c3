/* Selections: what an operator means by a where, done in slices; holding, releasing and moving tasks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

enum { SLICE_TASKS = 8 };

static struct lab *lab_with_small_slices(void) {
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    config.slice_tasks = SLICE_TASKS;
    return lab_new_with(&config);
}

static struct jq_where where_of(const char *text) {
    struct jq_where where;
    struct jq_error error = {0};
    if (jq_where_parse(jq_str_of(text), &where, &error) != JQ_OK) {
        fail_msg("%s: %s", text, error.message);
    }
    return where;
}

struct selection {
    struct jq_where where;
    struct jq_request request;
};

/* The request may be asked again: the same id. */
static struct selection selection_of(struct lab *lab, enum jq_op op, const char *where) {
    struct selection selection = {.where = where_of(where), .request = lab_request(lab, op)};
    return selection;
}

static const struct jq_reply_effect *ask_selection(struct lab *lab, struct selection *selection) {
    selection->request.u.tasks.where = &selection->where;
    return lab_ask(lab, &selection->request);
}

/* Asks, and steps as often as the broker wants until it answers. */
static const struct jq_reply_effect *select_tasks(struct lab *lab, enum jq_op op, const char *where) {
    struct selection selection = selection_of(lab, op, where);
    const struct jq_reply_effect *reply = ask_selection(lab, &selection);
    if (!reply) {
        advance_ms(lab, 0);
        reply = lab_reply_to(lab, selection.request.call);
    }
    assert_non_null(reply);
    return reply;
}

static const struct jq_reply_effect *list_tasks(struct lab *lab, const char *text, uint64_t after) {
    const struct jq_where where = where_of(text);
    struct jq_request request = lab_request(lab, JQ_OP_TASK_LS);
    request.u.list.where = &where;
    request.u.list.after.value = after;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_non_null(reply);
    return reply;
}

static void submit_many(struct lab *lab, const char *queue, int count) {
    for (int i = 0; i < count; i++) {
        submit_task(lab, queue);
    }
}

/* Kills the next task of the worker's queues, with a message in its report. */
static void kill_next(struct lab *lab, const char *worker) {
    jq_lease_token token;
    const jq_task_id id = lease_task_id(lab, worker, &token);
    assert_int_not_equal(id.value, 0);
    const struct jq_report report = {
        .task = id, .token = token, .outcome = JQ_OUTCOME_INVALID_INPUT, .error = JQ_STR("in OCC: no such face")};
    assert_int_equal(report_as(lab, token, report), JQ_REPLY_OK);
}

/* One selection cancels what it means and nothing else, however many slices it takes; between two slices others are served at once. */
static void selections_are_done_in_slices_and_others_are_served_between(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3 * SLICE_TASKS);
    submit_many(lab, "mail", 2);
    struct selection selection = selection_of(lab, JQ_OP_TASK_CANCEL, "queue=cad id>4");
    assert_null(ask_selection(lab, &selection));
    assert_int_equal(task_state(lab, (jq_task_id){3 * SLICE_TASKS}), JQ_STATE_READY); /* its turn has not come */
    assert_int_not_equal(submit_task(lab, "mail").value, 0);                          /* nobody waits */
    advance_ms(lab, 0);
    const struct jq_reply_effect *reply = lab_reply_to(lab, selection.request.call);
    assert_non_null(reply);
    assert_int_equal(reply->u.many.count, 3 * SLICE_TASKS - 4);
    assert_int_equal(reply->u.many.matched, 3 * SLICE_TASKS - 4);
    assert_int_equal(task_state(lab, (jq_task_id){4}), JQ_STATE_READY);
    assert_int_equal(task_state(lab, (jq_task_id){3 * SLICE_TASKS}), JQ_STATE_CANCELLED);
    assert_int_equal(task_state(lab, (jq_task_id){3 * SLICE_TASKS + 1}), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A dry run counts, names the first, and changes nothing. */
static void dry_run_counts_and_changes_nothing(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 30);
    const uint64_t before = jq_core_digest(lab->core);
    struct selection selection = selection_of(lab, JQ_OP_TASK_CANCEL, "queue=cad");
    selection.request.u.tasks.dry_run = true;
    assert_null(ask_selection(lab, &selection));
    advance_ms(lab, 0);
    const struct jq_reply_effect *reply = lab_reply_to(lab, selection.request.call);
    assert_int_equal(reply->u.many.matched, 30);
    assert_int_equal(reply->u.many.count, 0);
    assert_int_equal(reply->u.many.sample_count, 20);
    assert_int_equal(reply->u.many.samples[0].value, 1);
    assert_true(jq_core_digest(lab->core) == before);
    lab_free(lab);
}

/* The same request sent again while it runs takes the answer over; sent again afterwards it gets the same verdict, and nothing is
 * done twice. */
static void resent_selection_is_done_once(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3 * SLICE_TASKS);
    struct selection selection = selection_of(lab, JQ_OP_TASK_HOLD, "queue=cad");
    assert_null(ask_selection(lab, &selection));
    const uint64_t first_call = selection.request.call;
    assert_null(ask_selection(lab, &selection));
    assert_true(lab_dropped(lab, first_call));
    advance_ms(lab, 0);
    assert_null(lab_reply_to(lab, first_call));
    assert_int_equal(lab_reply_to(lab, selection.request.call)->u.many.count, 3 * SLICE_TASKS);
    select_tasks(lab, JQ_OP_TASK_RELEASE, "queue=cad");
    const struct jq_reply_effect *again = ask_selection(lab, &selection);
    assert_int_equal(again->u.many.count, 3 * SLICE_TASKS);
    assert_int_equal(again->u.many.matched, 3 * SLICE_TASKS);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_READY);
    lab_free(lab);
}

/* A broker that dies in the middle has done a part; the request sent again does the rest, and finds done what was done. */
static void selection_cut_by_a_restart_is_finished_by_its_resend(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3 * SLICE_TASKS);
    struct selection selection = selection_of(lab, JQ_OP_TASK_CANCEL, "queue=cad state=ready");
    assert_null(ask_selection(lab, &selection));
    restart_broker(lab);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_CANCELLED);
    assert_int_equal(task_state(lab, (jq_task_id){3 * SLICE_TASKS}), JQ_STATE_READY);
    assert_null(ask_selection(lab, &selection));
    advance_ms(lab, 0);
    assert_int_equal(lab_reply_to(lab, selection.request.call)->u.many.count, 2 * SLICE_TASKS);
    assert_int_equal(task_state(lab, (jq_task_id){3 * SLICE_TASKS}), JQ_STATE_CANCELLED);
    lab_free(lab);
}

/* Two operators at once: a task goes to whoever's turn comes to it first; the other finds it changed, and says so in its count. */
static void of_two_operators_each_task_obeys_the_first(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 4 * SLICE_TASKS);
    struct selection cancel = selection_of(lab, JQ_OP_TASK_CANCEL, "queue=cad");
    struct selection hold = selection_of(lab, JQ_OP_TASK_HOLD, "queue=cad state=ready");
    assert_null(ask_selection(lab, &cancel));
    assert_null(ask_selection(lab, &hold)); /* its first slice finds only what was cancelled */
    advance_ms(lab, 0);
    const struct jq_reply_effect *cancelled = lab_reply_to(lab, cancel.request.call);
    const struct jq_reply_effect *held = lab_reply_to(lab, hold.request.call);
    assert_int_equal(cancelled->u.many.count, 4 * SLICE_TASKS);
    assert_int_equal(cancelled->u.many.matched, 4 * SLICE_TASKS);
    assert_int_equal(held->u.many.matched, held->u.many.count);
    for (uint64_t id = 1; id <= 4 * SLICE_TASKS; id++) {
        assert_int_equal(task_state(lab, (jq_task_id){id}), JQ_STATE_CANCELLED);
    }
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* "queue=cad state=dead age>1h error~OCC handler=work*": the dead letters that this means go back into their queue, in slices, while
 * letters come and go; a letter that is replayed and dies again is not replayed twice. */
static void dead_letters_are_found_by_what_they_died_of(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 64;
    config.classes_max = 64;
    config.options_max = 64;
    config.slice_tasks = 2;
    struct lab *lab = lab_new_with(&config);
    submit_many(lab, "cad", 5);
    for (int i = 0; i < 5; i++) {
        kill_next(lab, "w");
    }
    submit_many(lab, "mail", 1);
    kill_next(lab, "w");
    const char *where = "queue=cad state=dead age>1h error~OCC handler=work*";
    assert_int_equal(select_tasks(lab, JQ_OP_DEAD_REPLAY, where)->u.many.matched, 0);
    advance_ms(lab, 3600 * 1000 + 1);
    submit_many(lab, "cad", 1);
    kill_next(lab, "w"); /* dead, but not for an hour */
    assert_int_equal(list_tasks(lab, where, 0)->u.tasks.count, 5);
    struct selection selection = selection_of(lab, JQ_OP_DEAD_REPLAY, where);
    assert_null(ask_selection(lab, &selection));
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_RM, (jq_task_id){3}), JQ_REPLY_OK); /* the next in its way */
    advance_ms(lab, 0);
    assert_int_equal(lab_reply_to(lab, selection.request.call)->u.many.count, 4);
    assert_int_equal(task_state(lab, (jq_task_id){6}), JQ_STATE_DEAD);
    assert_int_equal(task_state(lab, (jq_task_id){7}), JQ_STATE_DEAD);
    assert_int_equal(task_state(lab, (jq_task_id){5}), JQ_STATE_READY);
    assert_int_equal(select_tasks(lab, JQ_OP_DEAD_REPLAY, where)->u.many.matched, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Tasks that match but cannot be done are counted apart, with the reason of the first. */
static void what_cannot_be_done_is_counted_apart(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3);
    lease_task(lab, "w");
    const struct jq_reply_effect *reply = select_tasks(lab, JQ_OP_TASK_HOLD, "queue=cad");
    assert_int_equal(reply->u.many.matched, 3);
    assert_int_equal(reply->u.many.count, 2);
    assert_string_equal(reply->u.many.why, "the task is running");
    reply = select_tasks(lab, JQ_OP_TASK_RM, "queue=cad state=held,running");
    assert_int_equal(reply->u.many.count, 0);
    assert_string_equal(reply->u.many.why, "the task has not ended: cancel it first");
    lab_free(lab);
}

/* A key names a task inside the namespace of a queue, so a selection by key names the queue; what is of events is not of tasks. */
static void keys_want_their_namespace(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    struct jq_submit_item item = lab_item();
    submit_many(lab, "cad.step", 20);
    item.queue = JQ_STR("cad.step");
    item.key = JQ_STR("flange");
    submit_item(lab, &item);
    assert_int_equal(list_tasks(lab, "key=flange queue=cad.step", 0)->u.tasks.rows[0].id.value, 21);
    assert_int_equal(list_tasks(lab, "key=other queue=cad.step", 0)->u.tasks.count, 0);
    assert_int_equal(list_tasks(lab, "key=flange queue=mail", 0)->u.tasks.count, 0);
    assert_int_equal(list_tasks(lab, "key=flange", 0)->status, JQ_REPLY_INVALID);
    assert_int_equal(select_tasks(lab, JQ_OP_TASK_CANCEL, "event=task.*")->status, JQ_REPLY_INVALID);
    lab_free(lab);
}

/* Only so many selections run at a time: one more is told to try again, and nothing of it is done. */
static void selections_are_bounded_in_number(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3 * SLICE_TASKS);
    for (int i = 0; i < 16; i++) {
        struct selection selection = selection_of(lab, JQ_OP_TASK_RELEASE, "queue=cad");
        assert_null(ask_selection(lab, &selection));
    }
    struct selection selection = selection_of(lab, JQ_OP_TASK_CANCEL, "queue=cad");
    assert_int_equal(ask_selection(lab, &selection)->status, JQ_REPLY_BUSY);
    advance_ms(lab, 0);
    assert_int_equal(select_tasks(lab, JQ_OP_TASK_CANCEL, "queue=cad")->u.many.count, 3 * SLICE_TASKS);
    lab_free(lab);
}

/* ---- held ---- */

static enum jq_reply ask_hold(struct lab *lab, uint64_t id) {
    return ask_about_task(lab, JQ_OP_TASK_HOLD, (jq_task_id){id});
}
static enum jq_reply ask_release(struct lab *lab, uint64_t id) {
    return ask_about_task(lab, JQ_OP_TASK_RELEASE, (jq_task_id){id});
}

/* A held task is handed to nobody, over restarts; released, it has its old place in the order. */
static void held_task_is_handed_out_when_it_is_released(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_many(lab, "q", 3);
    assert_int_equal(ask_hold(lab, 1), JQ_REPLY_OK);
    assert_int_equal(ask_hold(lab, 1), JQ_REPLY_OK); /* there is nothing left to do */
    assert_int_equal(ask_hold(lab, 2), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_HELD);
    assert_int_equal(explain_task(lab, (jq_task_id){1})->u.explain.lines[0].why, JQ_WHY_HELD);
    expect_trace(lab, "[0] task 1 held\n[0] task 2 held\n");
    restart_broker(lab);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "w", &token).value, 3);
    assert_int_equal(lease_task_id(lab, "w", &token).value, 0);
    assert_int_equal(ask_release(lab, 2), JQ_REPLY_OK);
    assert_int_equal(ask_release(lab, 2), JQ_REPLY_CONFLICT);
    assert_int_equal(ask_release(lab, 1), JQ_REPLY_OK);
    assert_int_equal(lease_task_id(lab, "w", &token).value, 1);
    assert_int_equal(lease_task_id(lab, "w", &token).value, 2);
    assert_int_equal(ask_hold(lab, 1), JQ_REPLY_CONFLICT); /* it runs */
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* The delay of a held task goes on meanwhile; it expires as it would have; and it can be cancelled. */
static void held_task_keeps_its_times(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.delay_ms = 1000;
    submit_item(lab, &item); /* 1: released before it is due */
    submit_item(lab, &item); /* 2: released after */
    item.delay_ms = 0;
    item.eta_wall_ms = LAB_WALL_MS + 1000;
    submit_item(lab, &item); /* 3: the same by the wall clock */
    item.eta_wall_ms = 0;
    item.expires_wall_ms = LAB_WALL_MS + 1500;
    submit_item(lab, &item); /* 4: expires */
    submit_task(lab, "q");   /* 5: is cancelled */
    for (uint64_t id = 1; id <= 5; id++) {
        assert_int_equal(ask_hold(lab, id), JQ_REPLY_OK);
    }
    assert_int_equal(cancel_task(lab, (jq_task_id){5}), JQ_REPLY_OK);
    assert_int_equal(ask_release(lab, 1), JQ_REPLY_OK);
    expect_trace(lab, "[0] task 1 held\n[0] task 2 held\n[0] task 3 held\n[0] task 4 held\n[0] task 5 held\n"
                      "[0] task 5 cancelled\n[0] task 1 released: scheduled\n");
    advance_ms(lab, 2000);
    expect_trace(lab, "[1000] task 1 ready\n[1500] task 4 expired\n");
    assert_int_equal(ask_release(lab, 2), JQ_REPLY_OK);
    assert_int_equal(ask_release(lab, 3), JQ_REPLY_OK);
    advance_ms(lab, 0);
    expect_trace(lab, "[2000] task 2 released: ready\n[2000] task 3 released: scheduled\n[2000] task 3 ready\n");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A release reaches a worker that is parked: nobody has to ask again. */
static void released_task_goes_to_a_parked_worker(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    assert_int_equal(ask_hold(lab, 1), JQ_REPLY_OK);
    struct jq_request poll = poll_of(lab, "w", 1, 20000);
    assert_null(lab_ask(lab, &poll));
    assert_int_equal(ask_release(lab, 1), JQ_REPLY_OK);
    const struct jq_reply_effect *leased = lab_reply_to(lab, poll.call);
    assert_non_null(leased);
    assert_int_equal(leased->u.lease.items[0].task.value, 1);
    take_leases(lab_worker(lab, "w"), leased);
    lab_free(lab);
}

/* ---- moved ---- */

static enum jq_reply move_task(struct lab *lab, uint64_t id, const char *queue) {
    const jq_task_id task = {id};
    struct jq_request request = lab_request(lab, JQ_OP_TASK_MOVE);
    request.u.tasks.ids = &task;
    request.u.tasks.count = 1;
    request.u.tasks.to = jq_str_of(queue);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    return reply->status == JQ_REPLY_OK && reply->u.many.exception_count > 0 ? reply->u.many.exceptions[0].status
                                                                             : reply->status;
}

/* A moved task keeps its id and its place in the order: in its new queue it goes before what came later. */
static void moved_task_keeps_its_place_in_the_order(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "slow");
    advance_ms(lab, 10);
    submit_task(lab, "fast");
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "slow", true), JQ_REPLY_OK);
    assert_int_equal(move_task(lab, 1, "fast"), JQ_REPLY_OK);
    assert_int_equal(move_task(lab, 1, "fast"), JQ_REPLY_OK);
    expect_trace(lab, "[10] queue slow paused\n[10] task 1 moved to fast\n");
    restart_broker(lab);
    jq_lease_token token;
    assert_int_equal(lease_task_id(lab, "w", &token).value, 1);
    assert_int_equal(move_task(lab, 1, "slow"), JQ_REPLY_CONFLICT);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(move_task(lab, 1, "slow"), JQ_REPLY_CONFLICT);
    assert_int_equal(move_task(lab, 99, "slow"), JQ_REPLY_NOT_FOUND);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Held and delayed tasks are moved as they are. */
static void held_and_delayed_tasks_are_moved_as_they_are(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.delay_ms = 1000;
    submit_item(lab, &item);
    submit_task(lab, "default");
    assert_int_equal(ask_hold(lab, 2), JQ_REPLY_OK);
    assert_int_equal(move_task(lab, 1, "night"), JQ_REPLY_OK);
    assert_int_equal(move_task(lab, 2, "night"), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_SCHEDULED);
    assert_int_equal(task_state(lab, (jq_task_id){2}), JQ_STATE_HELD);
    const struct jq_task_row row = task_row_of(lab, (jq_task_id){2});
    assert_true(jq_str_equal(row.queue, JQ_STR("night")));
    advance_ms(lab, 1000);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Whoever only counts and goes is not counted for; whoever holds tasks and goes gets what was asked for, and the answer by asking again. */
static void selection_outlives_its_connection(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "q", 4 * SLICE_TASKS);
    struct selection count = selection_of(lab, JQ_OP_TASK_HOLD, "queue=q");
    count.request.u.tasks.dry_run = true;
    struct selection hold = selection_of(lab, JQ_OP_TASK_HOLD, "queue=q");
    assert_null(ask_selection(lab, &count));
    assert_null(ask_selection(lab, &hold));
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = 1};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, count.request.call));
    assert_true(lab_dropped(lab, hold.request.call));
    advance_ms(lab, 0);
    assert_null(lab_reply_to(lab, count.request.call));
    const struct jq_reply_effect *again = ask_selection(lab, &hold);
    assert_int_equal(again->status, JQ_REPLY_OK);
    assert_int_equal(again->u.many.count, 4 * SLICE_TASKS);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A broker that stops says what it has not done: asked again after the start, the selection goes on to its end. */
static void selection_goes_on_after_a_stop(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "q", 4 * SLICE_TASKS);
    struct selection hold = selection_of(lab, JQ_OP_TASK_HOLD, "queue=q state=ready");
    assert_null(ask_selection(lab, &hold));
    struct jq_event stop = {.type = JQ_EVENT_STOP};
    lab_step(lab, &stop);
    const struct jq_reply_effect *reply = lab_reply_to(lab, hold.request.call);
    assert_int_equal(reply->status, JQ_REPLY_DRAINING);
    const uint64_t first = reply->u.many.count;
    assert_true(first > 0 && first < 4 * SLICE_TASKS);
    struct selection other = selection_of(lab, JQ_OP_TASK_HOLD, "queue=q");
    assert_int_equal(ask_selection(lab, &other)->status, JQ_REPLY_DRAINING);
    restart_broker(lab);
    assert_null(ask_selection(lab, &hold));
    advance_ms(lab, 0);
    assert_int_equal(lab_reply_to(lab, hold.request.call)->u.many.count, 4 * SLICE_TASKS - first);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A letter that is replayed and dies again while the selection runs is not replayed a second time by it. */
static void letters_that_die_again_are_left(void **state) {
    (void)state;
    enum { LETTER_COUNT = 16 * SLICE_TASKS };
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "q", LETTER_COUNT);
    for (size_t i = 0; i < LETTER_COUNT; i++) {
        report_failure(lab, lease_task(lab, "box"), JQ_OUTCOME_INVALID_INPUT, false);
    }
    struct selection replay = selection_of(lab, JQ_OP_DEAD_REPLAY, "queue=q state=dead");
    assert_null(ask_selection(lab, &replay));
    sleep_broker_ms(lab, 1);
    report_failure(lab, lease_task(lab, "box"), JQ_OUTCOME_INVALID_INPUT, false);
    assert_null(lab_reply_to(lab, replay.request.call));
    advance_ms(lab, 0);
    const struct jq_reply_effect *reply = lab_reply_to(lab, replay.request.call);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    assert_int_equal(reply->u.many.count, LETTER_COUNT);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A selection by key finds the one task for which the key stands, in the namespace that its queue names. */
static void selection_by_key_finds_its_task(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("n.q");
    item.key = JQ_STR("k");
    const jq_task_id task = submit_item(lab, &item);
    submit_many(lab, "n.q", 3);
    const struct jq_reply_effect *reply = select_tasks(lab, JQ_OP_TASK_HOLD, "key=k queue=n.q");
    assert_int_equal(reply->u.many.count, 1);
    assert_int_equal(task_state(lab, task), JQ_STATE_HELD);
    assert_int_equal(select_tasks(lab, JQ_OP_TASK_HOLD, "key=other queue=n.q")->u.many.count, 0);
    lab_free(lab);
}

/* Who asks and loses the connection may ask again by another: the selection goes on meanwhile, and its answer goes there. */
static void selection_is_taken_up_by_a_new_connection(void **state) {
    (void)state;
    struct lab *lab = lab_with_small_slices();
    submit_many(lab, "cad", 3 * SLICE_TASKS);
    struct selection selection = selection_of(lab, JQ_OP_TASK_HOLD, "queue=cad");
    assert_null(ask_selection(lab, &selection));
    const uint64_t first_call = selection.request.call;
    struct jq_event gone = {.type = JQ_EVENT_PIPE_GONE, .u.pipe_gone.pipe = selection.request.pipe};
    lab_step(lab, &gone);
    assert_true(lab_dropped(lab, first_call));
    selection.request.pipe = 7;
    const struct jq_reply_effect *reply = ask_selection(lab, &selection);
    if (!reply) {
        advance_ms(lab, 0);
        reply = lab_reply_to(lab, selection.request.call);
    }
    assert_int_equal(reply->u.many.count, 3 * SLICE_TASKS);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(selections_are_done_in_slices_and_others_are_served_between),
        cmocka_unit_test(dry_run_counts_and_changes_nothing),
        cmocka_unit_test(resent_selection_is_done_once),
        cmocka_unit_test(selection_cut_by_a_restart_is_finished_by_its_resend),
        cmocka_unit_test(of_two_operators_each_task_obeys_the_first),
        cmocka_unit_test(dead_letters_are_found_by_what_they_died_of),
        cmocka_unit_test(what_cannot_be_done_is_counted_apart),
        cmocka_unit_test(keys_want_their_namespace),
        cmocka_unit_test(selections_are_bounded_in_number),
        cmocka_unit_test(held_task_is_handed_out_when_it_is_released),
        cmocka_unit_test(held_task_keeps_its_times),
        cmocka_unit_test(released_task_goes_to_a_parked_worker),
        cmocka_unit_test(moved_task_keeps_its_place_in_the_order),
        cmocka_unit_test(held_and_delayed_tasks_are_moved_as_they_are),
        cmocka_unit_test(selection_outlives_its_connection),
        cmocka_unit_test(selection_goes_on_after_a_stop),
        cmocka_unit_test(letters_that_die_again_are_left),
        cmocka_unit_test(selection_by_key_finds_its_task),
        cmocka_unit_test(selection_is_taken_up_by_a_new_connection),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
