/* What is answered to those who only look: tasks by the page, one worker, the server. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/hash.h"
#include "tests/lib/lab.h"

static const struct jq_reply_effect *list(struct lab *lab, uint32_t states, uint64_t after, uint32_t limit) {
    struct jq_request request = lab_request(lab, JQ_OP_TASK_LS);
    request.u.list.states = states;
    request.u.list.after.value = after;
    request.u.list.limit = limit;
    return lab_ask(lab, &request);
}

static const struct jq_reply_effect *named(struct lab *lab, enum jq_op op, const char *name) {
    struct jq_request request = lab_request(lab, op);
    request.u.named.name = jq_str_of(name);
    return lab_ask(lab, &request);
}

static void expect_not_found(const struct jq_reply_effect *reply, const char *reason) {
    assert_int_equal(reply->status, JQ_REPLY_NOT_FOUND);
    assert_string_equal(reply->field, "name");
    assert_string_equal(reply->reason, reason);
}

static jq_task_id dead_letter(struct lab *lab, const char *queue) {
    const jq_task_id task = submit_task(lab, queue);
    report_failure(lab, lease_task(lab, "worker-1"), JQ_OUTCOME_INVALID_INPUT, false);
    return task;
}

/* Dead letters are listed in the order in which they died, by the page, however many tasks live; a page that begins behind a letter
 * that has been replayed meanwhile begins anew. */
static void dead_letters_come_by_the_page(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    jq_task_id dead[5];
    for (size_t i = 0; i < 5; i++) {
        dead[i] = dead_letter(lab, "q");
    }
    submit_task(lab, "q");
    const struct jq_reply_effect *page = list(lab, 1u << JQ_STATE_DEAD, 0, 2);
    assert_int_equal(page->u.tasks.count, 2);
    assert_int_equal(page->u.tasks.rows[0].id.value, dead[0].value);
    page = list(lab, 1u << JQ_STATE_DEAD, page->u.tasks.next, 2);
    assert_int_equal(page->u.tasks.count, 2);
    assert_int_equal(page->u.tasks.rows[0].id.value, dead[2].value);
    const uint64_t next = page->u.tasks.next;
    page = list(lab, 1u << JQ_STATE_DEAD, next, 2);
    assert_int_equal(page->u.tasks.count, 1);
    assert_int_equal(page->u.tasks.next, 0);
    assert_int_equal(ask_about_task(lab, JQ_OP_DEAD_REPLAY, dead[3]), JQ_REPLY_OK);
    page = list(lab, 1u << JQ_STATE_DEAD, next, 2);
    assert_int_equal(page->u.tasks.rows[0].id.value, dead[0].value);
    lab_free(lab);
}

/* A list by states, queue and handler holds those alone, in the order of their ids, and goes on behind the last one. */
static void tasks_are_listed_by_state_queue_and_handler(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id letter = dead_letter(lab, "a"), first = submit_task(lab, "a"), other = submit_task(lab, "b");
    struct jq_submit_item item = lab_item();
    item.queue = JQ_STR("a");
    item.handler = JQ_STR("mail");
    const jq_task_id mail = submit_item(lab, &item);
    const struct jq_reply_effect *page = list(lab, 1u << JQ_STATE_READY | 1u << JQ_STATE_DEAD, 0, 3);
    assert_int_equal(page->u.tasks.count, 3);
    assert_int_equal(page->u.tasks.rows[0].id.value, letter.value);
    assert_int_equal(page->u.tasks.rows[2].id.value, other.value);
    page = list(lab, 1u << JQ_STATE_READY, page->u.tasks.next, 3);
    assert_int_equal(page->u.tasks.count, 1);
    assert_int_equal(page->u.tasks.rows[0].id.value, mail.value);
    struct jq_request request = lab_request(lab, JQ_OP_TASK_LS);
    request.u.list.queue = JQ_STR("a");
    request.u.list.handler = JQ_STR("work");
    request.u.list.states = 1u << JQ_STATE_READY;
    page = lab_ask(lab, &request);
    assert_int_equal(page->u.tasks.count, 1);
    assert_int_equal(page->u.tasks.rows[0].id.value, first.value);
    lab_free(lab);
}

/* worker.show tells what the worker offers, which of its units are free, what it states, runs and accepts; an unknown one is not found. */
static void a_worker_is_shown_whole(void **state) {
    (void)state;
    static const uint16_t gpus[] = {3, 5};
    struct lab *lab = lab_new();
    struct lab_worker *box = lab_worker_unregistered(lab, "box");
    lab_units(box, "gpu", gpus, 2);
    lab_fact(box, "zone", "lab1");
    lab_accept(box, "gpu");
    register_worker(lab, box);
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("gpu=1");
    submit_item(lab, &item);
    assert_int_not_equal(lease_task(lab, "box").value, 0);
    const struct jq_reply_effect *reply = named(lab, JQ_OP_WORKER_SHOW, "box");
    const struct jq_worker_row *row = &reply->u.workers.rows[0];
    assert_int_equal(reply->u.workers.count, 1);
    assert_true(jq_str_equal(row->name, JQ_STR("box")));
    assert_int_equal(row->leases, 1);
    assert_int_equal(row->fact_count, 1);
    assert_true(jq_str_equal(row->facts[0].value, JQ_STR("lab1")));
    assert_int_equal(row->handler_count, 3);
    assert_int_equal(row->unit_count, 1);
    assert_int_equal(row->units[0].count, 2);
    assert_int_equal(row->units_free[0].count, 1);
    assert_int_equal(row->units_free[0].indexes[0], 5);
    assert_int_equal(row->accept_count, 1);
    assert_true(jq_str_equal(row->accept[0], JQ_STR("gpu")));
    expect_not_found(named(lab, JQ_OP_WORKER_SHOW, "nobody"), "no such worker");
    lab_free(lab);
}

