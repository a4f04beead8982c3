/* Warm processes: the stock Python runner, and processes that break every rule; with the cgroups of this machine, and, where that makes a
 * difference, without. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"
#include "worker/pool/pool.h"

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

enum { SERVE_MS_MAX = 20000, HOUR_MS = 3600 * 1000 };

static const char *cgroup_root;
static char runner[PATH_MAX];

struct stage {
    struct exec_bed bed;
    struct jq_pool *pool;
    struct jq_pool_config config;
    char script[128];
    char outputs[128];
    const char *argv[8];
    const char *env[2];
    char variable[96];
    uint64_t next_task;

    /* The last end. */
    unsigned ends;
    struct jq_exec_verdict verdict;
    char result[512];
    char message[256];
    char err[4096];
    char out[256];
    char output[PATH_MAX];
    uint64_t peak_bytes;
    int32_t progress_permille;
    unsigned losses;
    char why[256];
};

static void copy(char *place, size_t size, struct jq_bytes bytes) {
    const size_t kept = bytes.size < size ? bytes.size : size - 1;
    memcpy(place, bytes.data != NULL ? bytes.data : (const uint8_t *)"", kept);
    place[kept] = '\0';
}

static void on_ended(void *ctx, const struct jq_pool_end *end) {
    struct stage *stage = ctx;
    const struct jq_exec_outcome *outcome = jq_exec_child_outcome(end->child);
    stage->ends++;
    stage->verdict = outcome->verdict;
    const char *text = NULL;
    stage->peak_bytes = outcome->memory_peak_bytes;
    stage->progress_permille = jq_exec_child_progress(end->child, &text);
    copy(stage->result, sizeof(stage->result), outcome->result);
    copy(stage->err, sizeof(stage->err), outcome->stderr_tail);
    copy(stage->out, sizeof(stage->out), outcome->stdout_tail);
    (void)snprintf(stage->message, sizeof(stage->message), "%s", outcome->message);
    (void)snprintf(stage->output, sizeof(stage->output), "%s", end->output);
    assert_ptr_equal(end->owner, stage);
}

static void on_lost(void *ctx, const char *name, const char *why) {
    struct stage *stage = ctx;
    assert_string_equal(name, "h");
    stage->losses++;
    (void)snprintf(stage->why, sizeof(stage->why), "%s", why);
}

static int set_up(void **state) {
    static struct stage stage;
    stage = (struct stage){.bed = exec_bed_make(cgroup_root), .next_task = 100};
    (void)snprintf(stage.script, sizeof(stage.script), "%s/handler.py", stage.bed.dir);
    (void)snprintf(stage.outputs, sizeof(stage.outputs), "%s/outputs", stage.bed.dir);
    (void)snprintf(stage.variable, sizeof(stage.variable), "BED=%s", stage.bed.dir);
    assert_int_equal(mkdir(stage.outputs, 0755), 0);
    stage.env[0] = stage.variable;
    stage.config = (struct jq_pool_config){.name = "h",
                                           .output_dir = stage.outputs,
                                           .spec = {.argv = stage.argv, .env = stage.env},
                                           .ctx = &stage,
                                           .on_ended = on_ended,
                                           .on_lost = on_lost};
    *state = &stage;
    return 0;
}

static int tear_down(void **state) {
    struct stage *stage = *state;
    jq_pool_free(stage->pool, jq_clock_boot_ms());
    for (int i = 0; i < 1000 && jq_exec_host_count(stage->bed.host) > 0; i++) {
        exec_bed_serve(&stage->bed, 20);
    }
    exec_bed_remove(&stage->bed);
    return 0;
}

/* The pool's process is python3 on the stock runner and this handler. */
static void open_python(struct stage *stage, const char *handler) {
    FILE *file = fopen(stage->script, "w");
    assert_non_null(file);
    assert_true(fputs(handler, file) >= 0);
    assert_int_equal(fclose(file), 0);
    const char *const words[] = {"python3", "-S", runner, stage->script, NULL};
    memcpy((void *)stage->argv, (const void *)words, sizeof(words));
    assert_int_equal(jq_pool_new(stage->bed.host, &stage->config, &stage->pool, NULL), JQ_OK);
}

