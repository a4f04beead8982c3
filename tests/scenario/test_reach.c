/* What a token that is limited to some queues may name: tasks of the others are, for it, not there. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/message.h"
#include "tests/lib/lab.h"

static const char *const cad_globs[] = {"cad.*"};
static const struct jq_reach cad = {.limited = true, .globs = cad_globs, .count = 1};

/* From somebody who is limited to cad.*. */
static struct jq_request limited(struct lab *lab, enum jq_op op) {
    struct jq_request request = lab_request(lab, op);
    request.reach = cad;
    return request;
}

static const struct jq_reply_effect *ask_about(struct lab *lab, enum jq_op op, jq_task_id task) {
    struct jq_request request = limited(lab, op);
    request.u.task.id = task;
    return lab_ask(lab, &request);
}

/* The verdict about the one task. */
static enum jq_reply act_on(struct lab *lab, enum jq_op op, jq_task_id task) {
    struct jq_request request = limited(lab, op);
    request.u.tasks.ids = &task;
    request.u.tasks.count = 1;
    request.u.tasks.to = JQ_STR("cad.other");
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.many.exception_count > 0 ? reply->u.many.exceptions[0].status : JQ_REPLY_OK;
}

static jq_task_id dead_letter(struct lab *lab, const char *queue) {
    const jq_task_id task = submit_task(lab, queue);
    const jq_lease_token token = lease_task(lab, "worker-1");
    assert_int_equal(report_failure(lab, token, JQ_OUTCOME_INVALID_INPUT, false), JQ_REPLY_OK);
    return task;
}

/* Who is limited to some queues is told of a task in another one what is told of an id that was never issued. */
static void other_tasks_are_not_there_to_look_at(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id own = submit_task(lab, "cad.parts"), other = submit_task(lab, "mail"), none = {999};
    static const enum jq_op ops[] = {JQ_OP_TASK_SHOW, JQ_OP_TASK_EXPLAIN};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        assert_int_equal(ask_about(lab, ops[i], own)->status, JQ_REPLY_OK);
        const struct jq_reply_effect *refused = ask_about(lab, ops[i], other), *unknown = ask_about(lab, ops[i], none);
        assert_int_equal(refused->status, JQ_REPLY_NOT_FOUND);
        assert_int_equal(unknown->status, JQ_REPLY_NOT_FOUND);
        assert_string_equal(refused->reason, unknown->reason);
    }
    assert_true(jq_core_task_within(lab->core, &cad, own));
    assert_false(jq_core_task_within(lab->core, &cad, other));
    static const char *const both_globs[] = {"mail", "cad.*"};
    const struct jq_reach both = {.limited = true, .globs = both_globs, .count = 2}, all = {.limited = false};
    assert_true(jq_core_task_within(lab->core, &both, own) && jq_core_task_within(lab->core, &both, other));
    assert_true(jq_core_task_within(lab->core, &all, other));
    struct jq_request page = limited(lab, JQ_OP_TASK_LS);
    const struct jq_reply_effect *reply = lab_ask(lab, &page);
    assert_int_equal(reply->u.tasks.count, 1);
    assert_int_equal(reply->u.tasks.rows[0].id.value, own.value);
    lab_free(lab);
}

