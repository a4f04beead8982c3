#define _GNU_SOURCE
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "broker/settings.h"
#include "common/log.h"
#include "common/vocab.h"
#include "worker/settings.h"

/* ---- samples ----------------------------------------------------------------------------------------------------- */

static void read_file(const char *path, struct jq_buf *buf) {
    FILE *const file = fopen(path, "re");
    if (file == NULL)
        fail_msg("%s cannot be opened: tests run in the root of the tree", path);
    char chunk[4096];
    size_t size;
    while ((size = fread(chunk, 1, sizeof chunk, file)) > 0)
        jq_buf_append(buf, chunk, size);
    assert_int_equal(fclose(file), 0);
    assert_false(buf->failed);
}

static void expect_sample(const struct jq_conf_schema *schema, const char *path) {
    struct jq_buf sample;
    struct jq_buf file;
    jq_buf_init(&sample, 1 << 20);
    jq_buf_init(&file, 1 << 20);
    jq_conf_append_sample(schema, &sample);
    assert_false(sample.failed);
    read_file(path, &file);
    if (!jq_str_equal(jq_buf_str(&sample), jq_buf_str(&file)))
        fail_msg("%s is not what `%s --sample` prints", path, schema->program);
    jq_buf_fini(&sample);
    jq_buf_fini(&file);
}

/* The files in conf/ are the tables of the programs, written out. */
static void samples_in_conf_are_what_the_programs_print(void **state) {
    (void)state;
    expect_sample(&jq_broker_schema, "conf/jqbroker.conf");
    expect_sample(&jq_worker_schema, "conf/jqworker.conf");
}

static void free_comments(struct jq_buf *buf) {
    for (size_t i = 0; i + 1 < buf->size; i++)
        if (buf->data[i] == '#' && buf->data[i + 1] != ' ' && buf->data[i + 1] != '\n')
            buf->data[i] = ' ';
}

/* Every default is a value that its own key accepts, in sections with names as well. */
static void every_line_of_a_sample_can_be_taken_out_of_its_comment(void **state) {
    (void)state;
    const struct jq_conf_schema *const schemas[] = {&jq_broker_schema, &jq_worker_schema};
    void *const settings[] = {calloc(1, sizeof(struct jq_broker_settings)),
                              calloc(1, sizeof(struct jq_worker_settings))};
    for (size_t i = 0; i < 2; i++) {
        struct jq_buf sample;
        struct jq_error error = {0};
        jq_buf_init(&sample, 1 << 20);
        jq_conf_append_sample(schemas[i], &sample);
        free_comments(&sample);
        assert_int_equal(jq_conf_init(schemas[i], settings[i], NULL), JQ_OK);
        if (jq_conf_read_text(schemas[i], settings[i], "sample", jq_buf_str(&sample), &error) != JQ_OK)
            fail_msg("%s", error.message);
        jq_conf_fini(schemas[i], settings[i]);
        jq_buf_fini(&sample);
        free(settings[i]);
    }
}

/* ---- broker ------------------------------------------------------------------------------------------------------ */

static enum jq_err load_broker(struct jq_broker_settings *settings, int argc, const char *const *argv,
                               struct jq_error *reterr) {
    struct jq_conf_args args;
    assert_int_equal(jq_conf_args_parse(argc, argv, &args, NULL), JQ_OK);
    return jq_broker_settings_load(&args, settings, reterr);
}

/* The defaults are those of the documents, and by default everybody has to show a token. */
static void the_brokers_defaults_stand(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    const char *const argv[] = {"jqbroker", "-c", "/dev/null"};
    assert_int_equal(load_broker(&settings, 3, argv, NULL), JQ_OK);
    assert_int_equal(settings.durability, JQ_DURABILITY_FSYNC);
    assert_int_equal(settings.auth, JQ_AUTH_TOKENS);
    assert_int_equal(settings.log_level, JQ_LOG_LEVEL_INFO);
    assert_int_equal(settings.request_urls.count, 2);
    assert_int_equal(settings.heartbeat_ms, 2000);
    assert_int_equal(settings.liveness_ms, 15000);
    assert_int_equal(settings.retry_cap_ms, 600000);
    assert_int_equal(settings.key_ttl_ms, 86400000);
    assert_int_equal(settings.finished_max, 1000000);
    assert_int_equal(settings.segment_size_bytes, 64 << 20);
    assert_int_equal(settings.ipc_mode, 0660);
    jq_broker_settings_fini(&settings);
}