/* The pool's process is this program in Python, which speaks the protocol itself, or not. */
static void open_raw(struct stage *stage, const char *program) {
    static char text[2048];
    (void)snprintf(text, sizeof(text),
                   "import os,json,struct,sys,time,signal\n"
                   "def say(b): os.write(3, struct.pack('<I', len(b)) + b)\n"
                   "def hear():\n"
                   "    n = struct.unpack('<I', os.read(3, 4))[0]\n"
                   "    b = b''\n"
                   "    while len(b) < n: b += os.read(3, n - len(b))\n"
                   "    return json.loads(b)\n"
                   "%s",
                   program);
    const char *const words[] = {"python3", "-IS", "-c", text, NULL};
    memcpy((void *)stage->argv, (const void *)words, sizeof(words));
    assert_int_equal(jq_pool_new(stage->bed.host, &stage->config, &stage->pool, NULL), JQ_OK);
}

#define READY "say(b'{\"type\":\"ready\"}')\n"

static struct jq_exec_child *begin_with(struct stage *stage, struct jq_exec_turn turn, const char *payload) {
    struct jq_pool_task task = {
        .owner = stage, .turn = turn, .queue = "default", .payload = {(const uint8_t *)payload, strlen(payload)}};
    task.turn.task.value = stage->next_task++;
    task.turn.attempt = 1;
    task.turn.grace_ms = 5000;
    struct jq_exec_child *child = NULL;
    struct jq_error error;
    const int64_t now_ms = jq_clock_boot_ms() + stage->bed.ahead_ms;
    if (jq_pool_run(stage->pool, &task, now_ms, &child, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    return child;
}

static void wait_for_end(struct stage *stage, unsigned ends) {
    const int64_t start_ms = jq_clock_boot_ms();
    while (stage->ends < ends) {
        if (jq_clock_boot_ms() - start_ms > SERVE_MS_MAX) {
            fail_msg("no end of a task within %d ms", SERVE_MS_MAX);
        }
        exec_bed_serve(&stage->bed, SERVE_MS_MAX);
    }
}

static void run_with(struct stage *stage, struct jq_exec_turn turn, const char *payload) {
    const unsigned ends = stage->ends;
    (void)begin_with(stage, turn, payload);
    wait_for_end(stage, ends + 1);
}

static void run(struct stage *stage, const char *payload) {
    run_with(stage, (struct jq_exec_turn){.task = {0}}, payload);
}

static void expect(const struct stage *stage, enum jq_outcome outcome, const char *text) {
    const char *found = outcome == JQ_OUTCOME_SUCCESS ? stage->result : stage->message;
    if (stage->verdict.outcome != outcome || strstr(found, text) == NULL) {
        fail_msg("outcome %s, '%s', stderr %s", jq_outcome_name(stage->verdict.outcome), found, stage->err);
    }
}

static unsigned starts(const struct stage *stage) {
    return jq_pool_status(stage->pool).starts;
}

/* Serves until a process rests: the next task finds it warm. */
static void wait_for_rest(struct stage *stage) {
    const int64_t start_ms = jq_clock_boot_ms();
    while (jq_pool_status(stage->pool).resting == 0) {
        if (jq_clock_boot_ms() - start_ms > SERVE_MS_MAX) {
            fail_msg("no process rests within %d ms", SERVE_MS_MAX);
        }
        exec_bed_serve(&stage->bed, SERVE_MS_MAX);
    }
}

/* ---- what a good one does ---- */

/* One process serves task after task; what it remembers stays, what it wrote into its folder does not; each task has a folder of its
 * own, and its output, apart. */
static void process_stays_warm_and_tasks_apart(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, os, tempfile\n"
                       "seen = []\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    seen.append(params['n'])\n"
                       "    print('task', ctx.task)\n"
                       "    left = os.listdir('.')\n"
                       "    tempfile.NamedTemporaryFile(delete=False).write(b'x')\n"
                       "    return [seen, left, os.environ['JQ_TASK'] == ctx.task, os.getcwd() == ctx.work_dir]\n");
    run(stage, "{\"n\": 1}");
    expect(stage, JQ_OUTCOME_SUCCESS, "[[1],[],true,true]");
    assert_string_equal(stage->out, "task 100\n");
    run(stage, "\x81\xa1n\x02"); /* msgpack: {"n": 2} */
    expect(stage, JQ_OUTCOME_SUCCESS, "[[1,2],[],true,true]");
    assert_string_equal(stage->out, "task 101\n");
    assert_int_equal(starts(stage), 1);
}

/* A handler says by the class of its error what is to become of the task; its process goes on. */
static void errors_have_classes(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    how = params['how']\n"
                       "    if how == 'fatal': raise jqmesh.Fatal('no such part')\n"
                       "    if how == 'seat': raise jqmesh.ResourceExhausted('no seat')\n"
                       "    if how == 'net': raise jqmesh.NetworkError('vault', 'no answer')\n"
                       "    if how == 'odd': return object()\n"
                       "    raise ValueError('seven')\n");
    run(stage, "{\"how\":\"fatal\"}");
    expect(stage, JQ_OUTCOME_INVALID_INPUT, "no such part");
    run(stage, "{\"how\":\"seat\"}");
    expect(stage, JQ_OUTCOME_RESOURCE_EXHAUSTED, "no seat");
    run(stage, "{\"how\":\"net\"}");
    expect(stage, JQ_OUTCOME_NETWORK, "no answer");
    run(stage, "{\"how\":\"odd\"}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "result cannot be encoded");
    run(stage, "{\"how\":\"\"}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "ValueError: seven");
    assert_non_null(strstr(stage->err, "Traceback"));
    run(stage, "no map");
    expect(stage, JQ_OUTCOME_INVALID_INPUT, "neither a JSON object nor a msgpack map");
    assert_int_equal(starts(stage), 1);
}

/* Files go into output_dir/.TASK.ATTEMPT, whichever process made them; a link in their place does not count. */
static void outputs_are_moved_out_of_reach(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, os\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    if params.get('link'):\n"
                       "        os.rmdir(ctx.output_dir)\n"
                       "        os.symlink('/etc', ctx.output_dir)\n"
                       "    else:\n"
                       "        open(ctx.output_dir + '/mesh', 'w').write('v 1')\n"
                       "    return ctx.final_dir\n");
    char path[PATH_MAX + 16];
    run(stage, "{}");
    (void)snprintf(path, sizeof(path), "%s/100", stage->outputs);
    expect(stage, JQ_OUTCOME_SUCCESS, path);
    (void)snprintf(path, sizeof(path), "%s/.100.1", stage->outputs);
    assert_string_equal(stage->output, path);
    (void)snprintf(path, sizeof(path), "%s/mesh", stage->output);
    assert_int_equal(access(path, R_OK), 0);
    run(stage, "{\"link\":true}");
    expect(stage, JQ_OUTCOME_SUCCESS, "101");
    assert_string_equal(stage->output, "");
}

/* A process is renewed after so many tasks, and above so much memory; the next one stands ready. */
static void process_is_renewed_by_count_and_memory(void **state) {
    struct stage *stage = *state;
    stage->config.tasks_max = 2;
    stage->config.rss_bytes_max = 150 << 20;
    open_python(stage, "import jqmesh, os\n"
                       "held = []\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    held.append(b'x' * params.get('size', 1))\n"
                       "    return len(held)\n");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "1");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "2");
    wait_for_rest(stage);
    assert_int_equal(starts(stage), 2);
    run(stage, "{\"size\": 200000000}");
    expect(stage, JQ_OUTCOME_SUCCESS, "1");
    wait_for_rest(stage);
    assert_int_equal(starts(stage), 3);
    assert_int_equal(stage->losses, 0);
}

