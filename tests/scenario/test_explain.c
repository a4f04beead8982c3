/* Why a task is not running, in one screen, however many workers there are; and when it can expect to. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static jq_task_id submit_to(struct lab *lab, const char *handler, const char *need) {
    struct jq_submit_item item = lab_item();
    item.handler = jq_str_of(handler);
    item.need = jq_str_of(need);
    return submit_item(lab, &item);
}

static const struct jq_why_line *line_of(const struct jq_reply_effect *reply, enum jq_why why) {
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        if (reply->u.explain.lines[i].why == why) {
            return &reply->u.explain.lines[i];
        }
    }
    return NULL;
}

/* Registers a worker that the lab does not play: of many nothing is wanted but that they are there. */
static void register_extra(struct lab *lab, uint16_t number, const char *handler, const struct jq_name_value *facts,
                           size_t fact_count, uint64_t cpu) {
    char name[16];
    const struct jq_amount offers[] = {{JQ_STR("cpu"), cpu}, {JQ_STR("slots"), 4000}};
    const struct jq_handler_def handlers[] = {{.name = jq_str_of(handler)}};
    const struct jq_uuid id = {{0xee, (uint8_t)(number >> 8), (uint8_t)(number & 0xff)}};
    (void)snprintf(name, sizeof(name), "extra-%u", number);
    struct jq_request request = {.op = JQ_OP_REGISTER,
                                 .sender = id,
                                 .id = 1,
                                 .u.reg = {.id = id,
                                           .session = id,
                                           .incarnation = 1,
                                           .name = jq_str_of(name),
                                           .offers = offers,
                                           .offer_count = 2,
                                           .facts = facts,
                                           .fact_count = fact_count,
                                           .handlers = handlers,
                                           .handler_count = 1}};
    assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
}

/* A thousand workers make a handful of lines: those that fail alike share one, the nearest to taking the task comes first. */
static void workers_that_fail_alike_share_a_line(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (uint16_t i = 0; i < 1000; i++) {
        char zone[16];
        (void)snprintf(zone, sizeof(zone), "lab%u", i < 700 ? 1u : i % 2 + 2u);
        const struct jq_name_value fact = {JQ_STR("zone"), jq_str_of(zone)};
        register_extra(lab, i, i < 212 ? "mail" : "work", &fact, 1, i < 700 ? 4000 : 1000);
    }
    const jq_task_id task = submit_to(lab, "work", "cpu=2 zone==lab2");
    const struct jq_reply_effect *reply = explain_task(lab, task);
    assert_int_equal(reply->u.explain.lines[0].why, JQ_WHY_NO_WORKER_CAN);
    const struct jq_why_line *lacks = line_of(reply, JQ_WHY_WORKER_LACKS_HANDLER);
    assert_int_equal(lacks->count, 212);
    assert_true(jq_str_equal(lacks->detail, JQ_STR("work")));
    const struct jq_why_line *fails = line_of(reply, JQ_WHY_WORKER_FAILS_TERM);
    assert_int_equal(fails->count,
                     488); /* the first term that fails, in the order of terms: of 488 the zone, of 300 cpu */
    assert_true(jq_str_equal(fails->detail, JQ_STR("zone==lab2")));
    assert_int_equal(fails[1].count, 300);
    assert_true(jq_str_equal(fails[1].detail, JQ_STR("cpu=2")));
    assert_true(reply->u.explain.count <= 20);
    lab_free(lab);
}