/* A queue's own section is found by its name. */
static void a_queue_has_its_own_section(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    const char *const argv[] = {"jqbroker",
                                "-c",
                                "/dev/null",
                                "--set",
                                "queue.cad.step.weight=5",
                                "--set",
                                "queue.cad.step.bytes_max=1M",
                                "--set",
                                "queue.cad.step.policy=shed_lowest"};
    assert_int_equal(load_broker(&settings, 9, argv, NULL), JQ_OK);
    const struct jq_queue_settings *const queue = jq_broker_settings_queue(&settings, JQ_STR("cad.step"));
    assert_non_null(queue);
    assert_int_equal(queue->weight, 5);
    assert_int_equal(queue->depth_max, 0);
    assert_int_equal(queue->bytes_max, 1 << 20);
    assert_int_equal(queue->policy, JQ_POLICY_SHED);
    assert_false(queue->paused);
    assert_null(jq_broker_settings_queue(&settings, JQ_STR("cad")));
    jq_broker_settings_fini(&settings);
}

/* There is no key that nothing looks at: what is not built yet is refused, not ignored. */
static void keys_of_what_is_not_built_are_unknown(void **state) {
    (void)state;
    static const char *const keys[] = {"queue.cad.durability=write"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        struct jq_broker_settings settings = {0};
        struct jq_error error = {0};
        const char *const argv[] = {"jqbroker", "-c", "/dev/null", "--set", keys[i]};
        assert_int_not_equal(load_broker(&settings, 5, argv, &error), JQ_OK);
        assert_non_null(strstr(error.message, "unknown key"));
    }
}

/* Every queue that has a section can be made. */
static void more_queues_than_queues_max_are_refused(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    struct jq_error error = {0};
    const char *const argv[] = {"jqbroker",         "-c",    "/dev/null",       "--set", "limits.queues_max=1", "--set",
                                "queue.a.weight=1", "--set", "queue.b.weight=1"};
    assert_int_equal(load_broker(&settings, 9, argv, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "[limits] queues_max: less than the 2 queues that have a section");
}

/* What single keys allow and together makes no sense, or opens a door, is refused before anything starts. */
static void settings_that_contradict_each_other_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *first;
        const char *second;
        const char *message;
    } cases[] = {
        {"broker.auth=off", "broker.listen_request=tcp://0.0.0.0:7710",
         "[broker] listen_request: tcp://0.0.0.0:7710 is open to other machines: set auth = tokens and tokens_file "
         "first"},
        {"broker.auth=off", "broker.listen_survey=tcp://*:7712",
         "[broker] listen_survey: tcp://*:7712 is open to other machines: set auth = tokens and tokens_file first"},
        {"broker.auth=tokens", "broker.tokens_file=", "[broker] tokens_file: auth = tokens needs one"},
        {"broker.data_dir=", "broker.auth=off", "[broker] data_dir: empty"},
        {"liveness.heartbeat=5s", "liveness.liveness=14s",
         "[liveness] liveness: less than 3 heartbeats: one lost message would kill a worker"},
        {"journal.archive_keep=1d",
         "journal.archive=", "[journal] archive: archive_keep and archive_bytes_max are about this folder"},
        {"journal.archive_command=cp a b", "journal.archive=", "[journal] archive_command: %f, the file, is not in it"},
        {"journal.archive_command=cp %f b%d",
         "journal.archive=", "[journal] archive_command: only %f, %n and %% are known"},
        {"retry.base=1m", "retry.cap=59s", "[retry] cap: less than base"},
        {"broker.auth=off", "broker.durability=memory",
         "[broker] durability: memory: tasks that are not journalled are not supported by this version"},
        {"journal.segment_size=1M", "journal.first_segment_size=2M",
         "[journal] first_segment_size: more than segment_size"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jq_broker_settings settings = {0};
        struct jq_error error = {0};
        const char *const argv[] = {"jqbroker", "-c", "/dev/null", "--set", cases[i].first, "--set", cases[i].second};
        assert_int_not_equal(load_broker(&settings, 7, argv, &error), JQ_OK);
        assert_string_equal(error.message, cases[i].message);
    }
    struct jq_broker_settings settings = {0};
    const char *const argv[] = {"jqbroker", "-c", "/dev/null", "--set", "broker.listen_notice=http://127.0.0.1:1"};
    assert_int_equal(load_broker(&settings, 5, argv, NULL), JQ_ERR_ADDRESS);
}