/* One that rests longer than it may get old ends; nobody asks for another one. */
static void process_that_rests_ends_by_its_age(void **state) {
    struct stage *stage = *state;
    stage->config.age_ms_max = HOUR_MS;
    open_python(stage, "import jqmesh\n@jqmesh.handler\ndef run(params, ctx): return 1\n");
    run(stage, "{}");
    assert_int_equal(jq_pool_status(stage->pool).resting, 1);
    stage->bed.ahead_ms = HOUR_MS;
    while (jq_exec_host_count(stage->bed.host) > 0) {
        exec_bed_serve(&stage->bed, 20);
    }
    assert_int_equal(starts(stage), 1);
}

/* ---- what is done to it ---- */

/* A frame that names another task is not this one's: its progress is nobody's, its result ends the process. */
static void frames_are_of_their_task(void **state) {
    struct stage *stage = *state;
    open_raw(stage,
             READY "first = hear()['task']\n"
                   "say(json.dumps({'type': 'result', 'task': first, 'result': '1'}).encode())\n"
                   "second = hear()['task']\n"
                   "say(json.dumps({'type': 'progress', 'task': first, 'permille': 777, 'text': 'old'}).encode())\n"
                   "say(json.dumps({'type': 'result', 'task': second, 'result': '2'}).encode())\n"
                   "hear()\n"
                   "say(json.dumps({'type': 'result', 'task': second, 'result': '3'}).encode())\n"
                   "hear()\n");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "1");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "2");
    assert_int_equal(stage->progress_permille, -1);
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "the word of another task");
}

