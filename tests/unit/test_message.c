#include "common/message.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/* A field is found by its name alone, so a message names none twice; and every word in the table can be printed. */
static void names_are_unique_within_a_message(void **state) {
    (void)state;
    for (size_t m = 0; m < jq_messages_count; m++) {
        const struct jq_message *message = jq_messages[m];
        assert_in_range(message->count, 1, JQ_FIELDS_MAX);
        for (unsigned i = 0; i < message->count; i++) {
            const struct jq_field *field = &message->fields[i];
            assert_int_equal(strlen(field->name), field->name_size);
            assert_in_range(field->name_size, 1, 31);
            assert_non_null(jq_field_type_word(field->type));
            assert_int_equal(jq_message_place(message, jq_str_of(field->name), 0), i);
        }
    }
}

/* Whoever writes fields in our order is found at the first look; whoever does not is found all the same. */
static void fields_are_found_from_any_place(void **state) {
    (void)state;
    for (unsigned from = 0; from <= JQ_COUNT_task; from++)
        assert_int_equal(jq_message_place(&jq_message_task, JQ_STR("queue"), from), JQ_AT_TASK_QUEUE);
    assert_int_equal(jq_message_place(&jq_message_task, JQ_STR("queues"), 0), -1);
    assert_int_equal(jq_message_place(&jq_message_task, JQ_STR("queu"), 3), -1);
    assert_int_equal(jq_message_place(&jq_message_task, JQ_STR(""), 0), -1);
    assert_int_equal(jq_message_place(&jq_message_none, JQ_STR("queue"), 0), -1);
}

/* A list says what is in it; a tuple's optional elements stand at its end, or nil could not stand for them. */
static void bounds_and_elements_make_sense(void **state) {
    (void)state;
    for (size_t m = 0; m < jq_messages_count; m++) {
        for (unsigned i = 0; i < jq_messages[m]->count; i++) {
            const struct jq_field *field = &jq_messages[m]->fields[i];
            if (field->type == JQ_FIELD_LIST)
                assert_non_null(field->of);
            assert_true(field->min <= field->max);
            assert_int_equal((jq_messages[m]->required >> i & 1) != 0, (field->flags & JQ_FIELD_REQUIRED) != 0);
        }
    }
}

/* Ops are numbered as the core numbers them, and found by name. */
static void ops_are_found_by_name(void **state) {
    (void)state;
    for (size_t i = 0; i < jq_ops_count; i++) {
        assert_int_equal(jq_ops[i].number, i);
        assert_ptr_equal(jq_op_find(jq_str_of(jq_ops[i].name)), &jq_ops[i]);
        assert_non_null(jq_ops[i].request);
        assert_non_null(jq_ops[i].reply);
    }
    assert_null(jq_op_find(JQ_STR("task")));
    assert_null(jq_op_find(JQ_STR("task.lsx")));
    assert_null(jq_op_find(JQ_STR("")));
}

/* An admin may do everything, an observer only look, and clients and workers not each other's work. */
static void roles_allow_what_they_should(void **state) {
    (void)state;
    static const bool allowed[JQ_ROLE_ADMIN + 1][JQ_ROLE_ADMIN + 1] = {
        /* needed:          none  observer client worker admin */
        [JQ_ROLE_NONE] = {true, false, false, false, false}, [JQ_ROLE_OBSERVER] = {true, true, false, false, false},
        [JQ_ROLE_CLIENT] = {true, true, true, false, false}, [JQ_ROLE_WORKER] = {true, true, false, true, false},
        [JQ_ROLE_ADMIN] = {true, true, true, true, true},
    };
    for (int held = JQ_ROLE_NONE; held <= JQ_ROLE_ADMIN; held++)
        for (int needed = JQ_ROLE_NONE; needed <= JQ_ROLE_ADMIN; needed++)
            assert_int_equal(jq_role_allows((enum jq_role)held, (enum jq_role)needed), allowed[held][needed]);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_unique_within_a_message), cmocka_unit_test(fields_are_found_from_any_place),
        cmocka_unit_test(bounds_and_elements_make_sense),    cmocka_unit_test(ops_are_found_by_name),
        cmocka_unit_test(roles_allow_what_they_should),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
