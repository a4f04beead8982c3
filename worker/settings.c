#include "worker/settings.h"

#include <unistd.h>

#include "worker/settings_check.h"

/* ---- table of keys ----------------------------------------------------------------------------------------------- */

#define S                 struct jq_worker_settings
#define FIELD(member, of) JQ_CONF_FIELD(S, member, of)
#define NUMBER(key, kind, member, low, high, text, about)                                                              \
    {                                                                                                                  \
        .name = key, .type = kind, .offset = FIELD(member, int64_t), .standard = text, .min = low, .max = high,        \
        .help = about                                                                                                  \
    }
#define INT(key, member, low, high, text, about)  NUMBER(key, JQ_CONF_INT, member, low, high, text, about)
#define SIZE(key, member, low, high, text, about) NUMBER(key, JQ_CONF_SIZE, member, low, high, text, about)
#define TIME(key, member, low, high, text, about) NUMBER(key, JQ_CONF_DURATION, member, low, high, text, about)
#define ENUM(key, member, names, text, about)                                                                          \
    {                                                                                                                  \
        .name = key, .type = JQ_CONF_ENUM, .offset = FIELD(member, int64_t), .standard = text, .choices = names,       \
        .help = about                                                                                                  \
    }
#define BOOL(key, member, text, about)                                                                                 \
    { .name = key, .type = JQ_CONF_BOOL, .offset = FIELD(member, bool), .standard = text, .help = about }
#define TEXT(key, member, checker, text, about)                                                                        \
    {                                                                                                                  \
        .name = key, .type = JQ_CONF_STRING, .offset = FIELD(member, char *), .standard = text, .check = checker,      \
        .help = about                                                                                                  \
    }
#define PATH(key, member, text, about)                                                                                 \
    { .name = key, .type = JQ_CONF_PATH, .offset = FIELD(member, char *), .standard = text, .help = about }
#define LIST(key, kind, member, checker, text, about)                                                                  \
    {                                                                                                                  \
        .name = key, .type = kind, .offset = FIELD(member, struct jq_conf_list), .standard = text, .check = checker,   \
        .help = about                                                                                                  \
    }

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define KIB    INT64_C(1024)
#define TIB    (INT64_C(1) << 40)

static const char standard_handlers_dir[] = "/etc/jqmesh/handlers.d";
static const char *const sandbox_names[] = {"prefer", "require", "off", NULL}; /* enum jq_sandbox_mode */
static const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
static const char *const kind_names[] = {"exec", "pool", "freecad", NULL}; /* enum jq_handler_kind */
static const char *const input_names[] = {"payload", "none", "json", NULL};
static const char *const result_names[] = {"stdout", "file", NULL};

