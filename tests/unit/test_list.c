#include "common/list.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

struct item {
    int number;
    struct jq_list link;
};

static int number_of(const struct jq_list *link) {
    return link ? JQ_CONTAINER_OF(link, struct item, link)->number : -1;
}

/* Items come out in the order in which they were pushed at either end. */
static void order_is_kept(void **state) {
    (void)state;
    struct item items[4];
    struct jq_list head;
    jq_list_init(&head);
    assert_true(jq_list_empty(&head));
    assert_null(jq_list_first(&head));
    assert_null(jq_list_last(&head));
    for (int i = 0; i < 4; i++) {
        items[i].number = i;
        if (i < 2)
            jq_list_push_back(&head, &items[i].link);
        else
            jq_list_push_front(&head, &items[i].link);
    }
    static const int expected[] = {3, 2, 0, 1};
    assert_int_equal(number_of(jq_list_last(&head)), 1);
    for (int i = 0; i < 4; i++)
        assert_int_equal(number_of(jq_list_pop_front(&head)), expected[i]);
    assert_null(jq_list_pop_front(&head));
}

/* A loop may remove the item that it is at; an item that was removed may be removed again, or go into another list. */
static void items_may_be_removed_while_looping(void **state) {
    (void)state;
    struct item items[6];
    struct jq_list head, other;
    jq_list_init(&head);
    jq_list_init(&other);
    for (int i = 0; i < 6; i++) {
        items[i].number = i;
        jq_list_push_back(&head, &items[i].link);
    }
    JQ_LIST_EACH(link, &head) {
        if (number_of(link) % 2 == 0)
            continue;
        jq_list_remove(link);
        jq_list_remove(link);
        jq_list_push_back(&other, link);
    }
    int sum = 0, other_sum = 0;
    JQ_LIST_EACH(link, &head)
    sum = sum * 10 + number_of(link);
    JQ_LIST_EACH(link, &other)
    other_sum = other_sum * 10 + number_of(link);
    assert_int_equal(sum, 24);
    assert_int_equal(other_sum, 135);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(order_is_kept),
        cmocka_unit_test(items_may_be_removed_while_looping),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
