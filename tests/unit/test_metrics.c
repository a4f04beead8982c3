#include "broker/shell/metrics.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { TEXT_SIZE_MAX = 1024 * 1024, NAME_SIZE = 128 };

static struct jq_metrics metrics;
static struct jq_metrics_snapshot snapshot;
static struct jq_buf text;

static int begin(void **state) {
    (void)state;
    metrics = (struct jq_metrics){.blocks = 0};
    jq_metrics_snapshot_init(&snapshot);
    jq_buf_init(&text, TEXT_SIZE_MAX);
    return 0;
}

static int end(void **state) {
    (void)state;
    jq_metrics_snapshot_fini(&snapshot);
    jq_buf_fini(&text);
    return 0;
}

static const char *render(void) {
    jq_buf_clear(&text);
    jq_metrics_render(&metrics, &snapshot, "1.2.3", &text);
    jq_buf_append_u8(&text, '\0');
    assert_false(text.failed);
    return (const char *)text.data;
}

static void expect_line(const char *line) {
    char wanted[256];
    const int size = snprintf(wanted, sizeof(wanted), "\n%s\n", line);
    assert_true(size > 0 && (size_t)size < sizeof(wanted));
    if (strstr((const char *)text.data, wanted) == NULL)
        fail_msg("no line: %s", line);
}

/* The name of the metric that a sample line is of: without labels, and without what a histogram appends. */
static void family_of(const char *line, char ret_name[NAME_SIZE]) {
    static const char *const suffixes[] = {"_bucket", "_sum", "_count"};
    size_t size = strcspn(line, "{ ");
    for (size_t i = 0; i < 3; i++) {
        const size_t suffix_size = strlen(suffixes[i]);
        if (size > suffix_size && strncmp(line + size - suffix_size, suffixes[i], suffix_size) == 0 &&
            strncmp(line, "jqmesh_tasks", strlen("jqmesh_tasks")) != 0)
            size -= suffix_size;
    }
    assert_true(size < NAME_SIZE);
    memcpy(ret_name, line, size);
    ret_name[size] = '\0';
}

/* Every sample stands behind the HELP and TYPE of its own metric, and each metric is announced once. */
static void exposition_is_well_formed(void **state) {
    (void)state;
    const struct jq_queue_row rows[] = {{.name = JQ_STR("mail"), .ready = 3},
                                        {.name = JQ_STR("cad.step"), .set.paused = true}};
    jq_metrics_snapshot_queues(&snapshot, rows, 2);
    char announced[NAME_SIZE] = "";
    char help[NAME_SIZE] = "";
    unsigned samples = 0;
    for (const char *line = render(); *line != '\0'; line = strchr(line, '\n') + 1) {
        char name[NAME_SIZE] = "";
        if (sscanf(line, "# HELP %127s", help) == 1)
            continue;
        if (sscanf(line, "# TYPE %127s", announced) == 1) {
            char again[NAME_SIZE + 16];
            assert_string_equal(announced, help);
            (void)snprintf(again, sizeof(again), "\n# TYPE %s ", announced);
            assert_null(strstr(line, again));
            continue;
        }
        family_of(line, name);
        assert_string_equal(name, announced);
        samples++;
    }
    assert_true(samples > 60);
}

/* Counters, the snapshot and rows of queues come out under their names and labels. */
static void values_are_told(void **state) {
    (void)state;
    const struct jq_queue_row rows[] = {{.name = JQ_STR("mail"), .ready = 3, .oldest_ready_ms = 1500},
                                        {.name = JQ_STR("cad.step"), .set.paused = true, .oldest_ready_ms = -1}};
    snapshot.server.epoch = 7;
    snapshot.server.running = 2;
    snapshot.server.ended_total[JQ_STATE_DEAD] = 5;
    jq_count(&metrics.replies[JQ_OP_SUBMIT][JQ_REPLY_BUSY], 4);
    jq_count(&metrics.retries[JQ_OUTCOME_TIMEOUT], 6);
    jq_metrics_snapshot_queues(&snapshot, rows, 2);
    const struct jq_breaker_row breakers[] = {
        {.name = JQ_STR("handler:mail"), .kind = JQ_BREAKER_HANDLER, .state = JQ_BREAKER_OPEN},
        {.name = JQ_STR("worker:w1"), .kind = JQ_BREAKER_WORKER, .state = JQ_BREAKER_CLOSED}};
    jq_metrics_snapshot_breakers(&snapshot, breakers, 2);
    jq_count(&metrics.breaker_changes[JQ_BREAKER_SERVICE][JQ_BREAKER_HALF_OPEN], 2);
    render();
    expect_line("jqmesh_breaker_state{kind=\"handler\",name=\"mail\",state=\"open\"} 1");
    assert_null(strstr((const char *)text.data, "w1"));
    expect_line("jqmesh_breaker_changes_total{kind=\"service\",state=\"half_open\"} 2");
    expect_line("jqmesh_build_info{version=\"1.2.3\"} 1");
    expect_line("jqmesh_epoch 7");
    expect_line("jqmesh_tasks{state=\"running\"} 2");
    expect_line("jqmesh_tasks_ended_total{state=\"dead\"} 5");
    expect_line("jqmesh_replies_total{op=\"submit\",status=\"busy\"} 4");
    expect_line("jqmesh_attempts_retried_total{outcome=\"timeout\"} 6");
    expect_line("jqmesh_queue_ready{queue=\"mail\"} 3");
    expect_line("jqmesh_queue_oldest_ready_seconds{queue=\"mail\"} 1.500");
    expect_line("jqmesh_queue_paused{queue=\"cad.step\"} 1");
}

/* Buckets of a histogram are cumulative; a value that equals a bound belongs to it, one above all bounds to +Inf alone. */
static void histogram_is_cumulative(void **state) {
    (void)state;
    jq_histogram_observe(&metrics.submit, 50000);
    jq_histogram_observe(&metrics.submit, 50001);
    jq_histogram_observe(&metrics.submit, INT64_C(9000000000));
    render();
    expect_line("jqmesh_submit_seconds_bucket{le=\"5e-05\"} 1");
    expect_line("jqmesh_submit_seconds_bucket{le=\"0.0001\"} 2");
    expect_line("jqmesh_submit_seconds_bucket{le=\"5\"} 2");
    expect_line("jqmesh_submit_seconds_bucket{le=\"+Inf\"} 3");
    expect_line("jqmesh_submit_seconds_sum 9.000100001");
    expect_line("jqmesh_submit_seconds_count 3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(exposition_is_well_formed, begin, end),
        cmocka_unit_test_setup_teardown(values_are_told, begin, end),
        cmocka_unit_test_setup_teardown(histogram_is_cumulative, begin, end),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
