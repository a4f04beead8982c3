/* What workers offer and tasks prefer: wants, workers that accept only what needs them, and units that are told apart. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/core/units.h"
#include "tests/lib/lab.h"

static const uint16_t zero_and_one[] = {0, 1};
static const uint16_t one_and_two[] = {1, 2};

static jq_task_id submit_wanting(struct lab *lab, const char *need, const char *want) {
    struct jq_submit_item item = lab_item();
    item.need = jq_str_of(need);
    item.want = jq_str_of(want);
    return submit_item(lab, &item);
}

static struct lab_worker *worker_in(struct lab *lab, const char *name, const char *zone) {
    struct lab_worker *worker = lab_worker_unregistered(lab, name);
    lab_fact(worker, "zone", zone);
    register_worker(lab, worker);
    return worker;
}

static struct lab_worker *worker_with_gpus(struct lab *lab, const char *name, const uint16_t *indexes, size_t count) {
    struct lab_worker *worker = lab_worker_unregistered(lab, name);
    lab_units(worker, "gpu", indexes, count);
    register_worker(lab, worker);
    return worker;
}

/* The gpu that the next lease of the worker names; -1: it gets no lease, -2: the lease names none. */
static int lease_gpu(struct lab *lab, const char *worker, jq_lease_token *ret_token) {
    struct jq_request poll = poll_of(lab, worker, 1, 0);
    const struct jq_reply_effect *reply = lab_ask(lab, &poll);
    uint16_t indexes[JQ_OFFER_INDEXES_MAX];
    struct jq_units units;
    if (reply->u.lease.count == 0) {
        return -1;
    }
    take_leases(lab_worker(lab, worker), reply);
    *ret_token = reply->u.lease.items[0].token;
    struct jq_reader in = jq_reader_of(reply->u.lease.items[0].units);
    if (!jq_units_next(&in, indexes, &units)) {
        return -2;
    }
    assert_true(jq_str_equal(units.name, JQ_STR("gpu")));
    assert_int_equal(units.count, 1);
    return indexes[0];
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

/* ---- wants ---- */

/* Of parked workers that a task fits equally well the one gets it that it wants most. */
static void task_goes_to_the_worker_it_wants(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    worker_in(lab, "here", "lab1");
    worker_in(lab, "there", "lab2");
    for (int i = 0; i < 4; i++) {
        struct jq_request here = poll_of(lab, "here", 1, 30000), there = poll_of(lab, "there", 1, 30000);
        assert_null(lab_ask(lab, &here));
        assert_null(lab_ask(lab, &there));
        const bool elsewhere = i % 2;
        submit_wanting(lab, "cpu=2", elsewhere ? "zone==lab2:10" : "zone==lab2:-10 zone==lab1:3");
        const struct jq_reply_effect *reply = lab_reply_to(lab, elsewhere ? there.call : here.call);
        assert_non_null(reply);
        take_leases(lab_worker(lab, elsewhere ? "there" : "here"), reply);
        assert_int_equal(report_success(lab, reply->u.lease.items[0].token), JQ_REPLY_OK);
    }
    lab_free(lab);
}

/* Fit comes before wants: a want never sends a task where less is left over for others. */
static void fit_comes_before_wants(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *small = lab_worker_unregistered(lab, "small");
    lab_offer(small, "cpu", 2000);
    register_worker(lab, small);
    worker_in(lab, "large", "lab1");
    struct jq_request large = poll_of(lab, "large", 1, 30000), tight = poll_of(lab, "small", 1, 30000);
    assert_null(lab_ask(lab, &large));
    assert_null(lab_ask(lab, &tight));
    submit_wanting(lab, "cpu=2", "zone==lab1:100");
    assert_non_null(lab_reply_to(lab, tight.call));
    lab_free(lab);
}

/* Of tasks whose turn it is at the same moment a worker gets the one that wants it most; a task that was ready before goes first,
 * whatever it wants. Wants survive a restart. */
static void worker_gets_the_task_that_wants_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    worker_in(lab, "here", "lab1");
    jq_lease_token token;
    const jq_task_id first = submit_wanting(lab, "", "zone==lab1:-100");
    advance_ms(lab, 1);
    const jq_task_id plain = submit_wanting(lab, "", "");
    const jq_task_id wanting = submit_wanting(lab, "", "zone==lab1:5");
    const jq_task_id averse = submit_wanting(lab, "", "zone==lab1:-5");
    restart_broker(lab);
    assert_int_equal(lease_task_id(lab, "here", &token).value, first.value);
    assert_int_equal(lease_task_id(lab, "here", &token).value, wanting.value);
    assert_int_equal(lease_task_id(lab, "here", &token).value, plain.value);
    assert_int_equal(lease_task_id(lab, "here", &token).value, averse.value);
    assert_true(jq_str_equal(task_row_of(lab, wanting).want, JQ_STR("zone==lab1:5")));
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* ---- accept ---- */

/* A worker that accepts only what needs its seat leaves everything else to others, and explain says so. */
static void seat_is_kept_for_what_needs_it(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *cad = lab_worker_unregistered(lab, "cad");
    lab_offer(cad, "freecad", 1000);
    lab_accept(cad, "freecad");
    register_worker(lab, cad);
    jq_lease_token token;
    const jq_task_id plain = submit_wanting(lab, "cpu=1", "");
    const jq_task_id present = submit_wanting(lab, "freecad", ""); /* asks for it, reserves nothing */
    const jq_task_id model = submit_wanting(lab, "cpu=1|freecad=1", "");
    const struct jq_why_line *line = find_line(lab, plain, JQ_WHY_WORKER_ACCEPTS);
    assert_true(jq_str_equal(line->detail, JQ_STR("freecad")) && jq_str_equal(line->worker, JQ_STR("cad")));
    assert_int_equal(explain_task(lab, plain)->u.explain.lines[0].why, JQ_WHY_NO_WORKER_CAN);
    assert_int_equal(lease_task_id(lab, "cad", &token).value, model.value);
    assert_int_equal(lease_task_id(lab, "cad", &token).value, 0);
    assert_int_equal(lease_task_id(lab, "other", &token).value, plain.value);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(task_state(lab, present), JQ_STATE_READY);
    lab_free(lab);
}

/* What a handler needs counts as the task's: so a plain task of a FreeCAD handler gets the seat. */
static void handlers_need_counts_for_accept(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *cad = lab_worker_unregistered(lab, "cad");
    lab_offer(cad, "freecad", 1000);
    lab_accept(cad, "freecad");
    cad->handlers[0].need = JQ_STR("freecad=1");
    register_worker(lab, cad);
    submit_task(lab, "q");
    assert_int_not_equal(lease_task(lab, "cad").value, 0);
    lab_free(lab);
}

/* ---- units ---- */

/* gpu=[0,1]: a task that reserves one gets a number, never one that another lease has; what ended gives its number back. */
static void every_lease_has_its_own_unit(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    worker_with_gpus(lab, "box", zero_and_one, 2);
    jq_lease_token first, second, third;
    for (int i = 0; i < 3; i++) {
        submit_wanting(lab, "gpu=1", "");
    }
    assert_int_equal(lease_gpu(lab, "box", &first), 0);
    assert_int_equal(lease_gpu(lab, "box", &second), 1);
    assert_int_equal(lease_gpu(lab, "box", &third), -1);
    assert_int_equal(report_success(lab, first), JQ_REPLY_OK);
    assert_int_equal(lease_gpu(lab, "box", &third), 0);
    submit_wanting(lab, "cpu=1", "");
    assert_int_equal(lease_gpu(lab, "box", &first), -2);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A unit is reserved whole: half a gpu fits on no worker that tells its gpus apart, and explain names the term. */
static void units_are_not_shared(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    worker_with_gpus(lab, "box", zero_and_one, 2);
    const jq_task_id half = submit_wanting(lab, "gpu=0.5", "");
    assert_int_equal(lease_task(lab, "box").value, 0);
    assert_true(jq_str_equal(find_line(lab, half, JQ_WHY_WORKER_FAILS_TERM)->detail, JQ_STR("gpu=0.5")));
    lab_free(lab);
}

/* The number stays with its lease over a restart of the broker and when its worker registers again. */
static void units_survive_restart_and_reconnect(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    worker_with_gpus(lab, "box", zero_and_one, 2);
    jq_lease_token held, token;
    submit_wanting(lab, "gpu=1", "");
    submit_wanting(lab, "gpu=1", "");
    assert_int_equal(lease_gpu(lab, "box", &held), 0);
    restart_broker(lab);
    register_worker(lab, lab_worker(lab, "box"));
    assert_int_equal(lease_gpu(lab, "box", &token), 1);
    register_worker(lab, lab_worker(lab, "box"));
    submit_wanting(lab, "gpu=1", "");
    assert_int_equal(lease_gpu(lab, "box", &token), -1);
    assert_int_equal(report_success(lab, held), JQ_REPLY_OK);
    assert_int_equal(lease_gpu(lab, "box", &token), 0);
    expect_replay_matches_live(lab);
    lab_free(lab);
}

/* A worker that registers with other numbers gives only those, and still none that a lease of before has. */
static void other_units_do_not_collide_with_leases_of_before(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *box = worker_with_gpus(lab, "box", zero_and_one, 2);
    jq_lease_token zero, one, token;
    for (int i = 0; i < 4; i++) {
        submit_wanting(lab, "gpu=1", "");
    }
    assert_int_equal(lease_gpu(lab, "box", &zero), 0);
    assert_int_equal(lease_gpu(lab, "box", &one), 1);
    lab_units(box, "gpu", one_and_two, 2);
    register_worker(lab, box);
    assert_int_equal(lease_gpu(lab, "box", &token), -1); /* both are reserved by its account */
    assert_int_equal(report_success(lab, zero), JQ_REPLY_OK);
    assert_int_equal(lease_gpu(lab, "box", &token), 2);
    assert_int_equal(report_success(lab, one), JQ_REPLY_OK);
    assert_int_equal(lease_gpu(lab, "box", &token), 1);
    lab_free(lab);
}

/* A handler whose need shrinks while its leases run frees amounts, but no number twice. */
static void shrunken_need_frees_no_unit(void **state) {
    (void)state;
    struct lab *lab = lab_new();
    struct lab_worker *box = lab_worker_unregistered(lab, "box");
    lab_units(box, "gpu", zero_and_one, 1);
    box->handlers[0].need = JQ_STR("gpu=1");
    register_worker(lab, box);
    jq_lease_token token;
    submit_wanting(lab, "", "");
    submit_wanting(lab, "gpu=1", "");
    assert_int_equal(lease_gpu(lab, "box", &token), 0);
    box->handlers[0].need = JQ_STR("");
    register_worker(lab, box);
    jq_lease_token again;
    assert_int_equal(lease_gpu(lab, "box", &again), -1);
    assert_int_equal(report_success(lab, token), JQ_REPLY_OK);
    assert_int_equal(lease_gpu(lab, "box", &again), 0);
    lab_free(lab);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(task_goes_to_the_worker_it_wants),
        cmocka_unit_test(fit_comes_before_wants),
        cmocka_unit_test(worker_gets_the_task_that_wants_it),
        cmocka_unit_test(seat_is_kept_for_what_needs_it),
        cmocka_unit_test(handlers_need_counts_for_accept),
        cmocka_unit_test(every_lease_has_its_own_unit),
        cmocka_unit_test(units_are_not_shared),
        cmocka_unit_test(units_survive_restart_and_reconnect),
        cmocka_unit_test(other_units_do_not_collide_with_leases_of_before),
        cmocka_unit_test(shrunken_need_frees_no_unit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