/* What a task has used at most is its own, not what another one of its process did. */
static void peak_of_memory_is_the_tasks_own(void **state) {
    enum { LARGE = 100 << 20 };
    struct stage *stage = *state;
    open_python(stage, "import jqmesh\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx): return len(b'x' * params.get('size', 1))\n");
    run(stage, "{}");
    const uint64_t small = stage->peak_bytes;
    run(stage, "{\"size\": 200000000}");
    const uint64_t large = stage->peak_bytes;
    run(stage, "{}");
    assert_int_equal(starts(stage), 1);
    assert_in_range(stage->peak_bytes, 1, small + LARGE);
    assert_true(large == stage->peak_bytes || large > small + LARGE); /* without a cgroup only what was seen counts */
}

/* A task that hangs ends its process; one that only waits for its next task does not hang. */
static void stall_is_of_a_task_alone(void **state) {
    struct stage *stage = *state;
    const struct jq_exec_turn turn = {.stall_ms = HOUR_MS};
    open_python(stage, "import jqmesh, os, time\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    if not params: return 'well'\n"
                       "    open(os.environ['BED'] + '/hangs', 'w').close()\n"
                       "    time.sleep(300)\n");
    run_with(stage, turn, "{}");
    wait_for_rest(stage);
    for (int i = 0; i < 8; i++) {
        stage->bed.ahead_ms += HOUR_MS / 4;
        exec_bed_serve(&stage->bed, 0);
    }
    (void)begin_with(stage, turn, "{\"hang\":1}");
    exec_bed_wait_for_file(&stage->bed, "hangs");
    assert_int_equal(starts(stage), 1);
    for (int i = 0; i < 5; i++) {
        assert_int_equal(stage->ends, 1);
        stage->bed.ahead_ms += HOUR_MS / 4;
        exec_bed_serve(&stage->bed, 0);
    }
    wait_for_end(stage, 2);
    expect(stage, JQ_OUTCOME_TIMEOUT, "stalled: no output, progress or cpu time");
}

/* Without a control group one that was killed may not have been reaped when its task ends. */
static void wait_until_gone(struct stage *stage, int pid) {
    const int64_t until_ms = jq_clock_boot_ms() + 30000;
    while (kill(pid, 0) == 0) {
        assert_true(jq_clock_boot_ms() < until_ms);
        exec_bed_serve(&stage->bed, 20);
    }
}

/* A cancel kills the process with all that it started, however deaf it is; another one takes its place. */
static void cancel_kills_the_tree_and_another_takes_its_place(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, os, signal, subprocess, time\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    if not params: return 'well'\n"
                       "    signal.signal(signal.SIGTERM, signal.SIG_IGN)\n"
                       "    away = subprocess.Popen(['sleep', '300'], start_new_session=True)\n"
                       "    with open(os.environ['BED'] + '/pid.new', 'w') as file: file.write('%d' % away.pid)\n"
                       "    os.rename(os.environ['BED'] + '/pid.new', os.environ['BED'] + '/pid')\n"
                       "    time.sleep(300)\n");
    run(stage, "{}");
    struct jq_exec_child *child = begin_with(stage, (struct jq_exec_turn){.task = {0}}, "{\"hang\":1}");
    exec_bed_wait_for_file(&stage->bed, "pid");
    jq_exec_kill(child, JQ_EXEC_REASON_CANCEL, 50, jq_clock_boot_ms());
    wait_for_end(stage, 2);
    expect(stage, JQ_OUTCOME_CANCELLED, "cancelled");
    wait_until_gone(stage, exec_bed_read_number(&stage->bed, "pid"));
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "well");
    assert_int_equal(starts(stage), 2);
}