static const struct jq_conf_key worker_keys[] = {
    TEXT("name", name, jq_check_worker_name, "", "Its name, one worker's alone; empty: the host's name."),
    TEXT("request", request_url, jq_check_url, "tcp://127.0.0.1:7710",
         "Where the broker is asked: tcp://HOST:PORT or ipc:///PATH."),
    TEXT("survey", survey_url, jq_check_url, "tcp://127.0.0.1:7712",
         "Where the broker asks whether this worker lives."),
    PATH("token_file", token_file, "", "A file with this worker's token in its first line; empty: none."),
    TEXT("offers", offers, jq_check_offers, "auto",
         "What tasks can reserve: cpu=2 mem=4G gpu=[0,1] freecad=1; the word auto stands for the cpus and memory found "
         "here."),
    TEXT("facts", facts, jq_check_facts, "", "What tasks can ask for: zone=lab1 os=debian-12."),
    TEXT(
        "accept", accept, NULL, "",
        "Names of offers: it takes only tasks that reserve one of them, and so keeps its freecad=1 for FreeCAD; empty: "
        "all tasks."),
    INT("slots", slots, 0, 4096, "0", "Tasks at one time; 0: the number of cpus."),
    INT("slots_min", slots_min, 1, 4096, "1", "With slots_max: never fewer at one time, unless memory is short."),
    INT("slots_max", slots_max, 0, 4096, "0",
        "Tasks at one time follow the load: one more after the other while cpus are idle, fewer when tasks wait for "
        "one; "
        "0: always as many as `slots` says."),
    PATH("handlers_dir", handlers_dir, standard_handlers_dir,
         "A folder of files NAME.conf, each with a [handler NAME]."),
    PATH("state_dir", state_dir, "/var/lib/jqworker",
         "What this worker has to remember; one running worker at a time."),
    PATH("work_dir", work_dir, "/var/lib/jqworker/work", "Parent of the work dirs of tasks; emptied at the start."),
    PATH("output_dir", output_dir, "/var/lib/jqworker/output",
         "Where handlers put their files, a folder a task; one running worker at a time."),
    SIZE("blob_cache", blob_cache_bytes, 0, TIB, "1G",
         "Inputs of tasks are kept in state_dir for others that read the same, up to so much; 0: not at all. What is "
         "larger, or finds no room, goes past it."),
    INT("couriers", couriers, 1, 16, "4", "Tasks whose files are fetched or stored at one time."),
    TIME("drain", drain_ms, 0, DAY, "1m", "How long a stop waits for running tasks; the rest is handed back."),
    TIME("grace", grace_ms, 0, HOUR, "5s", "Time between SIGTERM and SIGKILL."),
    TIME("idle_exit", idle_exit_ms, 0, DAY, "0s", "Stops after so long without a task; 0s: never."),
    TEXT(
        "doorbell", doorbell, jq_check_url, "",
        "Where the broker wakes it when it has stopped: tcp://HOST:PORT or ipc:///PATH; empty: the socket by which the "
        "service manager starts it, if it does."),
    ENUM("sandbox", sandbox, sandbox_names, "prefer",
         "prefer: tasks are confined as far as this kernel can; require: not at all rather than without memory, pids, "
         "kill, "
         "user, landlock and seccomp in force; off."),
    LIST("read", JQ_CONF_WORDS, read, jq_check_paths, "",
         "Files and folders that every task may read, beside programs, libraries and what these need of /etc (users, "
         "hosts, fonts, certificates ..): a share with inputs, a tool's own /etc/NAME."),
    TEXT("run_as", run_as, jq_check_user, "nobody", "The user of the tasks when the worker is root; empty: root."),
    TEXT("cgroup", cgroup, jq_check_cgroup, "auto",
         "auto, none, or a folder of a cgroup v2 hierarchy that is this worker's own."),
    INT("memory_pressure", memory_pressure_percent, 1, 100, "85",
        "Percent of the memory in use above which no task is leased."),
    INT("psi_pressure", psi_pressure_percent, 1, 100, "20",
        "Percent of the time (PSI some10) waited for memory above which no task is leased."),
    ENUM("log_level", log_level, log_level_names, "info", "The least that is logged."),
};

static const struct jq_conf_key freecad_keys[] = {
    LIST("command", JQ_CONF_WORDS, freecad_command, jq_check_command, "freecadcmd -c \"exec(open('{runner}').read())\"",
         "Starts FreeCAD's Python on the runner; snap, AppImage and flatpak differ."),
    PATH("scripts_dir", freecad_scripts_dir, "/usr/share/jqmesh/freecad", "Where the scripts of handlers are."),
    TIME("ping", freecad_ping_ms, 100, MINUTE, "2s", "How soon a zygote has to answer."),
    TIME("start", freecad_start_ms, SECOND, HOUR, "1m", "How long a zygote may take to start."),
    TIME("recycle", freecad_recycle_ms, MINUTE, 30 * DAY, "1d", "How old a zygote gets."),
};

#undef S
#define S struct jq_fact_probe
static const struct jq_conf_key fact_keys[] = {
    LIST("command", JQ_CONF_WORDS, command, jq_check_command, "",
         "A program and its arguments; the first line that it prints is the fact."),
    TIME("timeout", timeout_ms, 100, 10 * MINUTE, "10s", "How long it may take."),
};