/* Nothing can be done to them by their ids either, whatever it is; each is not_found, the others of the request are done. */
static void other_tasks_are_not_there_to_act_on(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id own = submit_task(lab, "cad.parts"), other = submit_task(lab, "mail");
    static const enum jq_op ops[] = {JQ_OP_TASK_HOLD, JQ_OP_TASK_RELEASE, JQ_OP_TASK_MOVE, JQ_OP_TASK_CANCEL,
                                     JQ_OP_TASK_RM};
    for (size_t i = 0; i < sizeof(ops) / sizeof(ops[0]); i++) {
        assert_int_equal(act_on(lab, ops[i], other), JQ_REPLY_NOT_FOUND);
        assert_int_equal(act_on(lab, ops[i], own), JQ_REPLY_OK);
    }
    assert_int_equal(task_state(lab, other), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Nor to dead letters: they are not replayed, not edited, not removed. */
static void other_dead_letters_are_not_there(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id own = dead_letter(lab, "cad.parts"), other = dead_letter(lab, "mail");
    struct jq_request edit = limited(lab, JQ_OP_DEAD_EDIT);
    edit.u.edit.given = JQ_EDIT_PRIORITY;
    edit.u.edit.id = other;
    assert_int_equal(lab_ask(lab, &edit)->status, JQ_REPLY_NOT_FOUND);
    edit.id = ++lab->client_request;
    edit.u.edit.id = own;
    assert_int_equal(lab_ask(lab, &edit)->status, JQ_REPLY_OK);
    assert_int_equal(act_on(lab, JQ_OP_DEAD_REPLAY, other), JQ_REPLY_NOT_FOUND);
    assert_int_equal(act_on(lab, JQ_OP_DEAD_REPLAY, own), JQ_REPLY_OK);
    assert_int_equal(act_on(lab, JQ_OP_DEAD_RM, other), JQ_REPLY_NOT_FOUND);
    assert_int_equal(task_state(lab, other), JQ_STATE_DEAD);
    lab_free(lab);
}

/* Waiting for one ends at once, as for a task that is not known; a task that is moved away while somebody waits is not told of. */
static void other_tasks_are_not_waited_for(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id own = submit_task(lab, "cad.parts"), other = submit_task(lab, "mail");
    struct jq_request wait = limited(lab, JQ_OP_WAIT);
    wait.u.wait.ids = &other;
    wait.u.wait.count = 1;
    wait.u.wait.wait_ms = 10000;
    const struct jq_reply_effect *reply = lab_ask(lab, &wait);
    assert_non_null(reply);
    assert_int_equal(reply->u.tasks.rows[0].state, JQ_STATE_NONE);
    wait.u.wait.ids = &own;
    assert_null(lab_ask(lab, &wait));
    struct jq_request move = lab_request(lab, JQ_OP_TASK_MOVE);
    move.u.tasks.ids = &own;
    move.u.tasks.count = 1;
    move.u.tasks.to = JQ_STR("mail");
    assert_int_equal(lab_ask(lab, &move)->status, JQ_REPLY_OK);
    assert_int_equal(cancel_task(lab, own), JQ_REPLY_OK);
    reply = lab_reply_to(lab, wait.call);
    assert_int_equal(reply->u.tasks.count, 1);
    assert_int_equal(reply->u.tasks.rows[0].state, JQ_STATE_NONE);
    lab_free(lab);
}

static const struct jq_exception *refusal_of(struct lab *lab, const struct jq_submit_item *item) {
    struct jq_request request = limited(lab, JQ_OP_SUBMIT);
    request.u.submit.items = item;
    request.u.submit.count = 1;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.submit.exception_count > 0 ? &reply->u.submit.exceptions[0] : NULL;
}

/* A task cannot be made to follow one of another queue, which would tell of its end. */
static void other_tasks_are_no_parents(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    static const char *const parts_globs[] = {"cad.parts"};
    const jq_task_id own = submit_task(lab, "cad.parts"), other = submit_task(lab, "cad.secret");
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("cad.parts");
    item.after = &other;
    item.after_count = 1;
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.reach = (struct jq_reach){.limited = true, .globs = parts_globs, .count = 1};
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(reply->u.submit.exceptions[0].field, "after");
    item.after = &own;
    assert_null(refusal_of(lab, &item));
    lab_free(lab);
}

/* A key that stands for a task of another queue neither tells its id nor lets that task be replaced. */
static void keys_of_other_tasks_do_not_give_them_away(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    static const char *const parts_globs[] = {"cad.parts"};
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("cad.secret");
    item.key = JQ_STR("k");
    item.unique = JQ_UNIQUE_DEBOUNCE;
    item.unique_ms = item.delay_ms = 1000;
    const jq_task_id other = submit_item(lab, &item);
    item.queue = JQ_STR("cad.parts");
    struct jq_request request = lab_request(lab, JQ_OP_SUBMIT);
    request.reach = (struct jq_reach){.limited = true, .globs = parts_globs, .count = 1};
    request.u.submit.items = &item;
    request.u.submit.count = 1;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.submit.exceptions[0].status, JQ_REPLY_FORBIDDEN);
    assert_string_equal(reply->u.submit.exceptions[0].field, "key");
    assert_int_equal(reply->u.submit.exceptions[0].task.value, 0);
    assert_true(jq_str_equal(task_row_of(lab, other).queue, JQ_STR("cad.secret")));
    const struct jq_exception *told = refusal_of(lab, &item); /* cad.* has both */
    assert_int_equal(told->status, JQ_REPLY_OK);
    assert_int_equal(told->task.value, other.value);
    lab_free(lab);
}

/* ---- flows ---- */

static uint64_t flow_of_two(struct lab *lab, const char *first, const char *second) {
    struct jq_request begin = lab_request(lab, JQ_OP_FLOW_BEGIN);
    begin.u.flow.count = 2;
    const uint64_t flow = lab_ask(lab, &begin)->u.stage.flow;
    struct jq_submit_item items[2] = {lab_item(), lab_item()};
    items[0].queue = jq_str_of(first);
    items[1].queue = jq_str_of(second);
    struct jq_request add = lab_request(lab, JQ_OP_FLOW_ADD);
    add.u.submit.flow = flow;
    add.u.submit.items = items;
    add.u.submit.count = 2;
    assert_int_equal(lab_ask(lab, &add)->status, JQ_REPLY_OK);
    struct jq_request commit = lab_request(lab, JQ_OP_FLOW_COMMIT);
    commit.u.flow.flow = flow;
    commit.u.flow.count = 2;
    assert_int_equal(lab_ask(lab, &commit)->status, JQ_REPLY_OK);
    return flow;
}

static const struct jq_reply_effect *ask_flow(struct lab *lab, enum jq_op op, uint64_t flow) {
    struct jq_request request = limited(lab, op);
    request.u.flow.flow = flow;
    request.u.flow.wait_ms = 10000;
    return lab_ask(lab, &request);
}

/* A flow is there for whoever may name all of its tasks: one task in another queue hides it, until it is gone from there. */
static void a_flow_is_there_when_all_of_it_is(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const uint64_t own = flow_of_two(lab, "cad.parts", "cad.step"), other = flow_of_two(lab, "mail.in", "mail.out");
    const jq_task_id last = {own + 1};
    struct jq_request move = lab_request(lab, JQ_OP_TASK_MOVE);
    move.u.tasks.ids = &last;
    move.u.tasks.count = 1;
    move.u.tasks.to = JQ_STR("cad");
    assert_int_equal(lab_ask(lab, &move)->u.many.exception_count, 0);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_SHOW, own)->status, JQ_REPLY_NOT_FOUND);
    move.id = ++lab->client_request;
    move.u.tasks.to = JQ_STR("cad.new");
    assert_int_equal(lab_ask(lab, &move)->u.many.exception_count, 0);
    restart_broker(lab);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_SHOW, own)->status, JQ_REPLY_OK);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_SHOW, other)->status, JQ_REPLY_NOT_FOUND);
    const struct jq_reply_effect *page = ask_flow(lab, JQ_OP_FLOW_LS, 0);
    assert_int_equal(page->u.flows.count, 1);
    assert_int_equal(page->u.flows.rows[0].flow, own);
    assert_null(ask_flow(lab, JQ_OP_FLOW_WAIT, own));
    assert_string_equal(ask_flow(lab, JQ_OP_FLOW_WAIT, other)->u.flows.rows[0].state, "none");
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, other)->status, JQ_REPLY_NOT_FOUND);
    assert_int_equal(ask_flow(lab, JQ_OP_FLOW_CANCEL, own)->status, JQ_REPLY_OK);
    lab_free(lab);
}