/* However many ways there are to fail, a dozen lines tell of them, and the last how many workers are left out. */
static void what_does_not_fit_the_screen_is_counted(void **state) {
    (void)state;
    enum { WAYS = 20 };
    struct lab *lab = lab_new();
    char names[WAYS][8], need[WAYS * 8] = "";
    struct jq_name_value facts[WAYS];
    for (uint16_t i = 0; i < WAYS; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "f%02u", i);
        (void)snprintf(need + strlen(need), sizeof(need) - strlen(need), "%s%s", i ? " " : "", names[i]);
        facts[i] = (struct jq_name_value){jq_str_of(names[i]), JQ_STR("yes")};
        register_extra(lab, (uint16_t)(2 * i), "work", facts, i, 4000); /* states all facts but those from its own on */
        register_extra(lab, (uint16_t)(2 * i + 1), "work", facts, i, 4000);
    }
    const struct jq_reply_effect *reply = explain_task(lab, submit_to(lab, "work", need));
    const struct jq_why_line *fails = line_of(reply, JQ_WHY_WORKER_FAILS_TERM);
    const struct jq_why_line *more = line_of(reply, JQ_WHY_WORKERS_MORE);
    assert_int_equal(more - fails, 12);
    assert_int_equal(fails->count, 2);
    assert_int_equal(more->count, 2 * (WAYS - 12));
    assert_true(reply->u.explain.count <= 20);
    lab_free(lab);
}

/* Of those that are short of room the one that is the least short is named. */
static void least_short_worker_is_named(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "work", "cpu=3");
    submit_to(lab, "work", "cpu=1");
    (void)lease_task(lab, "busy");
    (void)lease_task(lab, "idle");
    const struct jq_reply_effect *reply = explain_task(lab, submit_to(lab, "work", "cpu=4"));
    assert_int_equal(reply->u.explain.lines[0].why, JQ_WHY_NO_WORKER_FREE);
    const struct jq_why_line *line = line_of(reply, JQ_WHY_WORKER_NO_ROOM);
    assert_int_equal(line->count, 2);
    assert_int_equal(line->number, 1000);
    assert_true(jq_str_equal(line->worker, JQ_STR("idle")) && jq_str_equal(line->detail, JQ_STR("cpu")));
    lab_free(lab);
}

/* The time that a task can expect: its place, by the rate at which its queue was worked on of late. Where nothing was, not for a
 * minute, while its queue is paused, or while all workers that could run it drain, that is said instead. */
static void expected_time_follows_place_and_rate(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker_unregistered(lab, "worker-1");
    lab_offer(worker, "slots", 1000);
    register_worker(lab, worker);
    for (int i = 0; i < 60; i++) {
        submit_to(lab, "work", "");
    }
    const jq_task_id last = {60};
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED_UNKNOWN));
    for (int i = 0; i < 20; i++) {
        advance_ms(lab, 100);
        assert_int_equal(report_success(lab, lease_task(lab, "worker-1")), JQ_REPLY_OK);
    }
    const struct jq_reply_effect *reply = explain_task(lab, last);
    assert_int_equal(line_of(reply, JQ_WHY_BEHIND)->number, 39);
    const struct jq_why_line *expected = line_of(reply, JQ_WHY_EXPECTED);
    assert_non_null(expected);
    assert_in_range(expected->number, 3000, 5000); /* 40 at 10 a second */
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", true), JQ_REPLY_OK);
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED_UNKNOWN));
    assert_int_equal(set_named(lab, JQ_OP_QUEUE_SET, "default", false), JQ_REPLY_OK);
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED));
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", true), JQ_REPLY_OK);
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED_UNKNOWN));
    assert_int_equal(set_named(lab, JQ_OP_WORKER_DRAIN, "worker-1", false), JQ_REPLY_OK);
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED));
    advance_ms(lab, 61000);
    assert_non_null(line_of(explain_task(lab, last), JQ_WHY_EXPECTED_UNKNOWN));
    lab_free(lab);
}

/* A submit that no known worker could ever run is accepted, with a warning; once a worker could, there is none. */
static void submit_warns_where_no_worker_can(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("cpu=3");
    assert_true(submit_items(lab, &item, 1)->u.submit.unmatched);
    (void)lab_worker(lab, "worker-1");
    assert_false(submit_items(lab, &item, 1)->u.submit.unmatched);
    item.need = JQ_STR("cpu=5");
    assert_true(submit_items(lab, &item, 1)->u.submit.unmatched);
    assert_int_not_equal(lease_task(lab, "worker-1").value, 0);
    lab_free(lab);
}

