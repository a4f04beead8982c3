/* Texts that come from the kernel, from handlers and from configuration. */
#include "worker/exec/argv.h"
#include "worker/exec/cgroup.h"
#include "worker/exec/cgroup_find.h"
#include "worker/exec/leftover.h"
#include "worker/exec/procs.h"
#include "worker/exec/progress.h"
#include "worker/exec/reply.h"

#include <endian.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* A systemd host of today: one v2 hierarchy. */
static void own_group_is_found_on_v2(void **state) {
    (void)state;
    struct jq_cgroup_place places[JQ_CGROUP_PLACE_COUNT_MAX];
    const unsigned count =
        jq_cgroup_find("22 1 0:20 / /proc rw - proc proc rw\n"
                       "25 22 0:22 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n",
                       "0::/system.slice/jqworker.service\n", places, JQ_CGROUP_PLACE_COUNT_MAX);
    assert_int_equal(count, 1);
    assert_true(places[0].v2);
    assert_string_equal(places[0].own, "/sys/fs/cgroup/system.slice/jqworker.service");
}

/* Hybrid: v2 beside v1 mounts of one controller or several; those that we do not use are left out. */
static void own_groups_are_found_on_hybrid(void **state) {
    (void)state;
    struct jq_cgroup_place places[JQ_CGROUP_PLACE_COUNT_MAX];
    const unsigned count =
        jq_cgroup_find("30 24 0:27 / /cg/unified rw - cgroup2 cgroup2 rw\n"
                       "31 24 0:28 / /cg/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
                       "32 24 0:29 / /cg/blkio rw - cgroup cgroup rw,blkio\n"
                       "33 24 0:30 / /cg/memory rw - cgroup cgroup rw,memory\n",
                       "4:memory:/user/7\n3:blkio:/x\n2:cpu,cpuacct:/\n0::/\n", places, JQ_CGROUP_PLACE_COUNT_MAX);
    assert_int_equal(count, 3);
    assert_string_equal(places[0].own, "/cg/unified");
    assert_int_equal(places[1].controllers, JQ_CGROUP_CPU);
    assert_string_equal(places[1].own, "/cg/cpu,cpuacct");
    assert_int_equal(places[2].controllers, JQ_CGROUP_MEMORY);
    assert_string_equal(places[2].own, "/cg/memory/user/7");
}

/* In a container the mount shows only a part of the hierarchy, and the path is told from the hierarchy's root. */
static void path_is_seen_from_the_mounts_root(void **state) {
    (void)state;
    struct jq_cgroup_place places[2];
    const unsigned count = jq_cgroup_find("33 24 0:30 /docker/ab /cg/memory ro - cgroup cgroup rw,memory\n",
                                          "4:memory:/docker/ab/sub\n", places, 2);
    assert_int_equal(count, 1);
    assert_string_equal(places[0].own, "/cg/memory/sub");
}

/* Lines that make no sense are passed over. */
static void garbage_in_mountinfo_is_skipped(void **state) {
    (void)state;
    struct jq_cgroup_place places[2];
    assert_int_equal(
        jq_cgroup_find("\n - \n1 2 3\n1 2 3 / /x rw - cgroup\n1 2 3 / /y rw - cgroup2", ":::\n\n", places, 2), 0);
}

/* The name of a program may look like anything, and /proc does not quote it. */
static void name_with_parentheses_is_read(void **state) {
    (void)state;
    struct jq_proc proc;
    assert_true(jq_procs_parse_stat("4711 (a) Z 1 (b) S 12 13 14 0 -1 0 1 2 3 4 5 6 7 8 20 0 1 0 99887 1048576 25 18\n",
                                    4096, &proc));
    assert_int_equal(proc.pid, 4711);
    assert_int_equal(proc.parent, 12);
    assert_int_equal(proc.session, 14);
    assert_int_equal(proc.start_ticks, 99887);
    assert_int_equal(proc.rss_bytes, 25 * 4096);
    assert_false(proc.zombie);
    assert_false(jq_procs_parse_stat("4711 (short) S 12", 4096, &proc));
    assert_false(jq_procs_parse_stat("", 4096, &proc));
}