#undef S
#define S struct jq_handler_settings
static const struct jq_conf_key handler_keys[] = {
    ENUM("kind", kind, kind_names, "exec",
         "exec: a process a task; pool: warm processes that serve one task after the other; freecad: a fork of FreeCAD "
         "a task."),
    LIST("command", JQ_CONF_WORDS, command, jq_check_task_command, "",
         "exec, pool: a program and its arguments, without a shell; exec: {input} {output} {input.NAME} {output.NAME} "
         "{param.NAME} {work_dir} {task} {attempt}."),
    TEXT("script", script, jq_check_script, "", "freecad: a file of [freecad] scripts_dir, or an absolute path."),
    TEXT("need", need, jq_check_handler_need, "",
         "What each task reserves and asks for, unless it says otherwise: cpu=1 mem=1G."),
    TIME("soft_limit", soft_limit_ms, 0, 30 * DAY, "0s", "SIGTERM after so long; 0s: never."),
    TIME("hard_limit", hard_limit_ms, 0, 30 * DAY, "0s",
         "SIGKILL to the whole tree after so long; 0s: never. No task can ask for more."),
    TIME("stall", stall_ms, 0, 30 * DAY, "0s",
         "As at the soft limit once nothing was seen of it for so long: no output, no progress, no cpu time; 0s: "
         "never."),
    BOOL("pure", pure, "no",
         "Whether the same payload and inputs give the same result: then it is cached, unless the payload names a "
         "path."),
    TEXT("version", version, jq_check_version, "1",
         "Part of the key under which results are cached: change it when results change."),
    TEXT("service", service, jq_check_service, "",
         "The service that it depends on: ends it by exit 69, or says that the network failed, the service's breaker "
         "counts it."),
    ENUM("stdin", input, input_names, "payload",
         "exec: what the process reads: the payload as it came (of `jqctl --payload` msgpack), nothing, or the payload "
         "as an object of "
         "JSON."),
    ENUM("result", result, result_names, "stdout",
         "What becomes the result: what the process prints, or the file {output}."),
    SIZE("output_max", output_max_bytes, KIB, TIB, "64M",
         "Bytes of stdout and stderr together; above it the tree is killed."),
    SIZE("output_files_max", output_files_max_bytes, 0, TIB, "16G",
         "Bytes of all files that one task gives back as its outputs; above it the task has failed. 0: it makes none, "
         "and "
         "gets no output folder."),
    INT("pids_max", pids_max, 1, 1000000, "256", "Processes and threads of one task."),
    SIZE("file_size_max", file_size_max_bytes, KIB, TIB, "16G", "The largest file that it may write."),
    BOOL("network", network, "no", "Whether it may open network connections."),
    LIST("read", JQ_CONF_WORDS, read, jq_check_paths, "",
         "Files and folders that it may read, beside what all tasks may and the files that its command names."),
    LIST("write", JQ_CONF_WORDS, write, jq_check_paths, "",
         "Files and folders that it may change, beside its work dir and its output folder."),
    LIST("env", JQ_CONF_WORDS, env, jq_check_env, "",
         "Its environment, beside PATH, HOME, TMPDIR, LANG and JQ_TASK, JQ_ATTEMPT, JQ_HANDLER, JQ_QUEUE, JQ_WORK_DIR, "
         "JQ_OUTPUT_DIR, JQ_PARENTS: NAME=value."),
    INT("max_tasks", tasks_max, 0, 1000000000, "1000", "pool: tasks that one process serves; 0: any number."),
    SIZE("max_rss", rss_max_bytes, 0, TIB, "1G",
         "pool: a process that holds more memory after a task is renewed; 0: it never is for that."),
    TIME("max_age", age_max_ms, 0, 30 * DAY, "1h", "pool: how old a process gets; 0s: any age."),
    TIME("ready_within", start_ms, 0, HOUR, "1m",
         "pool: how soon a process has to say that it is ready; 0s: any time."),
};

#define KEYS(table) .keys = table, .key_count = sizeof table / sizeof table[0]
#define HANDLER_SECTION                                                                                                \
    {                                                                                                                  \
        .name = "handler", .help = "One handler, and its name; each in a file of its own in handlers_dir.",            \
        KEYS(handler_keys), .offset = JQ_CONF_FIELD(struct jq_worker_settings, handlers, struct jq_conf_items),        \
        .item_size = sizeof(struct jq_handler_settings), .count_max = JQ_SETTINGS_HANDLERS_MAX, .example = "sha256"    \
    }