/* Of many that a task waits for some are named, and the others counted. */
static void many_parents_are_counted(void **state) {
    (void)state;
    enum { PARENT_COUNT = 11 };
    struct lab *lab = lab_new();
    jq_task_id after[PARENT_COUNT];
    struct jq_submit_item item = lab_item();
    for (size_t i = 0; i < PARENT_COUNT; i++) {
        after[i] = submit_item(lab, &item);
    }
    item.after = after;
    item.after_count = PARENT_COUNT;
    const struct jq_reply_effect *reply = explain_task(lab, submit_item(lab, &item));
    size_t named = 0;
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        named += reply->u.explain.lines[i].why == JQ_WHY_WAITS_FOR;
    }
    assert_true(named > 0 && named < PARENT_COUNT);
    assert_int_equal(line_of(reply, JQ_WHY_MORE_PARENTS)->number, PARENT_COUNT - named);
    lab_free(lab);
}

/* A suspect is told that the worker has one already; a task that the worker was short for, for how long it takes none of its like. */
static void suspects_and_shortages_are_told(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    submit_to(lab, "work", "");
    submit_to(lab, "work", "");
    lease_task(lab, "worker-1");
    lease_task(lab, "worker-1");
    stop_answering_surveys(lab, "worker-1");
    advance_ms(lab, 60000);
    jq_lease_token token;
    const jq_task_id first = lease_task_id(lab, "worker-2", &token);
    const jq_task_id other = {first.value == 1 ? 2 : 1};
    const struct jq_reply_effect *reply = explain_task(lab, other);
    assert_int_equal(reply->u.explain.lines[0].why, JQ_WHY_NO_WORKER_FREE);
    assert_true(jq_str_equal(line_of(reply, JQ_WHY_WORKER_SUSPECT)->worker, JQ_STR("worker-2")));
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(report_failure(lab, lease_task(lab, "worker-2"), JQ_OUTCOME_RESOURCE_EXHAUSTED, false),
                     JQ_REPLY_OK);
    reply = explain_task(lab, submit_to(lab, "work", ""));
    assert_true(line_of(reply, JQ_WHY_WORKER_SHORT)->number > 0);
    lab_free(lab);
}

/* A task of a handler that has named a service is told of the service's breaker. */
static void breaker_of_a_service_is_told(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    for (int i = 0; i < 20; i++) {
        struct jq_submit_item item = lab_item();
        item.retry_max = 0;
        submit_item(lab, &item);
        const jq_lease_token token = lease_task(lab, "worker-1");
        if (token.value != 0) {
            report_as(lab, token, (struct jq_report){.outcome = JQ_OUTCOME_NETWORK, .service = JQ_STR("smtp")});
        }
    }
    const struct jq_why_line *line = line_of(explain_task(lab, submit_to(lab, "work", "")), JQ_WHY_BREAKER_OPEN);
    assert_non_null(line);
    assert_true(jq_str_equal(line->detail, JQ_STR("service:smtp")));
    assert_true(line->number > 0);
    lab_free(lab);
}

/* Where more workers differ than are told apart, those that were not are counted with the rest. */
static void workers_that_all_differ_are_counted(void **state) {
    (void)state;
    enum { WORKER_COUNT = 300 };
    struct lab *lab = lab_new();
    struct jq_submit_item item = lab_item();
    item.need = JQ_STR("zone==here");
    uint32_t told = 0;
    for (uint16_t i = 0; i < WORKER_COUNT; i++) {
        char accept[16];
        (void)snprintf(accept, sizeof(accept), "n%u", i);
        const struct jq_name_value fact = {JQ_STR("zone"), jq_str_of(accept)};
        register_extra(lab, i, accept, &fact, 1, 1000 + i);
    }
    const struct jq_reply_effect *reply = explain_task(lab, submit_item(lab, &item));
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        told += reply->u.explain.lines[i].count;
    }
    assert_int_equal(told, WORKER_COUNT);
    lab_free(lab);
}