/* A record of a child is taken whole or not at all: nobody is killed for a torn line. */
static void torn_records_are_refused(void **state) {
    (void)state;
    struct jq_leftover_record record;
    const char *whole = "812 34567 01234567-89ab-cdef-0123-456789abcdef JQ_CHILD=aa.17.1\n";
    assert_true(jq_leftover_parse(whole, &record));
    assert_int_equal(record.pid, 812);
    assert_string_equal(record.marker, "JQ_CHILD=aa.17.1");
    for (size_t size = 0; size < strlen(whole); size++) {
        char torn[128] = "";
        memcpy(torn, whole, size);
        assert_false(jq_leftover_parse(torn, &record));
    }
    assert_false(jq_leftover_parse("1 34567 b m\n", &record));
    assert_false(jq_leftover_parse("-5 34567 b m\n", &record));
}

static const struct jq_argv_values values = {.work_dir = "/w/17.2", .task = "17", .attempt = "2"};

/* Names in braces are replaced, also within a word; all else is literal, because no shell is there to see it. */
static void names_in_a_command_are_replaced(void **state) {
    (void)state;
    const char *const command[] = {
        "sh", "-o{output}", "{input}{input}", "{work_dir}/{task}.{attempt}", "{}{inputs} $HOME;*", NULL};
    struct jq_argv argv;
    assert_int_equal(jq_argv_expand(command, &values, "/nowhere::/bin:/usr/bin", &argv, NULL), JQ_OK);
    assert_string_equal(argv.path, "/bin/sh");
    assert_string_equal(argv.words[1], "-o/w/17.2/output");
    assert_string_equal(argv.words[2], "/w/17.2/input/w/17.2/input");
    assert_string_equal(argv.words[3], "/w/17.2/17.2");
    assert_string_equal(argv.words[4], "{}{inputs} $HOME;*");
    assert_null(argv.words[5]);
    assert_true(argv.uses_input && argv.uses_output);
    jq_argv_fini(&argv);
}

/* Files that travel have names of their own: inputs lie in the work dir, outputs where they are kept from. What is no name stays. */
static void files_in_a_command_are_replaced(void **state) {
    (void)state;
    const char *const command[] = {"sh", "{input.part}", "-o{output.mesh.stl}", "{input.../x}{output.}{input.a", NULL};
    struct jq_argv_values with_output = values;
    with_output.output_dir = "/out/.17.2";
    struct jq_argv argv;
    assert_int_equal(jq_argv_expand(command, &with_output, "/bin:/usr/bin", &argv, NULL), JQ_OK);
    assert_string_equal(argv.words[1], "/w/17.2/inputs/part");
    assert_string_equal(argv.words[2], "-o/out/.17.2/mesh.stl");
    assert_string_equal(argv.words[3], "{input.../x}{output.}{input.a");
    assert_false(argv.uses_input || argv.uses_output);
    jq_argv_fini(&argv);
}

static bool give_param(void *ctx, struct jq_str name, struct jq_buf *buf) {
    (void)ctx;
    const bool known = jq_str_equal(name, JQ_STR("x"));
    if (known)
        jq_buf_append_text(buf, JQ_STR("{task}{output}{param.x}"));
    return known;
}

/* What a parameter holds is data: it is not searched for names, not even together with the word around it. */
static void parameters_are_not_searched_for_names(void **state) {
    (void)state;
    struct jq_argv_values with_params = values;
    with_params.param = give_param;
    const char *const command[] = {"sh", "{task}:{param.x}", "{{param.x}", NULL};
    struct jq_argv argv;
    assert_int_equal(jq_argv_expand(command, &with_params, "/bin", &argv, NULL), JQ_OK);
    assert_string_equal(argv.words[1], "17:{task}{output}{param.x}");
    assert_string_equal(argv.words[2], "{{task}{output}{param.x}");
    assert_false(argv.uses_output);
    jq_argv_fini(&argv);

    const char *const missing[] = {"sh", "{param.y}", NULL};
    assert_int_equal(jq_argv_expand(missing, &with_params, "/bin", &argv, NULL), JQ_ERR_INVALID);
}