static const struct jq_conf_section worker_sections[] = {
    {.name = "worker",
     .help = "The worker itself: whom it serves, what it has, how it treats its tasks.",
     KEYS(worker_keys)},
    {.name = "freecad", .help = "The FreeCAD of this machine, for handlers of that kind.", KEYS(freecad_keys)},
    {.name = "fact",
     .help = "A fact that a program finds out at the start and at each SIGHUP, and its name.",
     KEYS(fact_keys),
     .offset = JQ_CONF_FIELD(struct jq_worker_settings, probes, struct jq_conf_items),
     .item_size = sizeof(struct jq_fact_probe),
     .count_max = JQ_SETTINGS_PROBES_MAX,
     .example = "kernel"},
    HANDLER_SECTION,
};
static const struct jq_conf_section handler_sections[] = {HANDLER_SECTION};

const struct jq_conf_schema jq_worker_schema = {
    .program = "jqworker",
    .help = "A worker of jqmesh: leases tasks that fit, runs their handlers, enforces what they reserved.",
    .sections = worker_sections,
    .section_count = sizeof worker_sections / sizeof worker_sections[0],
};
const struct jq_conf_schema jq_handler_schema = {
    .program = "jqworker",
    .help = "A handler of a worker.",
    .sections = handler_sections,
    .section_count = 1,
};

/* ---- what no single key can tell --------------------------------------------------------------------------------- */

static enum jq_err fail_handler(const struct jq_handler_settings *handler, const char *key, const char *reason,
                                struct jq_error *reterr) {
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: [handler %s] %s: %s", handler->item.origin, handler->item.name, key,
                   reason);
}

static bool mentions(const struct jq_handler_settings *handler, const char *word) {
    for (size_t i = 0; i < handler->command.count; i++)
        if (strstr(handler->command.items[i], word) != NULL)
            return true;
    return false;
}

static bool names_task(const struct jq_handler_settings *handler) {
    static const char *const words[] = {"{input}", "{output}", "{task}", "{attempt}", "{param."};
    for (size_t k = 0; k < sizeof words / sizeof words[0]; k++)
        if (mentions(handler, words[k]))
            return true;
    return false;
}

static enum jq_err check_files(const struct jq_handler_settings *handler, struct jq_error *reterr) {
    if (handler->output_files_max_bytes > 0)
        return JQ_OK;
    if (handler->kind == JQ_HANDLER_FREECAD)
        return fail_handler(handler, "output_files_max", "0, but the scripts of kind = freecad write files", reterr);
    if (mentions(handler, "{output."))
        return fail_handler(handler, "output_files_max", "0, but the command has an {output.NAME}", reterr);
    return JQ_OK;
}

static enum jq_err check_kind(const struct jq_handler_settings *handler, struct jq_error *reterr) {
    const bool freecad = handler->kind == JQ_HANDLER_FREECAD;
    if (freecad && handler->command.count > 0)
        return fail_handler(handler, "command", "kind = freecad takes a script instead", reterr);
    if (freecad && handler->script[0] == '\0')
        return fail_handler(handler, "script", "kind = freecad needs one", reterr);
    if (!freecad && handler->command.count == 0)
        return fail_handler(handler, "command", "missing", reterr);
    if (!freecad && handler->script[0] != '\0')
        return fail_handler(handler, "script", "only kind = freecad takes one", reterr);
    if (handler->kind != JQ_HANDLER_EXEC && handler->result == JQ_HANDLER_RESULT_FILE)
        return fail_handler(handler, "result", "only kind = exec can give a file", reterr);
    if (handler->kind == JQ_HANDLER_POOL && names_task(handler))
        return fail_handler(handler, "command",
                            "kind = pool: one process serves many tasks, of which none can be named", reterr);
    return JQ_OK;
}

enum jq_err jq_handler_settings_check(const struct jq_handler_settings *handler, struct jq_error *reterr) {
    if (handler->version[0] == '\0')
        return fail_handler(handler, "version", "empty", reterr);
    if (handler->hard_limit_ms > 0 && handler->soft_limit_ms > handler->hard_limit_ms)
        return fail_handler(handler, "soft_limit", "above hard_limit", reterr);
    enum jq_err err = check_kind(handler, reterr);
    err = err == JQ_OK ? check_files(handler, reterr) : err;
    if (err != JQ_OK || handler->kind != JQ_HANDLER_EXEC)
        return err;
    if (handler->result == JQ_HANDLER_RESULT_FILE && !mentions(handler, "{output}"))
        return fail_handler(handler, "result", "result = file, but the command has no {output}", reterr);
    if (handler->result == JQ_HANDLER_RESULT_STDOUT && mentions(handler, "{output}"))
        return fail_handler(handler, "result", "the command has an {output}: set result = file", reterr);
    return JQ_OK;
}

