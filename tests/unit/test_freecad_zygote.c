/* The worker's side of a zygote, with the true runner.py in a plain python3 (tests/e2e/test_freecad.py has it in FreeCAD), and with
 * false ones. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"
#include "worker/freecad/zygote.h"

#include <errno.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct stage {
    struct exec_bed bed;
    struct jq_zygote *zygote;
    char script[128];
    const char *output_dir;
    struct jq_offers units;
};

static const char *cgroup_root;
static char runner[PATH_MAX];

/* On a busy machine a zygote may be slow to start and to answer; only the test that waits for its silence is impatient. */
enum { START_MS = 60000, PING_MS = 60000, PING_IMPATIENT_MS = 2000 };

static struct jq_zygote *make_impatient(struct stage *stage, const char *const *command, const char *path,
                                        int64_t ping_ms) {
    const struct jq_zygote_config config = {.name = "zygote",
                                            .command = command,
                                            .runner = path,
                                            .start_ms = START_MS,
                                            .ping_ms = ping_ms,
                                            .ping_interval_ms = 100};
    struct jq_zygote *zygote = NULL;
    assert_int_equal(jq_zygote_new(stage->bed.host, &config, &zygote, NULL), JQ_OK);
    return zygote;
}

static struct jq_zygote *make_zygote(struct stage *stage, const char *const *command, const char *path) {
    return make_impatient(stage, command, path, PING_MS);
}

static const char *const python[] = {"python3", "{runner}", NULL};

static int set_up(void **state) {
    static struct stage stage;
    stage = (struct stage){.bed = exec_bed_make(cgroup_root)};
    (void)snprintf(stage.script, sizeof(stage.script), "%s/handler.py", stage.bed.dir);
    stage.zygote = make_zygote(&stage, python, runner);
    *state = &stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    jq_zygote_free(stage->zygote, jq_clock_boot_ms());
    for (int i = 0; i < 1000 && jq_exec_host_count(stage->bed.host) > 0; i++) {
        exec_bed_serve(&stage->bed, 20);
        jq_exec_child_free(jq_exec_host_next_done(stage->bed.host));
    }
    exec_bed_remove(&stage->bed);
    return 0;
}