/* A command that would burst execve's own limit is refused before it. */
static void overlong_command_is_refused(void **state) {
    (void)state;
    char *word = calloc(1, 200 * 1024);
    assert_non_null(word);
    memset(word, 'x', 200 * 1024 - 1);
    const char *const command[] = {"sh", word, NULL};
    const char *const nothing[] = {NULL};
    struct jq_argv argv;
    assert_int_equal(jq_argv_expand(command, &values, "/bin", &argv, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_argv_expand(nothing, &values, "/bin", &argv, NULL), JQ_ERR_INVALID);
    free(word);
}

static void feed_frame(struct jq_exec_reply *reply, const char *text) {
    uint8_t bytes[512];
    const uint32_t size = htole32((uint32_t)strlen(text));
    memcpy(bytes, &size, 4);
    memcpy(bytes + 4, text, strlen(text));
    /* A pipe may cut anywhere: byte by byte is the worst of it. */
    for (size_t i = 0; i < 4 + strlen(text); i++) {
        jq_exec_reply_feed(reply, (struct jq_bytes){bytes + i, 1});
    }
}

/* Progress replaces progress, one result is kept, and unknown members are left to later versions. */
static void frames_are_taken_in_any_pieces(void **state) {
    (void)state;
    struct jq_exec_reply reply;
    jq_exec_reply_init(&reply, 1024);
    feed_frame(&reply,
               "{\"type\":\"progress\",\"permille\":250,\"text\":\"6 of 24\",\"later\":{\"type\":\"x\",\"a\":[1]}}");
    assert_int_equal(reply.progress_permille, 250);
    assert_string_equal(reply.progress_text, "6 of 24");
    feed_frame(&reply, "{\"permille\":5000,\"type\":\"progress\"}");
    assert_int_equal(reply.progress_permille, 250);
    feed_frame(&reply, "{\"type\":\"result\",\"result\":\"{\\\"volume\\\":1}\"}");
    jq_exec_reply_end(&reply);
    assert_false(reply.garbled);
    assert_true(reply.has_result);
    assert_int_equal(reply.result.size, 12);
    assert_memory_equal(reply.result.data, "{\"volume\":1}", 12);
    jq_exec_reply_fini(&reply);
}

/* A handler's word about its error is taken only in the classes that are its to give. */
static void error_frame_has_a_class_of_the_handlers(void **state) {
    (void)state;
    struct jq_exec_reply reply;
    jq_exec_reply_init(&reply, 1024);
    feed_frame(&reply, "{\"type\":\"error\",\"class\":\"network\",\"service\":\"erp\",\"message\":\"no answer\"}");
    assert_int_equal(reply.error, JQ_OUTCOME_NETWORK);
    assert_string_equal(reply.service, "erp");
    assert_string_equal(reply.message, "no answer");
    jq_exec_reply_fini(&reply);
    jq_exec_reply_init(&reply, 1024);
    feed_frame(&reply, "{\"type\":\"error\",\"class\":\"cancelled\"}");
    assert_true(reply.garbled);
    jq_exec_reply_fini(&reply);
}

static const char *const garbled[] = {
    "",
    "{",
    "[]",
    "1",
    "{\"type\":\"result\"}",
    "{\"type\":\"unheard\"}",
    "{\"type\":\"result\",\"result\":7}",
    "{\"type\":\"error\",\"class\":\"network\",\"service\":\"a/b\"}",
    "{\"type\":\"result\",\"result\":\"\\ud800\"}",
    "{\"type\":\"progress\"} x",
};

/* Anything else is not the protocol, and nothing after it is believed. */
static void garbage_is_garbled(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof(garbled) / sizeof(garbled[0]); i++) {
        struct jq_exec_reply reply;
        jq_exec_reply_init(&reply, 1024);
        feed_frame(&reply, garbled[i]);
        assert_true(reply.garbled);
        feed_frame(&reply, "{\"type\":\"result\",\"result\":\"ok\"}");
        assert_false(reply.has_result);
        jq_exec_reply_fini(&reply);
    }
}

/* A length above the bound, a frame cut short, a second result, a result over 48 KiB. */
static void frames_are_bounded(void **state) {
    (void)state;
    struct jq_exec_reply reply;
    jq_exec_reply_init(&reply, 64);
    jq_exec_reply_feed(&reply, (struct jq_bytes){(const uint8_t *)"\x41\0\0\0", 4});
    assert_true(reply.garbled);
    jq_exec_reply_fini(&reply);

    jq_exec_reply_init(&reply, 64);
    jq_exec_reply_feed(&reply, (struct jq_bytes){(const uint8_t *)"\x40\0\0\0{", 5});
    assert_false(reply.garbled);
    jq_exec_reply_end(&reply);
    assert_true(reply.garbled);
    jq_exec_reply_fini(&reply);

    jq_exec_reply_init(&reply, 1024);
    feed_frame(&reply, "{\"type\":\"result\",\"result\":\"1\"}");
    feed_frame(&reply, "{\"type\":\"result\",\"result\":\"2\"}");
    assert_true(reply.garbled);
    jq_exec_reply_fini(&reply);
}