/* After a start a worker is known by name and leases alone, until it registers again. */
static void a_worker_that_has_not_come_back_is_shown(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_task(lab, "q");
    assert_int_not_equal(lease_task(lab, "w").value, 0);
    restart_broker(lab);
    const struct jq_worker_row *row = &named(lab, JQ_OP_WORKER_SHOW, "w")->u.workers.rows[0];
    assert_false(row->registered);
    assert_int_equal(row->leases, 1);
    assert_int_equal(row->offer_count, 0);
    assert_int_equal(row->unit_count, 0);
    lab_free(lab);
}

/* The server's numbers are those of its tasks; a queue that nobody has used is not found. */
static void the_server_counts_its_tasks(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    dead_letter(lab, "q");
    submit_task(lab, "q");
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    submit_task(lab, "q");
    struct jq_request request = lab_request(lab, JQ_OP_SERVER_STATUS);
    const struct jq_server_row *row = &lab_ask(lab, &request)->u.server;
    assert_int_equal(row->dead, 1);
    assert_int_equal(row->running, 1);
    assert_int_equal(row->ready, 1);
    assert_int_equal(row->tasks_live, 2);
    assert_int_equal(row->workers_alive, 1);
    assert_int_equal(row->digest, jq_core_digest(lab->core));
    expect_not_found(named(lab, JQ_OP_QUEUE_LS, "nowhere"), "no such queue");
    lab_free(lab);
}

static void tell_progress(struct lab *lab, const struct lab_worker *worker, const struct jq_progress *progress) {
    struct jq_event event = {.type = JQ_EVENT_SURVEY_RESPONSE,
                             .u.survey = {.survey = lab->survey,
                                          .session = worker->session,
                                          .incarnation = worker->incarnation,
                                          .held_count = (uint32_t)worker->held_count,
                                          .progress = progress,
                                          .progress_count = 1}};
    for (size_t i = 0; i < worker->held_count; i++) {
        event.u.survey.held_sum += jq_hash_u64(worker->held[i].token.value);
    }
    lab_step(lab, &event);
}

/* Progress is shown as the task's worker told it last, until the attempt ends; what another tells of it is not heard. */
static void progress_is_what_its_worker_tells(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    const jq_task_id task = submit_task(lab, "q");
    const jq_lease_token token = lease_task(lab, "w");
    struct lab_worker *other = lab_worker(lab, "other");
    advance_ms(lab, 2000);
    assert_int_equal(task_row_of(lab, task).progress_permille, -1);
    tell_progress(lab, lab_worker(lab, "w"), &(struct jq_progress){task, 250, JQ_STR("a quarter")});
    tell_progress(lab, other, &(struct jq_progress){task, 900, JQ_STR("a lie")});
    tell_progress(lab, other, &(struct jq_progress){{4711}, 900, JQ_STR("of none")});
    struct jq_task_row row = task_row_of(lab, task);
    assert_int_equal(row.progress_permille, 250);
    assert_true(jq_str_equal(row.progress, JQ_STR("a quarter")));
    tell_progress(lab, lab_worker(lab, "w"), &(struct jq_progress){task, 4000, JQ_STR("too much")});
    assert_int_equal(task_row_of(lab, task).progress_permille, 1000);
    report_failure(lab, token, JQ_OUTCOME_PROCESS_FAILURE, false);
    assert_int_equal(task_row_of(lab, task).progress_permille, -1);
    lab_free(lab);
}

/* A queue that gave up its place is in no page any more. */
static void queues_that_are_gone_are_not_listed(void **state) {
    (void)state;
    struct jq_core_config config;
    jq_core_config_init(&config);
    config.queues_max = 2;
    struct lab *lab = lab_new_with(&config);
    for (const char *const *name = (const char *const[]){"a", "b", "c", NULL}; *name; name++) {
        assert_int_equal(cancel_task(lab, submit_task(lab, *name)), JQ_REPLY_OK);
        advance_ms(lab, 2 * INT64_C(86400000));
    }
    struct jq_request request = lab_request(lab, JQ_OP_QUEUE_LS);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->u.queues.count, 2);
    for (size_t i = 0; i < 2; i++) {
        assert_false(jq_str_equal(reply->u.queues.rows[i].name, JQ_STR("a")));
    }
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(dead_letters_come_by_the_page),
        cmocka_unit_test(tasks_are_listed_by_state_queue_and_handler),
        cmocka_unit_test(a_worker_is_shown_whole),
        cmocka_unit_test(a_worker_that_has_not_come_back_is_shown),
        cmocka_unit_test(the_server_counts_its_tasks),
        cmocka_unit_test(progress_is_what_its_worker_tells),
        cmocka_unit_test(queues_that_are_gone_are_not_listed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
