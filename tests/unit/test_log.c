#define _GNU_SOURCE
#include "common/log.h"

#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include <cmocka.h>

static int pipe_ends[2];
static char seen[64 * 1024];

/* Stands in for the one of libsystemd: keeps what it is given, one field a line. */
static char journal[16 * 1024];
static int journal_answer;

int sd_journal_sendv(const struct iovec *parts, int count);
int sd_journal_sendv(const struct iovec *parts, int count) {
    size_t size = 0;
    for (int i = 0; i < count; i++) {
        memcpy(journal + size, parts[i].iov_base, parts[i].iov_len);
        size += parts[i].iov_len;
        journal[size++] = '\n';
    }
    journal[size] = '\0';
    errno = EPIPE;
    return journal_answer;
}

static int open_log(void **state) {
    (void)state;
    journal[0] = '\0';
    journal_answer = 0;
    if (pipe(pipe_ends) != 0)
        return -1;
    jq_log_open(&(struct jq_log_config){
        .level = JQ_LOG_LEVEL_INFO, .target = JQ_LOG_TARGET_LOGFMT, .name = "jqtest", .fd = pipe_ends[1]});
    return 0;
}

static int close_log(void **state) {
    (void)state;
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    return 0;
}

/* What has been logged so far, without "ts=... " where the line has it. The pipe must hold something. */
static const char *logged(void) {
    const ssize_t size = read(pipe_ends[0], seen, sizeof(seen) - 1);
    assert_true(size > 0);
    seen[size] = '\0';
    assert_memory_equal(seen, "ts=2", 4);
    const char *rest = strchr(seen, ' ');
    assert_non_null(rest);
    return rest + 1;
}

/* One line tells level, message and named values, quoted only where a reader needs it. */
static void line_holds_level_message_and_values(void **state) {
    (void)state;
    const struct jq_error error = {JQ_ERR_IO, 5, "open '/x': No such file"};
    JQ_LOG_INFO("listening");
    assert_string_equal(logged(), "level=info msg=listening\n");
    JQ_LOG_WARN("worker lost", JQ_F_STR("worker", "w-1"), JQ_F_INT("tasks", -3), JQ_F_UINT("id", UINT64_MAX),
                JQ_F_BOOL("busy", true), JQ_F_DOUBLE("load", 0.5), JQ_F_TEXT("queue", JQ_STR("mail")), JQ_F_ERR(&error),
                JQ_F_STR("nothing", NULL));
    assert_string_equal(logged(),
                        "level=warn msg=\"worker lost\" worker=w-1 tasks=-3 id=18446744073709551615 busy=true "
                        "load=0.5 queue=mail error=\"open '/x': No such file\" nothing=\"\"\n");
}

/* Nobody outside can forge a line or steer a terminal: line ends, quotes, escapes and bad UTF-8 of a value stay in its quotes. */
static void values_cannot_forge_a_line(void **state) {
    (void)state;
    JQ_LOG_ERROR("refused", JQ_F_TEXT("name", JQ_STR("x\nts=9 level=info msg=\"ok\"\x1b[2J\0\xff")));
    assert_string_equal(logged(), "level=error msg=refused name=\"x\\nts=9 level=info msg=\\\"ok\\\"\\u001b[2J\\u0000"
                                  "\xef\xbf\xbd\"\n");
    JQ_LOG_ERROR("refused", JQ_F_STR("name", "x\ny"), JQ_F_STR("tab", "\t"), JQ_F_STR("letter", "\xc3\xa4"));
    assert_string_equal(logged(), "level=error msg=refused name=\"x\\ny\" tab=\"\\t\" letter=\"\xc3\xa4\"\n");
}

/* What is below the level is not written, and its values are not even looked at; the level can change while running. */
static void level_filters(void **state) {
    (void)state;
    int evaluated = 0;
    JQ_LOG_DEBUG("quiet", JQ_F_INT("n", ++evaluated));
    assert_int_equal(evaluated, 0);
    jq_log_set_level(JQ_LOG_LEVEL_DEBUG);
    JQ_LOG_DEBUG("loud", JQ_F_INT("n", ++evaluated));
    assert_string_equal(logged(), "level=debug msg=loud n=1\n");
    jq_log_set_level(JQ_LOG_LEVEL_ERROR);
    assert_false(jq_log_enabled(JQ_LOG_LEVEL_WARN));

    enum jq_log_level level;
    assert_int_equal(jq_log_parse_level(JQ_STR("warn"), &level, NULL), JQ_OK);
    assert_int_equal(level, JQ_LOG_LEVEL_WARN);
    assert_int_equal(jq_log_parse_level(JQ_STR("loud"), &level, NULL), JQ_ERR_INVALID);
}