/* There may be more kinds of workers than an explanation tells apart: those beyond are counted. */
static void kinds_of_workers_beyond_the_bound_are_counted(void **state) {
    enum { KINDS = 300 };
    const struct jq_amount offers[] = {
        {JQ_STR("slots"), 4000}, {JQ_STR("a"), 1000}, {JQ_STR("b"), 1000}, {JQ_STR("c"), 1000}, {JQ_STR("d"), 1000},
        {JQ_STR("e"), 1000},     {JQ_STR("f"), 1000}, {JQ_STR("g"), 1000}, {JQ_STR("h"), 1000}, {JQ_STR("i"), 1000}};
    const struct jq_handler_def handler = {.name = JQ_STR("work")};
    (void)state;
    struct lab *lab = lab_new();
    for (uint16_t i = 1; i <= KINDS; i++) {
        struct jq_str accept[9];
        size_t count = 0;
        char name[16];
        const struct jq_uuid id = {{0xdd, (uint8_t)(i >> 8), (uint8_t)(i & 0xff)}};
        (void)snprintf(name, sizeof(name), "kind-%u", i);
        for (unsigned bit = 0; bit < 9; bit++) {
            if (i >> bit & 1) {
                accept[count++] = offers[1 + bit].name;
            }
        }
        struct jq_request request = {.op = JQ_OP_REGISTER,
                                     .sender = id,
                                     .id = 1,
                                     .u.reg = {.id = id,
                                               .session = id,
                                               .incarnation = 1,
                                               .name = jq_str_of(name),
                                               .offers = offers,
                                               .offer_count = sizeof(offers) / sizeof(offers[0]),
                                               .accept = accept,
                                               .accept_count = count,
                                               .handlers = &handler,
                                               .handler_count = 1}};
        assert_int_equal(lab_ask(lab, &request)->status, JQ_REPLY_OK);
    }
    const struct jq_reply_effect *reply = explain_task(lab, submit_to(lab, "work", ""));
    uint32_t told = 0;
    for (size_t i = 0; i < reply->u.explain.count; i++) {
        told += reply->u.explain.lines[i].why == JQ_WHY_WORKER_ACCEPTS ? reply->u.explain.lines[i].count : 0;
    }
    assert_int_equal(told + line_of(reply, JQ_WHY_WORKERS_MORE)->count, KINDS);
    lab_free(lab);
}

/* A need and a handler's that make too many alternatives together fit nowhere; the line says which need. */
static void needs_that_cannot_be_joined_are_named(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *worker = lab_worker_unregistered(lab, "w");
    worker->handlers[0].need = JQ_STR("cpu=1 | cpu=2 | cpu=3");
    register_worker(lab, worker);
    static const char need[] = "a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p";
    const struct jq_why_line *line = line_of(explain_task(lab, submit_to(lab, "work", need)), JQ_WHY_WORKER_FAILS_TERM);
    assert_non_null(line);
    assert_true(jq_str_equal(line->worker, JQ_STR("w")));
    assert_memory_equal(line->detail.data, need, line->detail.size);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(workers_that_fail_alike_share_a_line),
        cmocka_unit_test(what_does_not_fit_the_screen_is_counted),
        cmocka_unit_test(least_short_worker_is_named),
        cmocka_unit_test(expected_time_follows_place_and_rate),
        cmocka_unit_test(submit_warns_where_no_worker_can),
        cmocka_unit_test(many_parents_are_counted),
        cmocka_unit_test(suspects_and_shortages_are_told),
        cmocka_unit_test(breaker_of_a_service_is_told),
        cmocka_unit_test(workers_that_all_differ_are_counted),
        cmocka_unit_test(kinds_of_workers_beyond_the_bound_are_counted),
        cmocka_unit_test(needs_that_cannot_be_joined_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