/* At once, as whoever installs a handler should: a task may be about to read the old one. */
static void write_script(const char *path, const char *text) {
    char fresh[160];
    (void)snprintf(fresh, sizeof(fresh), "%s.new", path);
    FILE *file = fopen(fresh, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(rename(fresh, path), 0);
}

static struct jq_exec_child *start_in(struct stage *stage, const struct jq_exec_spec *spec, const char *script) {
    struct jq_zygote_order order = {
        .spec = *spec, .script = stage->script, .output_dir = stage->output_dir, .units = &stage->units};
    order.spec.reply = true;
    order.spec.task.value = spec->task.value != 0 ? spec->task.value : 21;
    order.spec.attempt = 1;
    write_script(stage->script, script);
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    if (jq_zygote_run(stage->zygote, &order, jq_clock_boot_ms(), &child, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return child;
}

static struct jq_exec_child *run_in(struct stage *stage, const struct jq_exec_spec *spec, const char *script) {
    struct jq_exec_child *started = start_in(stage, spec, script);
    assert_ptr_equal(exec_bed_wait(&stage->bed), started);
    return started;
}

static void expect_result(struct stage *stage, const char *script, const char *result) {
    const struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = run_in(stage, &spec, script);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_string_equal(outcome->message, "");
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    assert_int_equal(outcome->result.size, strlen(result));
    assert_memory_equal(outcome->result.data, result, strlen(result));
    jq_exec_child_free(child);
}

static void expect_told(struct jq_exec_child *child, const char *result) {
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    assert_int_equal(outcome->result.size, strlen(result));
    assert_memory_equal(outcome->result.data, result, strlen(result));
    jq_exec_child_free(child);
}

/* A handler is told which units of an offer like gpu=[0,1] are its own; without any it is told none. */
static void handler_knows_its_units(void **state) {
    struct stage *stage = *state;
    const char *script = "def run(params, ctx):\n    return ctx.units\n";
    const struct jq_exec_spec spec = {.attempt = 1};
    expect_told(run_in(stage, &spec, script), "{}");
    assert_int_equal(jq_offers_parse(JQ_STR("gpu=[3,1] seat=[0]"), &stage->units, NULL), JQ_OK);
    expect_told(run_in(stage, &spec, script), "{\"gpu\":[3,1],\"seat\":[0]}");
    jq_offers_fini(&stage->units);
}

static struct jq_zygote_status status_of(const struct stage *stage) {
    struct jq_zygote_status status;
    jq_zygote_status(stage->zygote, jq_clock_boot_ms(), &status);
    return status;
}

/* A handler gets its parameters, works in a directory of its own, says progress, and its value is the result. What it prints is kept
 * apart. */
static void handler_runs_in_a_fork_of_the_zygote(void **state) {
    struct stage *stage = *state;
    const char *payload = "{\"side\": 3, \"unit\": \"mm\"}";
    const struct jq_exec_spec spec = {.payload = {(const uint8_t *)payload, strlen(payload)}};
    struct jq_exec_child *child =
        run_in(stage, &spec,
               "import os, sys\n"
               "def run(params, ctx):\n"
               "    print('noise'); print('more', file=sys.stderr)\n"
               "    ctx.progress(0.25, 'a quarter')\n"
               "    assert os.path.samefile('.', ctx.work_dir) and os.listdir('.') == []\n"
               "    assert os.getsid(0) == os.getpid() and sys.stdin.read() == ''\n"
               "    assert sorted(map(int, os.listdir('/proc/self/fd')))[:4] == [0, 1, 2, 3]\n"
               "    assert len(os.listdir('/proc/self/fd')) == 5\n"
               "    return {'volume': params['side'] ** 3, 'task': ctx.task}\n");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_string_equal(outcome->message, "");
    assert_int_equal(outcome->result.size, 25);
    assert_memory_equal(outcome->result.data, "{\"volume\":27,\"task\":\"21\"}", 25);
    assert_memory_equal(outcome->stdout_tail.data, "noise\n", 6);
    assert_memory_equal(outcome->stderr_tail.data, "more\n", 5);
    const char *text = NULL;
    assert_int_equal(jq_exec_child_progress(child, &text), 250);
    assert_string_equal(text, "a quarter");
    jq_exec_child_free(child);
}

/* One zygote serves many tasks, two at a time: it is the parent of them all. */
static void tasks_share_one_zygote(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec first = {.task = {1}};
    const struct jq_exec_spec second = {.task = {2}};
    const char *script = "import os\ndef run(params, ctx):\n    return os.getppid()\n";
    for (int i = 0; i < 5; i++) {
        (void)start_in(stage, &first, script);
        (void)start_in(stage, &second, script);
        for (int k = 0; k < 2; k++) {
            struct jq_exec_child *child = exec_bed_wait(&stage->bed);
            char pid[32];
            (void)snprintf(pid, sizeof(pid), "%lld", (long long)status_of(stage).pid);
            assert_int_equal(jq_exec_child_outcome(child)->result.size, strlen(pid));
            assert_memory_equal(jq_exec_child_outcome(child)->result.data, pid, strlen(pid));
            jq_exec_child_free(child);
        }
    }
    assert_int_equal(status_of(stage).restarts, 0);
}

/* What a task changes of its process (modules, environment, search path, folder, limits) is changed in its fork alone. */
static void changed_global_state_does_not_reach_the_next_task(void **state) {
    struct stage *stage = *state;
    expect_result(stage,
                  "import builtins, json, os, resource, sys\n"
                  "def run(params, ctx):\n"
                  "    json.changed = builtins.changed = True\n"
                  "    os.environ['CHANGED'] = 'yes'\n"
                  "    sys.path.append('/changed')\n"
                  "    sys.modules['changed'] = json\n"
                  "    os.chdir('/')\n"
                  "    os.umask(0)\n"
                  "    resource.setrlimit(resource.RLIMIT_NOFILE, (32, 32))\n"
                  "    return 'changed'\n",
                  "\"changed\"");
    expect_result(
        stage,
        "import builtins, json, os, resource, sys\n"
        "def run(params, ctx):\n"
        "    return [hasattr(json, 'changed'), hasattr(builtins, 'changed'), 'CHANGED' in os.environ,\n"
        "            '/changed' in sys.path, 'changed' in sys.modules, os.getcwd() == '/', os.umask(0) == 0,\n"
        "            resource.getrlimit(resource.RLIMIT_NOFILE)[0] == 32]\n",
        "[false,false,false,false,false,false,false,false]");
}

/* The payload may also be msgpack, as the protocol has it by custom: every kind of value arrives. */
static void payload_may_be_msgpack(void **state) {
    struct stage *stage = *state;
    static const uint8_t payload[] = "\x86\xa1"
                                     "a\x05\xa1"
                                     "b\xff\xa1"
                                     "c\xcb\x3f\xf8\0\0\0\0\0\0\xa1"
                                     "d\x93\xc0\xc2\xc3\xa1"
                                     "e\xd9\x02\xc3\xa4\xa1"
                                     "f\xd1\xff\x38";
    const struct jq_exec_spec spec = {.payload = {payload, sizeof(payload) - 1}};
    struct jq_exec_child *child = run_in(stage, &spec,
                                         "def run(params, ctx):\n"
                                         "    assert params == {'a': 5, 'b': -1, 'c': 1.5, 'd': [None, False, True], "
                                         "'e': '\\u00e4', 'f': -200}, params\n");
    assert_string_equal(jq_exec_child_outcome(child)->message, "");
    jq_exec_child_free(child);
}

static const struct {
    const char *script;
    enum jq_outcome outcome;
    bool crash;
    const char *message;
} ends[] = {
    {"def run(params, ctx):\n    raise ValueError('odd\\nmodel')\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "ValueError: odd model"},
    {"import jqmesh\ndef run(params, ctx):\n    raise jqmesh.InvalidInput('no solid')\n", JQ_OUTCOME_INVALID_INPUT,
     false, "no solid"},
    {"import jqmesh\ndef run(params, ctx):\n    raise jqmesh.ResourceExhausted('disk')\n",
     JQ_OUTCOME_RESOURCE_EXHAUSTED, false, "disk"},
    {"import jqmesh\ndef run(params, ctx):\n    raise jqmesh.NetworkError('erp', 'silent')\n", JQ_OUTCOME_NETWORK,
     false, "silent"},
    {"import sys\ndef run(params, ctx):\n    sys.exit(3)\n", JQ_OUTCOME_PROCESS_FAILURE, false, "exit 3"},
    {"import sys\ndef run(params, ctx):\n    sys.exit()\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "exit 0 without a result"},
    {"import os\ndef run(params, ctx):\n    os._exit(0)\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "exit 0 without a result"},
    {"import ctypes\ndef run(params, ctx):\n    ctypes.string_at(0)\n", JQ_OUTCOME_PROCESS_FAILURE, true,
     "signal 11 (SIGSEGV)"},
    {"import os\ndef run(params, ctx):\n    os.abort()\n", JQ_OUTCOME_PROCESS_FAILURE, true, "signal 6 (SIGABRT)"},
    {"def run(params, ctx):\n    return run(params, ctx)\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "RecursionError: maximum recursion depth exceeded"},
    {"def run(params, ctx):\n    return float('nan')\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "result cannot be encoded as JSON: Out of range float values are not JSON compliant"},
    {"def run(params, ctx):\n    return {1, 2}\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "result cannot be encoded as JSON: Object of type set is not JSON serializable"},
    {"def run(params, ctx):\n    return 'x' * 50000000\n", JQ_OUTCOME_PROCESS_FAILURE, false,
     "result has 50000002 bytes, at most 49152 are kept"},
    {"x = 1\n", JQ_OUTCOME_PROCESS_FAILURE, false, "AttributeError: module 'jq_handler' has no attribute 'run'"},
    {"import os\ndef run(params, ctx):\n    os.write(500, b'\\xff\\xff\\xff\\xff'); return 1\n",
     JQ_OUTCOME_PROCESS_FAILURE, false, "garbled reply: frame larger than 1 MiB"},
    {"import os, signal\ndef run(params, ctx):\n    os.kill(os.getpid(), signal.SIGTERM)\n", JQ_OUTCOME_PROCESS_FAILURE,
     true, "signal 15 (SIGTERM)"},
};

/* Every way in which a handler can end has its own clear outcome, and the zygote goes on. */
static void every_end_is_clear_and_the_zygote_lives(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.attempt = 1};
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        struct jq_exec_child *child = run_in(stage, &spec, ends[i].script);
        const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
        assert_string_equal(outcome->message, ends[i].message);
        assert_int_equal(outcome->verdict.outcome, ends[i].outcome);
        assert_int_equal(outcome->verdict.crash, ends[i].crash);
        jq_exec_child_free(child);
    }
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1");
    assert_int_equal(status_of(stage).restarts, 0);
}

/* A script that does not compile, or is not there, says so. */
static void script_that_does_not_compile_is_named(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = run_in(stage, &spec, "def run(params, ctx:\n");
    assert_non_null(strstr(jq_exec_child_outcome(child)->message, "handler.py: '(' was never closed"));
    jq_exec_child_free(child);
}

/* Payloads that are no map are the task's fault, for good. */
static void payload_that_is_no_map_is_invalid_input(void **state) {
    struct stage *stage = *state;
    static const struct {
        const char *payload;
        const char *message;
    } bad[] = {
        {"{\"a\":", "payload is neither JSON nor msgpack: Expecting value: line 1 column 6 (char 5)"},
        {"\x81\xa1", "payload is neither JSON nor msgpack: cut short"},
        {"\xdf\xff\xff\xff\xff", "payload is neither JSON nor msgpack: cut short"},
        {"\x91\x91\x91\x91\x91\x91\x91\x91\x91\x91\x01", "payload is neither JSON nor msgpack: too deep"},
        {"\x01", "payload is no map"},
        {"\x01\x01", "payload is neither JSON nor msgpack: bytes left over"},
        {"\xc1", "payload is neither JSON nor msgpack: unknown type 0xc1"},
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        const struct jq_exec_spec spec = {.payload = {(const uint8_t *)bad[i].payload, strlen(bad[i].payload)}};
        struct jq_exec_child *child = run_in(stage, &spec, "def run(params, ctx):\n    return 1\n");
        assert_string_equal(jq_exec_child_outcome(child)->message, bad[i].message);
        assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_INVALID_INPUT);
        jq_exec_child_free(child);
    }
}

/* An endless loop ends at its soft limit; a task that ignores SIGTERM, asleep in a library, at its hard one. The zygote's own pings
 * go on meanwhile. */
static void endless_loop_ends_at_its_limit(void **state) {
    enum { HOUR_MS = 3600 * 1000 };
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.soft_limit_ms = HOUR_MS, .hard_limit_ms = 2 * HOUR_MS};
    static const char *const bodies[] = {"    while True: pass\n", "    time.sleep(100)\n"};
    for (int deaf = 0; deaf < 2; deaf++) {
        char script[512];
        (void)snprintf(script, sizeof(script),
                       "import signal, time\ndef run(params, ctx):\n"
                       "    signal.signal(signal.SIGTERM, signal.%s)\n    open('%s/up%d', 'w').close()\n%s",
                       deaf != 0 ? "SIG_IGN" : "SIG_DFL", stage->bed.dir, deaf, bodies[deaf]);
        struct jq_exec_child *child = start_in(stage, &spec, script);
        exec_bed_wait_for_file(&stage->bed, deaf != 0 ? "up1" : "up0");
        exec_bed_wait_for_start(&stage->bed,
                                child); /* The time of its limits runs from when the zygote has told of it. */
        const int64_t started_ahead_ms = stage->bed.ahead_ms;
        stage->bed.ahead_ms = started_ahead_ms + HOUR_MS;
        exec_bed_serve(&stage->bed, 100);
        stage->bed.ahead_ms += deaf * HOUR_MS;
        assert_ptr_equal(exec_bed_wait(&stage->bed), child);
        assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_TIMEOUT);
        assert_int_equal(jq_exec_child_outcome(child)->verdict.crash, deaf != 0);
        jq_exec_child_free(child);
    }
}

/* The memory that a task reserved is its limit here too; the zygote's own pages do not count as the task's. */
static void memory_over_the_reservation_kills_the_task_only(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.memory_bytes_max = 80 << 20};
    struct jq_exec_child *child =
        run_in(stage, &spec, "import time\ndef run(params, ctx):\n    x = bytearray(400 << 20)\n    time.sleep(100)\n");
    assert_string_equal(jq_exec_child_outcome(child)->message, "over its memory reservation");
    assert_true(jq_exec_child_outcome(child)->verdict.crash);
    jq_exec_child_free(child);
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1");
    assert_int_equal(status_of(stage).restarts, 0);
}

/* What a handler starts ends with it. */
static void children_of_a_handler_end_with_it(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = run_in(stage, &spec,
                                         "import os, subprocess\n"
                                         "def run(params, ctx):\n"
                                         "    return subprocess.Popen(['setsid', 'sleep', '100']).pid\n");
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_SUCCESS);
    char pid[16] = "";
    memcpy(pid, outcome->result.data, outcome->result.size < 15 ? outcome->result.size : 15);
    assert_int_equal(kill((pid_t)strtol(pid, NULL, 10), 0), -1);
    assert_int_equal(errno, ESRCH);
    jq_exec_child_free(child);
}

/* A task can be cancelled before its zygote has even started. */
static void cancel_before_the_zygote_is_up(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = start_in(stage, &spec, "import time\ndef run(params, ctx):\n    time.sleep(100)\n");
    jq_exec_kill(child, JQ_EXEC_REASON_CANCEL, 1000, jq_clock_boot_ms());
    assert_ptr_equal(exec_bed_wait(&stage->bed), child);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_CANCELLED);
    jq_exec_child_free(child);
}

static struct jq_exec_child *start_sleeper(struct stage *stage) {
    const struct jq_exec_spec spec = {.attempt = 1};
    char script[256];
    (void)snprintf(script, sizeof(script),
                   "import time\ndef run(params, ctx):\n    open('%s/up', 'w').close()\n    time.sleep(100)\n",
                   stage->bed.dir);
    struct jq_exec_child *child = start_in(stage, &spec, script);
    exec_bed_wait_for_file(&stage->bed, "up");
    return child;
}

/* A zygote that dies takes its tasks with it, which is no fault of theirs; the next one is started. */
static void death_of_the_zygote_is_not_the_tasks_fault(void **state) {
    struct stage *stage = *state;
    struct jq_exec_child *child = start_sleeper(stage);
    assert_int_equal(kill((pid_t)status_of(stage).pid, SIGKILL), 0);
    assert_ptr_equal(exec_bed_wait(&stage->bed), child);
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(child);
    assert_int_equal(outcome->verdict.outcome, JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_false(outcome->verdict.crash);
    assert_string_equal(outcome->message, "its zygote ended");
    jq_exec_child_free(child);
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1");
    assert_int_equal(status_of(stage).restarts, 1);
    assert_non_null(strstr(status_of(stage).last_error, "signal 9 (SIGKILL)"));
}

/* One that gives no sign of life is replaced. */
static void silent_zygote_is_replaced(void **state) {
    struct stage *stage = *state;
    jq_zygote_free(stage->zygote, jq_clock_boot_ms());
    stage->zygote = make_impatient(stage, python, runner, PING_IMPATIENT_MS);
    struct jq_exec_child *child = start_sleeper(stage);
    assert_int_equal(kill((pid_t)status_of(stage).pid, SIGSTOP), 0);
    assert_ptr_equal(exec_bed_wait(&stage->bed), child);
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_string_equal(status_of(stage).last_error, "no answer to a ping within 2000 ms");
    jq_exec_child_free(child);
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1");
}

/* A renewed zygote finishes what it runs; a task that comes meanwhile waits for the next one. */
static void retired_zygote_finishes_first(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_spec spec = {.task = {8}};
    const struct jq_exec_spec later = {.task = {9}};
    const char *slow = "import os, time\ndef run(params, ctx):\n    time.sleep(0.2)\n    return os.getppid()\n";
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1");
    const int64_t before = status_of(stage).pid;
    (void)start_in(stage, &spec, slow);
    jq_zygote_retire(stage->zygote, jq_clock_boot_ms());
    (void)start_in(stage, &later, slow);
    int64_t parents[2];
    for (int i = 0; i < 2; i++) {
        struct jq_exec_child *child = exec_bed_wait(&stage->bed);
        char text[16] = "";
        assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_SUCCESS);
        memcpy(text, jq_exec_child_outcome(child)->result.data, jq_exec_child_outcome(child)->result.size);
        parents[i] = strtol(text, NULL, 10);
        jq_exec_child_free(child);
    }
    assert_int_equal(parents[0], before);
    assert_int_not_equal(parents[1], before);
}

/* A zygote with a second thread must not fork: it refuses, and is replaced. */
static void zygote_with_a_thread_does_not_fork(void **state) {
    struct stage *stage = *state;
    static const char *const command[] = {
        "python3", "-c",
        "import threading, os\n"
        "hook = lambda: threading.Thread(target=threading.Event().wait, daemon=True).start()\n"
        "os.register_at_fork(after_in_parent=hook)\n"
        "exec(open('{runner}').read())",
        NULL};
    jq_zygote_free(stage->zygote, jq_clock_boot_ms());
    stage->zygote = make_zygote(stage, command, runner);
    expect_result(stage, "def run(params, ctx):\n    return 1\n", "1"); /* its fork made the thread */
    const struct jq_exec_spec spec = {.attempt = 1};
    struct jq_exec_child *child = run_in(stage, &spec, "def run(params, ctx):\n    return 2\n");
    assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_RESOURCE_EXHAUSTED);
    assert_string_equal(jq_exec_child_outcome(child)->message, "refused by its zygote: 2 threads in the zygote");
    jq_exec_child_free(child);
    expect_result(stage, "def run(params, ctx):\n    return 3\n", "3");
    assert_int_equal(status_of(stage).restarts, 1);
}

