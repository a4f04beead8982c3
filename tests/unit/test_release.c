#include "broker/shell/release.h"
#include "common/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

enum { START_LSN = 1000 };

struct effect {
    struct jq_release_item item;
    char name;
};

static struct jq_release release;
static struct effect effects[32];
static size_t effect_count;

static int begin(void **state) {
    (void)state;
    jq_release_init(&release, START_LSN);
    effect_count = 0;
    return 0;
}

static void push(char name, enum jq_effect_level level, uint64_t lsn) {
    struct effect *effect = &effects[effect_count++];
    effect->name = name;
    effect->item.level = level;
    effect->item.lsn = lsn;
    jq_release_push(&release, &effect->item);
}

/* The names of all effects that are due now, in the order of their release, are `names`. */
static void expect_released(const char *names) {
    char got[32] = "";
    size_t count = 0;
    for (struct jq_release_item *item = jq_release_take_all(&release); item != NULL; item = item->next)
        got[count++] = JQ_CONTAINER_OF(item, struct effect, item)->name;
    assert_string_equal(got, names);
}

/* An answer that names durable is not given when its block is only written; one that names written is. */
static void each_level_waits_for_its_own_mark(void **state) {
    (void)state;
    push('d', JQ_EFFECT_DURABLE, 1100);
    push('w', JQ_EFFECT_WRITTEN, 1100);
    push('o', JQ_EFFECT_AT_ONCE, 1100);
    expect_released("o");
    jq_release_advance(&release, 1104, START_LSN);
    expect_released("w");
    jq_release_advance(&release, 1104, 1104);
    expect_released("d");
    assert_int_equal(release.waiting, 0);
}

/* A mark one byte short of an effect's place releases nothing; the very byte does. */
static void the_mark_must_reach_the_effect(void **state) {
    (void)state;
    push('d', JQ_EFFECT_DURABLE, 1100);
    push('w', JQ_EFFECT_WRITTEN, 1101);
    jq_release_advance(&release, 1100, 1099);
    expect_released("");
    jq_release_advance(&release, 1101, 1100);
    expect_released("dw");
}

/* An effect whose step emitted nothing waits for what was emitted before it, by whomever: it is pushed with the end of the log. */
static void without_records_of_its_own_it_waits_for_those_before(void **state) {
    (void)state;
    push('s', JQ_EFFECT_DURABLE, 1200); /* a submit */
    push('q', JQ_EFFECT_DURABLE, 1200); /* its duplicate, answered from the window */
    expect_released("");
    jq_release_advance(&release, 1200, 1200);
    expect_released("sq");
    push('r', JQ_EFFECT_DURABLE, 1200); /* a read of an idle broker */
    expect_released("r");
}

/* What becomes due together leaves in the order in which the core made it, whatever the levels. */
static void order_of_pushes_is_kept(void **state) {
    (void)state;
    push('a', JQ_EFFECT_DURABLE, 1010);
    push('b', JQ_EFFECT_WRITTEN, 1020);
    push('c', JQ_EFFECT_DURABLE, 1030);
    push('d', JQ_EFFECT_WRITTEN, 1040);
    push('e', JQ_EFFECT_AT_ONCE, 1040);
    jq_release_advance(&release, 1040, 1040);
    expect_released("abcde");
}

/* With one commit in flight, the next block's effects stay while the first one's leave. */
static void later_block_stays(void **state) {
    (void)state;
    push('a', JQ_EFFECT_DURABLE, 1100);
    push('b', JQ_EFFECT_DURABLE, 1300);
    jq_release_advance(&release, 1104, 1104);
    expect_released("a");
    assert_int_equal(release.waiting, 1);
    push('c', JQ_EFFECT_WRITTEN, 1300);
    jq_release_advance(&release, 1304, 1104);
    expect_released("c");
    jq_release_advance(&release, 1304, 1304);
    expect_released("b");
}

/* Emptied queues can be filled again. */
static void queue_can_be_used_again(void **state) {
    (void)state;
    for (uint64_t i = 1; i <= 10; i++) {
        push('x', JQ_EFFECT_DURABLE, START_LSN + i);
        push('y', JQ_EFFECT_WRITTEN, START_LSN + i);
        jq_release_advance(&release, START_LSN + i, START_LSN + i);
        expect_released("xy");
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(each_level_waits_for_its_own_mark, begin),
        cmocka_unit_test_setup(the_mark_must_reach_the_effect, begin),
        cmocka_unit_test_setup(without_records_of_its_own_it_waits_for_those_before, begin),
        cmocka_unit_test_setup(order_of_pushes_is_kept, begin),
        cmocka_unit_test_setup(later_block_stays, begin),
        cmocka_unit_test_setup(queue_can_be_used_again, begin),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