static void result_over_the_limit_is_told_apart_from_garbage(void **state) {
    (void)state;
    struct jq_exec_reply reply;
    struct jq_buf frame;
    jq_exec_reply_init(&reply, 1 << 20);
    jq_buf_init(&frame, 1 << 20);
    jq_buf_append_u32(&frame, JQ_PAYLOAD_SIZE_MAX + 1 + 29);
    jq_buf_append_text(&frame, JQ_STR("{\"type\":\"result\",\"result\":\""));
    for (int i = 0; i <= JQ_PAYLOAD_SIZE_MAX; i++) {
        jq_buf_append_u8(&frame, 'x');
    }
    jq_buf_append_text(&frame, JQ_STR("\"}"));
    jq_exec_reply_feed(&reply, jq_buf_bytes(&frame));
    assert_false(reply.garbled);
    assert_false(reply.has_result);
    assert_true(reply.result_too_big);
    jq_buf_fini(&frame);
    jq_exec_reply_fini(&reply);
}

/* Progress is a line of its own on stderr, however it comes in pieces; what is not such a line means nothing. */
static void progress_is_a_line(void **state) {
    (void)state;
    static const struct {
        const char *parts[3];
        int32_t permille; /* -1: none told */
        const char *text;
    } cases[] = {
        {{"jq:progress 0.5 half of it\n", "", ""}, 500, "half of it"},
        {{"noise\njq:pro", "gress 2", "5%\nmore noise\n"}, 250, ""},
        {{"jq:progress 1\n", "jq:progress 0.25 back\n", "jq:progress 0.3"}, 250, "back"},
        {{" jq:progress 0.5\n", "xjq:progress 0.5\n", "jq:progress\n"}, -1, ""},
        {{"jq:progress nan\n", "jq:progress 1.5\n", "jq:progress -1\njq:progress 5x\n"}, -1, ""},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct jq_exec_progress progress = {.size = 0};
        for (size_t k = 0; k < 3; k++) {
            const char *part = cases[i].parts[k];
            jq_exec_progress_feed(&progress, (struct jq_bytes){(const uint8_t *)part, strlen(part)});
        }
        assert_int_equal(progress.told ? progress.permille : -1, cases[i].permille);
        assert_string_equal(progress.text, cases[i].text);
    }
    char line[400] = "jq:progress 0.5 ";
    memset(line + 16, 'x', sizeof(line) - 17);
    struct jq_exec_progress progress = {.size = 0};
    jq_exec_progress_feed(&progress, (struct jq_bytes){(const uint8_t *)line, sizeof(line) - 1});
    jq_exec_progress_feed(&progress, (struct jq_bytes){(const uint8_t *)"\n", 1});
    assert_false(progress.told);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(progress_is_a_line),
        cmocka_unit_test(own_group_is_found_on_v2),
        cmocka_unit_test(own_groups_are_found_on_hybrid),
        cmocka_unit_test(path_is_seen_from_the_mounts_root),
        cmocka_unit_test(garbage_in_mountinfo_is_skipped),
        cmocka_unit_test(name_with_parentheses_is_read),
        cmocka_unit_test(torn_records_are_refused),
        cmocka_unit_test(names_in_a_command_are_replaced),
        cmocka_unit_test(files_in_a_command_are_replaced),
        cmocka_unit_test(parameters_are_not_searched_for_names),
        cmocka_unit_test(overlong_command_is_refused),
        cmocka_unit_test(frames_are_taken_in_any_pieces),
        cmocka_unit_test(error_frame_has_a_class_of_the_handlers),
        cmocka_unit_test(garbage_is_garbled),
        cmocka_unit_test(frames_are_bounded),
        cmocka_unit_test(result_over_the_limit_is_told_apart_from_garbage),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