/* Limits are each task's own: over its time, its memory or its output a task ends with its process. */
static void limits_are_each_tasks_own(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, time\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    if params['do'] == 'print':\n"
                       "        while True: print('x' * 1000)\n"
                       "    if params['do'] == 'eat':\n"
                       "        held = []\n"
                       "        while True: held.append(b'x' * 10000000); time.sleep(0.005)\n"
                       "    if params['do'] == 'hang': time.sleep(300)\n"
                       "    return 'well'\n");
    run_with(stage, (struct jq_exec_turn){.output_bytes_max = 100000}, "{\"do\":\"print\"}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "over its limit of output bytes");
    run_with(stage, (struct jq_exec_turn){.memory_bytes_max = 200 << 20}, "{\"do\":\"eat\"}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "over its memory reservation");
    assert_true(stage->verdict.crash);
    run_with(stage, (struct jq_exec_turn){.memory_bytes_max = 300 << 20}, "{\"do\":\"\"}");
    expect(stage, JQ_OUTCOME_SUCCESS, "well");
    const unsigned before = starts(stage);
    (void)begin_with(stage, (struct jq_exec_turn){.hard_limit_ms = HOUR_MS}, "{\"do\":\"hang\"}");
    stage->bed.ahead_ms = HOUR_MS;
    wait_for_end(stage, 4);
    expect(stage, JQ_OUTCOME_TIMEOUT, "hard time limit");
    assert_int_equal(starts(stage), before + 1);
}

/* ---- what a bad one does ---- */

/* Whatever a process does instead of answering ends as a clear outcome, and the next task is served. */
static void bad_ends_are_clear_outcomes(void **state) {
    struct stage *stage = *state;
    static const struct {
        const char *what;
        enum jq_outcome outcome;
        bool crash;
        const char *message;
    } ends[] = {
        {"os._exit(0)", JQ_OUTCOME_PROCESS_FAILURE, false, "exit 0 without a result"},
        {"os._exit(75)", JQ_OUTCOME_RESOURCE_EXHAUSTED, false, "exit 75"},
        {"os.kill(os.getpid(), signal.SIGSEGV)", JQ_OUTCOME_PROCESS_FAILURE, true, "signal 11 (SIGSEGV)"},
        {"os.write(3, b'\\x05\\0\\0\\0hello')", JQ_OUTCOME_PROCESS_FAILURE, false, "garbled reply"},
        {"os.write(3, b'\\xff\\xff\\xff\\x7f')", JQ_OUTCOME_PROCESS_FAILURE, false, "frame larger than 1 MiB"},
        {"say(b'{\"type\":\"ready\"}')", JQ_OUTCOME_PROCESS_FAILURE, false, "`ready` out of turn"},
        {"say(json.dumps({'type':'result','result':'x' * 50000}).encode())", JQ_OUTCOME_PROCESS_FAILURE, false,
         "result larger than 48 KiB"},
    };
    static char program[1024];
    size_t size = (size_t)snprintf(program, sizeof(program), READY "while True:\n    n = hear()['params']['n']\n");
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        size += (size_t)snprintf(program + size, sizeof(program) - size, "    if n == %zu: %s\n", i, ends[i].what);
    }
    (void)snprintf(program + size, sizeof(program) - size,
                   "    if n == 99: say(b'{\"type\":\"result\",\"result\":\"7\"}')\n");
    open_raw(stage, program);
    for (size_t i = 0; i < sizeof(ends) / sizeof(ends[0]); i++) {
        char payload[32];
        (void)snprintf(payload, sizeof(payload), "{\"n\": %zu}", i);
        run(stage, payload);
        expect(stage, ends[i].outcome, ends[i].message);
        assert_int_equal(stage->verdict.crash, ends[i].crash);
    }
    run(stage, "{\"n\": 99}");
    expect(stage, JQ_OUTCOME_SUCCESS, "7");
}

/* A process that says something while it has no task, or leaves processes behind, does not get another task. */
static void what_breaks_the_turns_serves_no_more(void **state) {
    struct stage *stage = *state;
    open_raw(stage, READY "while True:\n"
                          "    n = hear()['params']['n']\n"
                          "    say(b'{\"type\":\"result\",\"result\":\"%d\"}' % os.getpid())\n"
                          "    if n == 1: say(b'{\"type\":\"result\",\"result\":\"again\"}')\n"
                          "    if n == 2: os._exit(1)\n");
    run(stage, "{\"n\": 1}");
    char first[32];
    (void)snprintf(first, sizeof(first), "%.31s", stage->result);
    expect(stage, JQ_OUTCOME_SUCCESS, "");
    while (starts(stage) == 1 && stage->losses == 0) {
        exec_bed_serve(&stage->bed, 20); /* until its second word has come: with the first, or after it */
    }
    run(stage, "{\"n\": 0}");
    expect(stage, JQ_OUTCOME_SUCCESS, "");
    assert_string_not_equal(stage->result, first);
}