static enum jq_err check_required(const struct jq_worker_settings *settings, struct jq_error *reterr) {
    const struct {
        const char *key;
        const char *value;
    } required[] = {
        {"request", settings->request_url}, {"survey", settings->survey_url},
        {"offers", settings->offers},       {"state_dir", settings->state_dir},
        {"work_dir", settings->work_dir},   {"output_dir", settings->output_dir},
        {"cgroup", settings->cgroup},       {"handlers_dir", settings->handlers_dir},
    };
    for (size_t i = 0; i < sizeof required / sizeof required[0]; i++)
        if (required[i].value[0] == '\0')
            return jq_fail(reterr, JQ_ERR_INVALID, "[worker] %s: empty", required[i].key);
    if (settings->slots_max > 0 && (settings->slots > 0 || settings->slots_min > settings->slots_max))
        return jq_fail(reterr, JQ_ERR_INVALID, "[worker] slots_max: with it goes no slots, and no larger slots_min");
    if (settings->freecad_command.count == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "[freecad] command: empty");
    return JQ_OK;
}

enum jq_err jq_worker_settings_check(const struct jq_worker_settings *settings, struct jq_error *reterr) {
    enum jq_err err = check_required(settings, reterr);
    for (size_t i = 0; err == JQ_OK && i < jq_worker_settings_probe_count(settings); i++) {
        const struct jq_fact_probe *const probe = jq_worker_settings_probe(settings, i);
        if (probe->command.count == 0)
            err =
                jq_fail(reterr, JQ_ERR_INVALID, "%s: [fact %s] command: missing", probe->item.origin, probe->item.name);
    }
    for (size_t i = 0; err == JQ_OK && i < jq_worker_settings_handler_count(settings); i++)
        err = jq_handler_settings_check(jq_worker_settings_handler(settings, i), reterr);
    return err;
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

static enum jq_err read_handlers(struct jq_worker_settings *settings, struct jq_error *reterr) {
    const char *const dir = settings->handlers_dir;
    if (dir[0] == '\0' || (strcmp(dir, standard_handlers_dir) == 0 && access(dir, F_OK) != 0))
        return JQ_OK;
    return jq_conf_read_dir(&jq_handler_schema, settings, dir, reterr);
}

enum jq_err jq_worker_settings_load(const struct jq_conf_args *args, struct jq_worker_settings *settings,
                                    struct jq_error *reterr) {
    enum jq_err err = jq_conf_load(&jq_worker_schema, args, JQ_WORKER_CONF_FILE, settings, reterr);
    if (err != JQ_OK)
        return err;
    err = read_handlers(settings, reterr);
    if (err == JQ_OK)
        err = jq_worker_settings_check(settings, reterr);
    if (err != JQ_OK)
        jq_worker_settings_fini(settings);
    return err;
}

void jq_worker_settings_fini(struct jq_worker_settings *settings) {
    jq_conf_fini(&jq_worker_schema, settings);
}

/* ---- reading ----------------------------------------------------------------------------------------------------- */

size_t jq_worker_settings_handler_count(const struct jq_worker_settings *settings) {
    return settings->handlers.count;
}

const struct jq_handler_settings *jq_worker_settings_handler(const struct jq_worker_settings *settings, size_t index) {
    JQ_CHECK(index < settings->handlers.count);
    return (const struct jq_handler_settings *)settings->handlers.data + index;
}

const struct jq_handler_settings *jq_worker_settings_find_handler(const struct jq_worker_settings *settings,
                                                                  struct jq_str name) {
    return jq_conf_find_item(&settings->handlers, sizeof(struct jq_handler_settings), name);
}

size_t jq_worker_settings_probe_count(const struct jq_worker_settings *settings) {
    return settings->probes.count;
}

const struct jq_fact_probe *jq_worker_settings_probe(const struct jq_worker_settings *settings, size_t index) {
    JQ_CHECK(index < settings->probes.count);
    return (const struct jq_fact_probe *)settings->probes.data + index;
}