/* With tokens the broker may listen everywhere; without, on loopback and ipc. */
static void access_decides_where_the_broker_may_listen(void **state) {
    (void)state;
    struct jq_broker_settings settings = {0};
    const char *const open[] = {"jqbroker", "-c", "/dev/null", "--set", "broker.listen_request=tcp://0.0.0.0:7710"};
    assert_int_equal(load_broker(&settings, 5, open, NULL), JQ_OK);
    jq_broker_settings_fini(&settings);
    const char *const closed[] = {"jqbroker", "-c", "/dev/null", "--set", "broker.auth=off"};
    assert_int_equal(load_broker(&settings, 5, closed, NULL), JQ_OK);
    jq_broker_settings_fini(&settings);
}

/* ---- worker ------------------------------------------------------------------------------------------------------ */

static enum jq_err load_worker(struct jq_worker_settings *settings, int argc, const char *const *argv,
                               struct jq_error *reterr) {
    struct jq_conf_args args;
    assert_int_equal(jq_conf_args_parse(argc, argv, &args, NULL), JQ_OK);
    return jq_worker_settings_load(&args, settings, reterr);
}

static char *path_of(const char *file) {
    char *const here = getcwd(NULL, 0);
    char *path = NULL;
    assert_non_null(here);
    assert_true(asprintf(&path, "worker.handlers_dir=%s/%s", here, file) > 0);
    free(here);
    return path;
}

/* The handlers that are shipped parse, and are complete. */
static void the_shipped_handlers_are_good(void **state) {
    (void)state;
    static const char *const names[] = {"cad.drawing",  "cad.interference", "cad.massprops", "cad.param",
                                        "cad.step2stl", "cad.thumbnail",    "cad.variants",  "digest",
                                        "extsort",      "sha256",           "zstd"};
    struct jq_worker_settings settings = {0};
    struct jq_error error = {0};
    char *const assignment = path_of("conf/handlers.d");
    const char *const argv[] = {"jqworker", "-c", "/dev/null", "--set", assignment};
    if (load_worker(&settings, 5, argv, &error) != JQ_OK)
        fail_msg("%s", error.message);
    assert_int_equal(jq_worker_settings_handler_count(&settings), sizeof names / sizeof names[0]);
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        assert_string_equal(jq_worker_settings_handler(&settings, i)->item.name, names[i]);
    const struct jq_handler_settings *const handler =
        jq_worker_settings_find_handler(&settings, JQ_STR("cad.step2stl"));
    assert_int_equal(handler->kind, JQ_HANDLER_FREECAD);
    assert_string_equal(handler->script, "step2stl.py");
    assert_true(handler->hard_limit_ms > handler->soft_limit_ms);
    jq_worker_settings_fini(&settings);
    free(assignment);
}

static void expect_worker_refused(const char *text, const char *message) {
    struct jq_worker_settings settings = {0};
    struct jq_error error = {0};
    assert_int_equal(jq_conf_init(&jq_worker_schema, &settings, NULL), JQ_OK);
    enum jq_err err = jq_conf_read_text(&jq_worker_schema, &settings, "w", jq_str_of(text), &error);
    if (err == JQ_OK)
        err = jq_worker_settings_check(&settings, &error);
    assert_int_not_equal(err, JQ_OK);
    assert_string_equal(error.message, message);
    jq_worker_settings_fini(&settings);
}