static const struct {
    const char *const command[4];
    const char *message;
} broken[] = {
    {{"no-such-freecad", NULL}, "command not found in PATH: no-such-freecad"},
    {{"/bin/sh", "-c", "echo libOCC.so: not found >&2; exit 127", NULL}, "ended: exit 127: libOCC.so: not found"},
    {{"/bin/sh", "-c", "exit 0", NULL}, "ended: exit 0"},
    {{"/bin/sh", "-c", "echo garbage >&3; sleep 100", NULL}, "zygote: "},
    {{"/bin/sh", "-c", "printf '{\"op\":\"exit\",\"id\":7}' >&3; sleep 100", NULL},
     "told the end of what it had not started"},
    {{"/bin/sh", "-c", "printf '{\"op\":\"hello\",\"threads\":3}' >&3; sleep 100", NULL},
     "has 3 threads after its start, must have 1"},
};

/* A FreeCAD that is missing or broken is named in one line; its tasks go back to the queue, and further ones are refused for a while. */
static void broken_zygote_is_named(void **state) {
    struct stage *stage = *state;
    for (size_t i = 0; i < sizeof(broken) / sizeof(broken[0]); i++) {
        jq_zygote_free(stage->zygote, jq_clock_boot_ms());
        stage->zygote = make_zygote(stage, broken[i].command, runner);
        struct jq_zygote_order order = {.spec = {.task = {30}, .attempt = 1, .reply = true}, .script = stage->script};
        struct jq_exec_child *child = NULL;
        if (jq_zygote_run(stage->zygote, &order, jq_clock_boot_ms(), &child, NULL) == JQ_OK) {
            assert_ptr_equal(exec_bed_wait(&stage->bed), child);
            assert_int_equal(jq_exec_child_outcome(child)->verdict.outcome, JQ_OUTCOME_RESOURCE_EXHAUSTED);
            jq_exec_child_free(child);
        }
        assert_int_equal(status_of(stage).state, JQ_ZYGOTE_FAILED);
        assert_non_null(strstr(status_of(stage).last_error, broken[i].message));
        struct jq_error error;
        assert_int_equal(jq_zygote_run(stage->zygote, &order, jq_clock_boot_ms(), &child, &error), JQ_ERR_UNAVAILABLE);
        assert_non_null(strstr(error.message, broken[i].message));
    }
}

