/* Schedules that a log holds, and how many: what is told when one cannot be kept, run again or read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "tests/lib/lab.h"

static const struct jq_reply_effect *ask_to_set(struct lab *lab, const char *name, const char *when) {
    static const uint8_t body[] = "payload 0000-00-00T00:00:00Z";
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_SET);
    request.u.schedule.def = (struct jq_schedule_def){
        .name = jq_str_of(name), .when = jq_str_of(when), .zone = JQ_STR("UTC"), .task = lab_item()};
    request.u.schedule.def.task.body = (struct jq_bytes){body, sizeof(body) - 1};
    return lab_ask(lab, &request);
}

static void set(struct lab *lab, const char *name, const char *when) {
    assert_int_equal(ask_to_set(lab, name, when)->status, JQ_REPLY_OK);
}

static const char *trouble_of(struct lab *lab, const char *name) {
    struct jq_request request = lab_request(lab, JQ_OP_SCHEDULE_SHOW);
    request.u.named.name = jq_str_of(name);
    const struct jq_reply_effect *reply = lab_ask(lab, &request);
    assert_int_equal(reply->status, JQ_REPLY_OK);
    return reply->u.schedules.rows[0].trouble;
}

/* There are at most ten thousand: one more is refused by the name of the bound, one that is there may still be changed. */
static void so_many_schedules_and_no_more(void **state) {
    enum { SCHEDULES = 10000 };
    struct lab *lab = lab_new();
    char name[16];
    (void)state;
    lab->quiet = true;
    for (int i = 0; i < SCHEDULES; i++) {
        (void)snprintf(name, sizeof(name), "s%d", i);
        set(lab, name, "@daily");
    }
    const struct jq_reply_effect *reply = ask_to_set(lab, "more", "@daily");
    assert_int_equal(reply->status, JQ_REPLY_BUSY);
    assert_string_equal(reply->reason, "10000 schedules are set already");
    set(lab, "s17", "@hourly");
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A run that was asked for so long ago that its answer is forgotten is not done again: the sender is told so. */
static void a_forgotten_run_is_not_repeated(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    set(lab, "s", "@daily");
    struct jq_request run = lab_request(lab, JQ_OP_SCHEDULE_RUN);
    run.u.named.name = JQ_STR("s");
    assert_int_equal(lab_ask(lab, &run)->status, JQ_REPLY_OK);
    struct jq_request next = lab_request(lab, JQ_OP_SCHEDULE_RUN);
    next.u.named.name = JQ_STR("s");
    next.done = next.id;
    assert_int_equal(lab_ask(lab, &next)->status, JQ_REPLY_OK);
    assert_int_equal(lab_ask(lab, &run)->status, JQ_REPLY_CONFLICT);
    struct jq_server_row numbers;
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.tasks_live, 2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* Set anew to other times a schedule counts from then on, also where its words are as long as before; set to the same it goes on. */
static void a_schedule_that_is_changed_begins_to_count_anew(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    set(lab, "tick", "@every 8s");
    advance_ms(lab, 5000);
    set(lab, "tick", "@every 9s");
    advance_ms(lab, 8999);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_NONE);
    set(lab, "tick", "@every 9s");
    advance_ms(lab, 1);
    assert_int_equal(task_state(lab, (jq_task_id){1}), JQ_STATE_READY);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

static void replace_core(struct lab *lab, struct jq_core **core, uint64_t salt) {
    jq_core_free(*core);
    assert_int_equal(jq_core_new(&lab->config, salt, core, NULL), JQ_OK);
    assert_int_equal(corelog_replay(&lab->log, *core, NULL), JQ_OK);
}

/* Puts other words of the same length into the log, as another version might have written them. */
static void rewrite_log(struct lab *lab, const char *from, const char *to) {
    for (size_t at = 0; at + strlen(from) <= lab->log.bytes.size; at++) {
        if (memcmp(lab->log.bytes.data + at, from, strlen(from)) == 0) {
            memcpy(lab->log.bytes.data + at, to, strlen(to));
        }
    }
}

/* A log may hold a schedule that this version cannot read, or that is never due: it stands, says so, and fires nothing. */
static void a_schedule_that_cannot_be_read_says_so(void **state) {
    struct lab *lab = lab_new();
    (void)state;
    set(lab, "later", "31 4 * * *");
    set(lab, "never", "32 4 28 2 *");
    rewrite_log(lab, "31 4 * * *", "31 4 * * ?");
    rewrite_log(lab, "32 4 28 2 *", "32 4 30 2 *");
    replace_core(lab, &lab->core, 5);
    replace_core(lab, &lab->log.shadow, 6);
    restart_broker(lab);
    assert_string_equal(trouble_of(lab, "later"), "this version cannot read when it is due");
    assert_string_equal(trouble_of(lab, "never"), "it is never due");
    struct jq_server_row numbers;
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.schedules_troubled, 2);
    advance_ms(lab, 2 * INT64_C(86400000));
    jq_core_status(lab->core, &numbers);
    assert_int_equal(numbers.tasks_live, 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_schedule_that_is_changed_begins_to_count_anew),
        cmocka_unit_test(so_many_schedules_and_no_more),
        cmocka_unit_test(a_forgotten_run_is_not_repeated),
        cmocka_unit_test(a_schedule_that_cannot_be_read_says_so),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
