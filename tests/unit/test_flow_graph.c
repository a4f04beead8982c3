/* The graph of a flow, before it goes to the broker. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "common/libjq/flow_graph.h"
#include "common/message.h"

static struct jq_flow *new_flow(void) {
    struct jq_flow *flow = NULL;
    assert_int_equal(jq_flow_new("test", &flow, NULL), JQ_OK);
    return flow;
}

static size_t add(struct jq_flow *flow, const char *label) {
    const struct jq_task_spec task = jq_task("work");
    size_t place = 0;
    assert_int_equal(jq_flow_add(flow, label, &task, &place, NULL), JQ_OK);
    return place;
}

/* Every task comes behind all of its parents, in whatever order they were added; else tasks keep their order. */
static void tasks_are_sorted_behind_their_parents(void **state) {
    (void)state;
    struct jq_flow *flow = new_flow();
    const size_t last = add(flow, "last"), middle = add(flow, "middle"), first = add(flow, "first");
    const size_t alone = add(flow, "alone");
    assert_int_equal(jq_flow_after(flow, last, middle, NULL), JQ_OK);
    assert_int_equal(jq_flow_after(flow, last, first, NULL), JQ_OK);
    assert_int_equal(jq_flow_after(flow, middle, first, NULL), JQ_OK);
    assert_int_equal(jq_flow_sort(flow, NULL), JQ_OK);
    assert_int_equal(flow->turns[first], 0);
    assert_int_equal(flow->turns[alone], 1);
    assert_int_equal(flow->turns[middle], 2);
    assert_int_equal(flow->turns[last], 3);
    assert_int_equal(flow->parent_at[last + 1] - flow->parent_at[last], 2);
    jq_flow_free(flow);
}

/* A circle is refused, and its members are named: those that only hang on it are not. */
static void circle_is_named(void **state) {
    (void)state;
    struct jq_error error;
    struct jq_flow *flow = new_flow();
    const size_t outside = add(flow, "outside"), a = add(flow, "a"), b = add(flow, NULL);
    assert_int_equal(jq_flow_after(flow, outside, a, NULL), JQ_OK);
    assert_int_equal(jq_flow_after(flow, a, b, NULL), JQ_OK);
    assert_int_equal(jq_flow_after(flow, b, a, NULL), JQ_OK);
    assert_int_equal(jq_flow_sort(flow, &error), JQ_ERR_INVALID);
    assert_null(strstr(error.message, "outside"));
    assert_true(strcmp(error.message, "flow: a circle: 'a' after task 2 after 'a'") == 0 ||
                strcmp(error.message, "flow: a circle: task 2 after 'a' after task 2") == 0);
    jq_flow_free(flow);
    flow = new_flow();
    const size_t self = add(flow, "self");
    assert_int_equal(jq_flow_after(flow, self, self, NULL), JQ_OK);
    assert_int_equal(jq_flow_sort(flow, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "flow: a circle: 'self' after 'self'");
    jq_flow_free(flow);
}

/* Chain, group and chord are the graphs that their names say. */
static void chains_groups_and_chords_have_their_shape(void **state) {
    (void)state;
    const struct jq_task_spec tasks[3] = {jq_task("a"), jq_task("b"), jq_task("c")};
    const struct jq_task_spec callback = jq_task("all");
    struct jq_flow *flow = new_flow();
    size_t first = 9, last = 0;
    assert_int_equal(jq_flow_chain(flow, tasks, 3, &first, NULL), JQ_OK);
    assert_int_equal(first, 0);
    assert_int_equal(flow->edge_count, 2);
    assert_int_equal(jq_flow_chord(flow, tasks, 3, &callback, &last, NULL), JQ_OK);
    assert_int_equal(last, 6);
    assert_int_equal(flow->edge_count, 5);
    assert_int_equal(jq_flow_sort(flow, NULL), JQ_OK);
    assert_int_equal(flow->turns[1], 4); /* 0, the three of the group, then who waited for 0 */
    jq_flow_free(flow);
}

/* More parents than a task may have, a task with a key, a place that is none: refused at once, by name. */
static void what_cannot_be_is_refused(void **state) {
    (void)state;
    struct jq_error error;
    struct jq_flow *flow = new_flow();
    for (int i = 0; i <= JQ_AFTER_COUNT_MAX; i++) {
        (void)add(flow, NULL);
    }
    const size_t join = add(flow, "join");
    assert_int_equal(jq_flow_after_group(flow, join, 0, JQ_AFTER_COUNT_MAX + 1, NULL), JQ_OK);
    assert_int_equal(jq_flow_after(flow, join, join + 1, &error), JQ_ERR_INVALID);
    assert_int_equal(jq_flow_sort(flow, &error), JQ_ERR_TOO_BIG);
    assert_non_null(strstr(error.message, "join"));
    struct jq_task_spec keyed = jq_task("work");
    keyed.key = "k";
    assert_int_equal(jq_flow_add(flow, NULL, &keyed, NULL, &error), JQ_ERR_INVALID);
    jq_flow_free(flow);
    assert_int_equal(jq_flow_new("No Name", &flow, &error), JQ_ERR_INVALID);
}

/* A file becomes a task a line, without the ends of lines and without empty ones. */
static void file_becomes_a_task_a_line(void **state) {
    (void)state;
    char path[] = "/tmp/jq_lines_XXXXXX";
    const int fd = mkstemp(path);
    assert_int_equal(write(fd, "one\n\ntwo\nlast", 13), 13);
    close(fd);
    const struct jq_task_spec task = jq_task("work");
    struct jq_flow *flow = new_flow();
    size_t first = 0, count = 0;
    (void)add(flow, NULL);
    assert_int_equal(jq_flow_map_file(flow, path, &task, &first, &count, NULL), JQ_OK);
    assert_int_equal(first, 1);
    assert_int_equal(count, 3);
    assert_int_equal(flow->tasks[3].payload_size, 4);
    assert_memory_equal(flow->tasks[3].payload, "last", 4);
    unlink(path);
    assert_int_not_equal(jq_flow_map_file(flow, path, &task, &first, &count, NULL), JQ_OK);
    jq_flow_free(flow);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tasks_are_sorted_behind_their_parents), cmocka_unit_test(circle_is_named),
        cmocka_unit_test(chains_groups_and_chords_have_their_shape), cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(file_becomes_a_task_a_line)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