#define BOTH(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        BOTH(handler_runs_in_a_fork_of_the_zygote),
        BOTH(handler_knows_its_units),
        BOTH(tasks_share_one_zygote),
        BOTH(changed_global_state_does_not_reach_the_next_task),
        BOTH(payload_may_be_msgpack),
        BOTH(every_end_is_clear_and_the_zygote_lives),
        BOTH(script_that_does_not_compile_is_named),
        BOTH(payload_that_is_no_map_is_invalid_input),
        BOTH(endless_loop_ends_at_its_limit),
        BOTH(memory_over_the_reservation_kills_the_task_only),
        BOTH(children_of_a_handler_end_with_it),
        BOTH(cancel_before_the_zygote_is_up),
        BOTH(death_of_the_zygote_is_not_the_tasks_fault),
        BOTH(silent_zygote_is_replaced),
        BOTH(retired_zygote_finishes_first),
        BOTH(zygote_with_a_thread_does_not_fork),
        BOTH(broken_zygote_is_named),
    };
    if (realpath("worker/freecad/runner.py", runner) == NULL) {
        (void)fprintf(stderr, "run this from the root of the tree: worker/freecad/runner.py not found\n");
        return 1;
    }
    cgroup_root = NULL;
    const int with_cgroups = cmocka_run_group_tests_name("cgroups of this machine", tests, NULL, NULL);
    cgroup_root = "none";
    return with_cgroups + cmocka_run_group_tests_name("no cgroups", tests, NULL, NULL);
}