/* A handler that could not run, or would do something else than was meant, stops the worker at its start. */
static void handlers_that_cannot_work_are_refused(void **state) {
    (void)state;
    expect_worker_refused("[handler a]\nneed = cpu=1\n", "w:1: [handler a] command: missing");
    expect_worker_refused("[handler a]\ncommand = b\n\n[handler x]\n", "w:4: [handler x] command: missing");
    expect_worker_refused("[fact x]\n", "w:1: [fact x] command: missing");
    expect_worker_refused("[handler a]\nkind = freecad\n", "w:1: [handler a] script: kind = freecad needs one");
    expect_worker_refused("[handler a]\nkind = freecad\nscript = a.py\ncommand = b\n",
                          "w:1: [handler a] command: kind = freecad takes a script instead");
    expect_worker_refused("[handler a]\nscript = a.py\ncommand = b\n",
                          "w:1: [handler a] script: only kind = freecad takes one");
    expect_worker_refused("[handler a]\ncommand = b\nsoft_limit = 2m\nhard_limit = 1m\n",
                          "w:1: [handler a] soft_limit: above hard_limit");
    expect_worker_refused("[handler a]\ncommand = b\nversion =\n", "w:1: [handler a] version: empty");
    expect_worker_refused("[handler a]\ncommand = b\nresult = file\n",
                          "w:1: [handler a] result: result = file, but the command has no {output}");
    expect_worker_refused("[handler a]\ncommand = b -o {output}\n",
                          "w:1: [handler a] result: the command has an {output}: set result = file");
    expect_worker_refused("[handler a]\nkind = freecad\nscript = a.py\nresult = file\n",
                          "w:1: [handler a] result: only kind = exec can give a file");
    expect_worker_refused(
        "[handler a]\nkind = pool\ncommand = b {param.x}\n",
        "w:1: [handler a] command: kind = pool: one process serves many tasks, of which none can be named");
    expect_worker_refused("[handler a]\ncommand = b {output.x}\noutput_files_max = 0\n",
                          "w:1: [handler a] output_files_max: 0, but the command has an {output.NAME}");
    expect_worker_refused("[handler a]\nkind = freecad\nscript = a.py\noutput_files_max = 0\n",
                          "w:1: [handler a] output_files_max: 0, but the scripts of kind = freecad write files");
    expect_worker_refused("[handler a]\nkind = pool\n", "w:1: [handler a] command: missing");
    expect_worker_refused("[handler a]\ncommand = ./b\n",
                          "w:2: [handler a] command: './b' is neither the absolute path nor the name of a program");
    expect_worker_refused(
        "[handler a]\ncommand = {param.program}\n",
        "w:2: [handler a] command: '{param.program}' is neither the absolute path nor the name of a program");
    expect_worker_refused("[handler a]\ncommand = b {ouput}\n",
                          "w:2: [handler a] command: {ouput} is none of {input} {output} {input.NAME} {output.NAME} "
                          "{work_dir} {task} {attempt} {param.NAME}");
    expect_worker_refused(
        "[handler a]\nkind = freecad\nscript = ../a.py\n",
        "w:3: [handler a] script: '../a.py' is neither a file name nor an absolute path of a .py file");
    expect_worker_refused("[handler a]\nneed = cpu=x\n",
                          "w:2: [handler a] need: need: column 5: quantity of cpu: not a number");
    expect_worker_refused("[handler a]\nneed = a|b|c\n",
                          "w:2: [handler a] need: 3 alternatives, a handler has at most 2");
    expect_worker_refused("[handler a]\nenv = \"A B=c\"\n", "w:2: [handler a] env: 'A B=c' is not written NAME=value");
    expect_worker_refused("[handler a]\nversion = 1 2\n",
                          "w:2: [handler a] version: blanks and what is not ASCII cannot be part of a version");
    expect_worker_refused("[handler A]\nneed = cpu=1\n", "w:1: [handler A]: a name is 1 to 64 of a-z 0-9 _ . -");
}