/* Events of other queues' tasks and flows, and of those queues, are passed over; of workers everybody hears. */
static void other_queues_have_no_events(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.events_max = 100;
    struct lab *lab = lab_new_with(&config);
    struct jq_request request = limited(lab, JQ_OP_EVENTS_READ);
    request.u.events.after = 1;
    const uint64_t from = lab_ask(lab, &request)->u.events.next;
    const jq_task_id own = submit_task(lab, "cad.parts");
    (void)submit_task(lab, "mail");
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "mail", true), JQ_REPLY_OK);
    (void)lab_worker(lab, "w");
    const uint64_t flow = flow_of_two(lab, "cad.parts", "cad.step");
    (void)flow_of_two(lab, "mail.in", "mail.out");
    request.u.events.after = from;
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    bool worker = false;
    for (size_t i = 0; i < reply->u.events.count; i++) {
        const struct jq_event_row *row = &reply->u.events.rows[i];
        assert_true(row->task.value == 0 || row->task.value == own.value || row->task.value - flow < 2);
        assert_false(jq_str_equal(row->queue, JQ_STR("mail")));
        worker |= jq_str_equal(row->worker, JQ_STR("w"));
    }
    assert_true(worker);
    lab_free(lab);
}

/* ---- the table of messages ---- */

static bool names_a_task(const struct jq_message *message) {
    static const char *const names[] = {"id", "ids", "task", "flow"};
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        const int at = jq_message_place(message, jq_str_of(names[i]), 0);
        if (at >= 0 && (message->fields[at].type == JQ_FIELD_UINT || message->fields[at].type == JQ_FIELD_TASKS)) {
            return true;
        }
    }
    return false;
}

/* Whoever adds an op that names tasks or flows has to say what it tells a limited token: these above do; a lease fences what its
 * worker says of it, a flow that is staged is its sender's alone, and task.logs asks jq_core_task_within(). */
static void every_op_that_names_a_task_is_looked_at(void **state) {
    (void)state;
    static const char *const looked_at[] = {"wait",        "task.show",   "task.explain", "task.cancel", "dead.replay",
                                            "dead.rm",     "dead.edit",   "task.hold",    "task.move",   "task.release",
                                            "task.rm",     "flow.cancel", "flow.show",    "flow.wait",   "flow.add",
                                            "flow.commit", "output.put",  "task.logs"};
    for (size_t i = 0; i < jq_ops_count; i++) {
        bool known = !names_a_task(jq_ops[i].request);
        for (size_t k = 0; k < sizeof(looked_at) / sizeof(looked_at[0]) && !known; k++) {
            known = jq_str_equal(jq_str_of(jq_ops[i].name), jq_str_of(looked_at[k]));
        }
        if (!known) {
            fail_msg("%s names tasks: may a token that is limited to some queues name all of them?", jq_ops[i].name);
        }
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_tasks_are_not_there_to_look_at),
        cmocka_unit_test(other_tasks_are_not_there_to_act_on),
        cmocka_unit_test(other_dead_letters_are_not_there),
        cmocka_unit_test(other_tasks_are_not_waited_for),
        cmocka_unit_test(other_tasks_are_no_parents),
        cmocka_unit_test(keys_of_other_tasks_do_not_give_them_away),
        cmocka_unit_test(other_queues_have_no_events),
        cmocka_unit_test(a_flow_is_there_when_all_of_it_is),
        cmocka_unit_test(every_op_that_names_a_task_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
