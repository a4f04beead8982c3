/* The operator's command that takes segments away: what it is given, and what is made of its end. */
#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <unistd.h>

#include "broker/shell/archive_command.h"
#include "broker/shell/remover.h"

enum { LONG_MS = 600000, SHORT_MS = 200 };

static enum jq_err run(char **words, int64_t time_max_ms, struct jq_error *error) {
    struct jq_conf_list list = {.items = words};
    while (words[list.count] != NULL)
        list.count++;
    return jq_archive_command_run(&list, "/data/00.jql", "00.jql", time_max_ms, error);
}

static enum jq_err run_shell(const char *script, int64_t time_max_ms, struct jq_error *error) {
    char *words[] = {"sh", "-c", (char *)(uintptr_t)script, "%f", "%n", "100%%", "a b;$HOME", NULL};
    return run(words, time_max_ms, error);
}

/* Path and name stand where the placeholders stood, everything else is handed over as it is: no shell has looked at it. */
static void words_are_handed_over_as_they_are(void **state) {
    (void)state;
    struct jq_error error;
    static const char script[] =
        "test \"$0\" = /data/00.jql -a \"$1\" = 00.jql -a \"$2\" = 100%% -a \"$3\" = 'a b;$HOME' -a $# = 3";
    assert_int_equal(run_shell(script, LONG_MS, &error), JQ_OK);
    char *unknown[] = {"true", "%f", "%x", NULL};
    assert_int_equal(run(unknown, LONG_MS, &error), JQ_ERR_INVALID);
}

/* It has nothing of the broker's: no descriptor but an empty input and a pipe for what it says, whatever the broker has open. */
static void nothing_of_the_broker_is_open_in_it(void **state) {
    (void)state;
    struct jq_error error;
    const int fd = dup2(STDERR_FILENO, 77); /* without close-on-exec */
    assert_int_equal(fd, 77);
    static const char script[] = "test ! -e /proc/self/fd/77 && test -z \"$(cat)\"";
    assert_int_equal(run_shell(script, LONG_MS, &error), JQ_OK);
    (void)close(fd);
}

/* Any end but exit code 0 is a failure, told with the last that the command said, as one line. */
static void any_other_end_is_a_failure(void **state) {
    (void)state;
    struct jq_error error;
    assert_int_equal(run_shell("echo never mind; echo no room >&2; exit 3", LONG_MS, &error), JQ_ERR_IO);
    assert_string_equal(error.message, "archive_command: exit code 3: never mind no room");
    assert_int_equal(run_shell("kill -9 $$", LONG_MS, &error), JQ_ERR_IO);
    assert_string_equal(error.message, "archive_command: killed by signal 9");
    assert_int_equal(run_shell("yes | head -c 1000000; printf end; exit 1", LONG_MS, &error), JQ_ERR_IO);
    assert_non_null(strstr(error.message, "y y end"));
    char *missing[] = {"/nowhere/at-all", "%f", NULL};
    assert_int_equal(run(missing, LONG_MS, &error), JQ_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nowhere/at-all"));
}

/* Its time is bounded, and nothing that it began outlives it: they all hold the pipe, whose end is seen when the last is gone. */
static void it_is_killed_with_all_that_it_began(void **state) {
    (void)state;
    struct jq_error error;
    int ends[2];
    char hold[160], byte;
    assert_int_equal(pipe(ends), 0);
    (void)snprintf(hold, sizeof(hold), "exec 9>/proc/%d/fd/%d; sleep 1000 & sleep 1000 & wait", (int)getpid(), ends[1]);
    assert_int_equal(run_shell(hold, SHORT_MS, &error), JQ_ERR_TIMEOUT);
    (void)close(ends[1]);
    assert_int_equal(read(ends[0], &byte, 1), 0);
    (void)close(ends[0]);
}

/* What fails is tried again after a second, then seldomer and seldomer, at last every ten minutes. */
static void tries_grow_seldom(void **state) {
    (void)state;
    int64_t before_ms = 0;
    for (uint32_t failures = 1; failures < 50; failures++) {
        const int64_t pause_ms = jq_remover_pause_ms(failures);
        assert_true(pause_ms == 2 * before_ms || failures == 1 || pause_ms == 600000);
        before_ms = pause_ms;
    }
    assert_int_equal(jq_remover_pause_ms(1), 1000);
    assert_int_equal(jq_remover_pause_ms(UINT32_MAX), 600000);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(words_are_handed_over_as_they_are),
        cmocka_unit_test(nothing_of_the_broker_is_open_in_it),
        cmocka_unit_test(any_other_end_is_a_failure),
        cmocka_unit_test(it_is_killed_with_all_that_it_began),
        cmocka_unit_test(tries_grow_seldom),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