/* The same for the worker's own keys. */
static void worker_keys_that_cannot_work_are_refused(void **state) {
    (void)state;
    expect_worker_refused("[worker]\nname = My/Host\n",
                          "w:2: [worker] name: 'My/Host' is no name (1 to 64 of a-z 0-9 _ . -)");
    expect_worker_refused("[worker]\noffers = cpu=two\n",
                          "w:2: [worker] offers: offers: column 5: quantity of cpu: not a number");
    expect_worker_refused("[worker]\noffers = slots=2\n", "w:2: [worker] offers: offers: slots is a key of its own");
    expect_worker_refused("[worker]\nfacts = os\n",
                          "w:2: [worker] facts: facts: column 3: '=' and a value are to follow os");
    expect_worker_refused("[worker]\ncgroup = some\n",
                          "w:2: [worker] cgroup: 'some' is neither auto nor none nor an absolute path");
    expect_worker_refused("[worker]\nrun_as = a b\n", "w:2: [worker] run_as: 'a b' is no user name");
    expect_worker_refused("[worker]\nrequest =\n", "[worker] request: empty");
    expect_worker_refused("[worker]\nslots = 2\nslots_max = 4\n",
                          "[worker] slots_max: with it goes no slots, and no larger slots_min");
    expect_worker_refused("[worker]\nslots_min = 5\nslots_max = 4\n",
                          "[worker] slots_max: with it goes no slots, and no larger slots_min");
    expect_worker_refused("[worker]\ndoorbell = next door\n",
                          "w:2: [worker] doorbell: next door: not an address: use tcp://HOST:PORT or ipc:///PATH");
    expect_worker_refused("[fact zone]\ntimeout = 1s\n", "w:1: [fact zone] command: missing");
    expect_worker_refused("[handlr a]\n", "w:1: [handlr]: unknown section, did you mean [handler]?");
}

static void expect_offers(const char *text, int64_t slots, const char *expected) {
    char offers[256];
    char out[256];
    struct jq_offers built;
    struct jq_error error = {0};
    assert_true(snprintf(offers, sizeof offers, "%s", text) < (int)sizeof offers);
    const struct jq_worker_settings settings = {.offers = offers, .slots = slots};
    if (jq_worker_settings_offers(&settings, 4, UINT64_C(8) << 30, &built, &error) != JQ_OK)
        fail_msg("%s", error.message);
    jq_offers_format(&built, out, sizeof out);
    assert_string_equal(out, expected);
    jq_offers_fini(&built);
}

/* `auto` is what was found; what is written beside it counts; slots are always there. */
static void offers_are_found_or_given(void **state) {
    (void)state;
    expect_offers("auto", 0, "cpu=4 mem=8G slots=4");
    expect_offers("auto freecad=1 memory=2G", 3, "cpu=4 freecad=1 mem=2G slots=3");
    expect_offers("cpu=1", 0, "cpu=1 slots=4");
    expect_offers("gpu=[0,1]  auto", 1, "cpu=4 gpu=[0,1] mem=8G slots=1");
}

/* A folder of handlers that was named must be there; the standard one need not. */
static void a_named_folder_of_handlers_must_exist(void **state) {
    (void)state;
    struct jq_worker_settings settings = {0};
    struct jq_error error = {0};
    const char *const argv[] = {"jqworker", "-c", "/dev/null", "--set", "worker.handlers_dir=/nonexistent/handlers.d"};
    assert_int_equal(load_worker(&settings, 5, argv, &error), JQ_ERR_NOT_FOUND);
    assert_non_null(strstr(error.message, "/nonexistent/handlers.d: "));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(samples_in_conf_are_what_the_programs_print),
        cmocka_unit_test(every_line_of_a_sample_can_be_taken_out_of_its_comment),
        cmocka_unit_test(the_brokers_defaults_stand),
        cmocka_unit_test(a_queue_has_its_own_section),
        cmocka_unit_test(keys_of_what_is_not_built_are_unknown),
        cmocka_unit_test(more_queues_than_queues_max_are_refused),
        cmocka_unit_test(settings_that_contradict_each_other_are_refused),
        cmocka_unit_test(access_decides_where_the_broker_may_listen),
        cmocka_unit_test(the_shipped_handlers_are_good),
        cmocka_unit_test(handlers_that_cannot_work_are_refused),
        cmocka_unit_test(worker_keys_that_cannot_work_are_refused),
        cmocka_unit_test(offers_are_found_or_given),
        cmocka_unit_test(a_named_folder_of_handlers_must_exist),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