/* A line has a bound: what is too long is cut between characters, its quote closed, and the line says so. */
static void long_lines_are_cut_and_say_so(void **state) {
    (void)state;
    static const char end[] = "\" truncated=true\n";
    static char text[9000];
    for (size_t size = 3900; size < 4200; size++) {
        for (size_t i = 0; i + 1 < size; i += 2)
            memcpy(text + i, "\xc3\xa4", 2);
        JQ_LOG_INFO("long", JQ_F_TEXT("text", (struct jq_str){text, size / 2 * 2}), JQ_F_INT("after", 1));
        const char *line = logged();
        const size_t length = strlen(seen);
        assert_true(length <= JQ_LOG_LINE_SIZE_MAX);
        if (strstr(line, " after=1\n"))
            continue;
        assert_non_null(strstr(line, "truncated=true\n"));
        if (size > 4100) {
            assert_string_equal(seen + length - sizeof(end) + 1, end);
            assert_int_equal((uint8_t)seen[length - sizeof(end)], 0xa4);
        }
    }
}

static void *log_many(void *name) {
    for (int i = 0; i < 100; i++)
        JQ_LOG_INFO("line of a thread", JQ_F_STR("thread", name), JQ_F_INT("i", i));
    return NULL;
}

/* Lines of several threads do not mix: each is one write. */
static void lines_of_threads_do_not_mix(void **state) {
    (void)state;
    pthread_t threads[3];
    char names[3][2] = {"a", "b", "c"};
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, log_many, names[i]), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    logged();
    int lines = 0;
    char *end;
    for (char *line = seen; (end = strchr(line, '\n')); line = end + 1, lines++) {
        char thread;
        int i;
        *end = '\0';
        assert_int_equal(sscanf(line, "ts=%*s level=info msg=\"line of a thread\" thread=%c i=%d", &thread, &i), 2);
    }
    assert_int_equal(lines, 300);
}

/* To the journal go the message with its values, and each value as a field of its own under a name that the journal takes. */
static void journal_gets_fields(void **state) {
    (void)state;
    jq_log_open(&(struct jq_log_config){.target = JQ_LOG_TARGET_JOURNAL, .name = "jqtest", .fd = pipe_ends[1]});
    JQ_LOG_WARN("worker lost", JQ_F_STR("worker.name", "w 1"), JQ_F_INT("tasks", 3));
    assert_string_equal(journal,
                        "MESSAGE=worker lost worker.name=\"w 1\" tasks=3\nPRIORITY=4\nSYSLOG_IDENTIFIER=jqtest\n"
                        "JQ_WORKER_NAME=w 1\nJQ_TASKS=3\n");
}

/* Where the journal cannot be reached the line goes to the descriptor instead: nothing is lost. */
static void without_a_journal_the_line_is_written(void **state) {
    (void)state;
    journal_answer = -ECONNREFUSED;
    jq_log_open(&(struct jq_log_config){.target = JQ_LOG_TARGET_JOURNAL, .fd = pipe_ends[1]});
    errno = EAGAIN;
    JQ_LOG_INFO("still here");
    assert_int_equal(errno, EAGAIN);
    assert_string_equal(logged(), "level=info msg=\"still here\"\n");
}

static void open_auto_with_stream(const char *stream) {
    if (stream)
        setenv("JOURNAL_STREAM", stream, 1);
    else
        unsetenv("JOURNAL_STREAM");
    jq_log_open(&(struct jq_log_config){.target = JQ_LOG_TARGET_AUTO, .fd = pipe_ends[1]});
}

/* The journal is chosen when standard error is connected to it, not when it was redirected after the service started. */
static void journal_is_chosen_by_where_stderr_goes(void **state) {
    (void)state;
    struct stat status;
    char stream[64];
    assert_int_equal(fstat(STDERR_FILENO, &status), 0);
    snprintf(stream, sizeof(stream), "%ju:%ju", (uintmax_t)status.st_dev, (uintmax_t)status.st_ino);
    open_auto_with_stream(stream);
    JQ_LOG_INFO("to the journal");
    assert_memory_equal(journal, "MESSAGE=to the journal\n", 23);

    open_auto_with_stream("1:1");
    JQ_LOG_INFO("redirected");
    assert_string_equal(logged(), "level=info msg=redirected\n");
    open_auto_with_stream(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(line_holds_level_message_and_values, open_log, close_log),
        cmocka_unit_test_setup_teardown(values_cannot_forge_a_line, open_log, close_log),
        cmocka_unit_test_setup_teardown(level_filters, open_log, close_log),
        cmocka_unit_test_setup_teardown(long_lines_are_cut_and_say_so, open_log, close_log),
        cmocka_unit_test_setup_teardown(lines_of_threads_do_not_mix, open_log, close_log),
        cmocka_unit_test_setup_teardown(journal_gets_fields, open_log, close_log),
        cmocka_unit_test_setup_teardown(without_a_journal_the_line_is_written, open_log, close_log),
        cmocka_unit_test_setup_teardown(journal_is_chosen_by_where_stderr_goes, open_log, close_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