/* A task that writes beside its own folder, where the next one would find it, costs its process: that one is removed with all of it. */
static void files_beside_the_tasks_folder_are_not_handed_on(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, os\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    beside = os.path.join(os.path.dirname(os.getcwd()), 'secret')\n"
                       "    before = os.path.exists(beside)\n"
                       "    open(beside, 'w').close()\n"
                       "    return before\n");
    for (int i = 0; i < 2; i++) {
        run(stage, "{}");
        expect(stage, JQ_OUTCOME_SUCCESS, "");
        assert_string_equal(stage->result, "false");
        wait_for_rest(stage);
    }
}

/* Processes that a task leaves behind are killed, with the one that started them. */
static void processes_left_behind_are_killed(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh, subprocess\n"
                       "@jqmesh.handler\n"
                       "def run(params, ctx):\n"
                       "    return subprocess.Popen(['sleep', '300'], start_new_session=True).pid\n");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_SUCCESS, "");
    const int pid = (int)strtol(stage->result, NULL, 10);
    wait_for_rest(stage);
    assert_int_equal(starts(stage), 2);
    assert_true(pid > 1);
    wait_until_gone(stage, pid);
}

/* A file that does not load is the task's failure, with the traceback; so is a start that never ends. */
static void start_that_fails_is_told(void **state) {
    struct stage *stage = *state;
    open_python(stage, "import jqmesh\nimport nonsuch\n");
    run(stage, "{}");
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "exit 1");
    assert_non_null(strstr(stage->err, "ModuleNotFoundError"));
    assert_int_equal(starts(stage), 1);
    jq_pool_free(stage->pool, jq_clock_boot_ms());

    stage->config.start_ms = HOUR_MS;
    open_raw(stage, "time.sleep(300)\n");
    (void)begin_with(stage, (struct jq_exec_turn){.task = {0}}, "{}");
    stage->bed.ahead_ms = HOUR_MS;
    wait_for_end(stage, 2);
    expect(stage, JQ_OUTCOME_PROCESS_FAILURE, "not ready in time");
}

/* The largest payload reaches a process that is slow to read. */
static void large_payload_reaches_a_slow_reader(void **state) {
    struct stage *stage = *state;
    open_raw(stage, "time.sleep(0.05)\n" READY "order = hear()\n"
                    "say(json.dumps({'type':'result','result':str(len(order['params']['x']))}).encode())\n"
                    "time.sleep(300)\n");
    static char payload[48 * 1024 + 1];
    memset(payload, 'x', sizeof(payload) - 1);
    memcpy(payload, "{\"x\":\"", 6);
    memcpy(payload + sizeof(payload) - 3, "\"}", 2);
    run(stage, payload);
    expect(stage, JQ_OUTCOME_SUCCESS, "49144");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(process_stays_warm_and_tasks_apart),
        TEST(errors_have_classes),
        TEST(outputs_are_moved_out_of_reach),
        TEST(process_is_renewed_by_count_and_memory),
        TEST(process_that_rests_ends_by_its_age),
        TEST(frames_are_of_their_task),
        TEST(peak_of_memory_is_the_tasks_own),
        TEST(stall_is_of_a_task_alone),
        TEST(cancel_kills_the_tree_and_another_takes_its_place),
        TEST(limits_are_each_tasks_own),
        TEST(bad_ends_are_clear_outcomes),
        TEST(what_breaks_the_turns_serves_no_more),
        TEST(files_beside_the_tasks_folder_are_not_handed_on),
        TEST(processes_left_behind_are_killed),
        TEST(start_that_fails_is_told),
        TEST(large_payload_reaches_a_slow_reader),
    };
    const struct CMUnitTest of_trees[] = {
        TEST(cancel_kills_the_tree_and_another_takes_its_place),
        TEST(limits_are_each_tasks_own),
        TEST(processes_left_behind_are_killed),
    };
    if (realpath("worker/pool/runner.py", runner) == NULL) {
        return 1;
    }
    cgroup_root = NULL;
    const int failed = cmocka_run_group_tests_name("pool, with cgroups", tests, NULL, NULL);
    cgroup_root = "none";
    return failed + cmocka_run_group_tests_name("pool, without cgroups", of_trees, NULL, NULL);
}
