/* The settings on their way to where they count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/shell/policy.h"

static void load(struct jq_broker_settings *settings, int argc, const char *const *argv) {
    struct jq_conf_args args;
    struct jq_error error = {0};
    assert_int_equal(jq_conf_args_parse(argc, argv, &args, &error), JQ_OK);
    if (jq_broker_settings_load(&args, settings, &error) != JQ_OK)
        fail_msg("%s", error.message);
}

/* What the operator says of a queue reaches the core whole. */
static void queues_reach_the_core(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    struct jq_core_config policy;
    const char *const argv[] = {"jqbroker",
                                "-c",
                                "/dev/null",
                                "--set",
                                "queue.cad.weight=5",
                                "--set",
                                "queue.cad.paused=yes",
                                "--set",
                                "queue.mail.depth_max=7",
                                "--set",
                                "broker.queues_declared=yes"};
    load(&settings, 11, argv);
    assert_int_equal(jq_policy_of(&settings, &policy, NULL), JQ_OK);
    assert_true(policy.queues_declared);
    assert_int_equal(policy.queue_count, 2);
    assert_string_equal(policy.queues[0].name, "cad");
    assert_int_equal(policy.queues[0].weight, 5);
    assert_true(policy.queues[0].paused);
    assert_int_equal(policy.queues[0].depth_max, 0);
    assert_string_equal(policy.queues[1].name, "mail");
    assert_int_equal(policy.queues[1].depth_max, 7);
    assert_int_equal(policy.queues[1].weight, 1);
    assert_false(policy.queues[1].paused);
    jq_policy_fini(&policy);
    jq_broker_settings_fini(&settings);
}

/* What tasks and polls get that do not say it is the broker's to say, and by default what PROTOCOL.md says. */
static void defaults_of_requests_are_the_settings(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    struct jq_decode_config standard;
    const char *const argv[] = {"jqbroker",          "-c",    "/dev/null",    "--set", "retry.max=9",          "--set",
                                "retry.base=2s",     "--set", "retry.cap=1h", "--set", "window.result_ttl=5m", "--set",
                                "limits.wait_max=3s"};
    load(&settings, 3, argv);
    struct jq_decode_config decode = jq_policy_decode(&settings);
    jq_decode_config_init(&standard);
    assert_int_equal(decode.retry_max, standard.retry_max);
    assert_int_equal(decode.retry_base_ms, standard.retry_base_ms);
    assert_int_equal(decode.retry_cap_ms, standard.retry_cap_ms);
    assert_int_equal(decode.result_ttl_ms, standard.result_ttl_ms);
    assert_int_equal(decode.wait_ms_max, standard.wait_ms_max);
    jq_broker_settings_fini(&settings);
    load(&settings, 13, argv);
    decode = jq_policy_decode(&settings);
    assert_int_equal(decode.retry_max, 9);
    assert_int_equal(decode.retry_base_ms, 2000);
    assert_int_equal(decode.retry_cap_ms, 3600000);
    assert_int_equal(decode.result_ttl_ms, 300000);
    assert_int_equal(decode.wait_ms_max, 3000);
    jq_broker_settings_fini(&settings);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queues_reach_the_core),
        cmocka_unit_test(defaults_of_requests_are_the_settings),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
