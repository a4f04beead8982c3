#include "broker/settings.h"

#include "common/message.h"
#include "common/transport/address.h"
#include "common/vocab.h"

/* ---- table of keys ----------------------------------------------------------------------------------------------- */

#define S struct jq_broker_settings
#define NUMBER(key, kind, member, low, high, text, about)                                                              \
    {                                                                                                                  \
        .name = key, .type = kind, .offset = JQ_CONF_FIELD(S, member, int64_t), .standard = text, .min = low,          \
        .max = high, .help = about                                                                                     \
    }
#define INT(key, member, low, high, text, about)  NUMBER(key, JQ_CONF_INT, member, low, high, text, about)
#define SIZE(key, member, low, high, text, about) NUMBER(key, JQ_CONF_SIZE, member, low, high, text, about)
#define TIME(key, member, low, high, text, about) NUMBER(key, JQ_CONF_DURATION, member, low, high, text, about)
#define ENUM(key, member, names, text, about)                                                                          \
    {                                                                                                                  \
        .name = key, .type = JQ_CONF_ENUM, .offset = JQ_CONF_FIELD(S, member, int64_t), .standard = text,              \
        .choices = names, .help = about                                                                                \
    }
#define TEXT(key, kind, member, text, about)                                                                           \
    { .name = key, .type = kind, .offset = JQ_CONF_FIELD(S, member, char *), .standard = text, .help = about }
#define URLS(key, member, text, about)                                                                                 \
    {                                                                                                                  \
        .name = key, .type = JQ_CONF_LIST, .offset = JQ_CONF_FIELD(S, member, struct jq_conf_list), .standard = text,  \
        .min = 1, .max = JQ_SETTINGS_URLS_MAX, .help = about                                                           \
    }

#define SECOND INT64_C(1000)
#define MINUTE (60 * SECOND)
#define HOUR   (60 * MINUTE)
#define DAY    (24 * HOUR)
#define YEAR   (366 * DAY)
#define KIB    INT64_C(1024)
#define MIB    (1024 * KIB)
#define GIB    (1024 * MIB)

static const char *const durability_names[] = {"memory", "write", "fsync", NULL};   /* enum jq_durability */
static const char *const policy_names[] = {"reject", "shed_lowest", "block", NULL}; /* enum jq_queue_policy */
static const char *const auth_names[] = {"off", "tokens", NULL};
static const char *const log_level_names[] = {"debug", "info", "warn", "error", NULL};
_Static_assert(JQ_DURABILITY_MEMORY == 0 && JQ_DURABILITY_WRITE == 1 && JQ_DURABILITY_FSYNC == 2,
               "names are in this order");

static const struct jq_conf_key broker_keys[] = {
    TEXT("data_dir", JQ_CONF_PATH, data_dir, "/var/lib/jqmesh", "Where the journal and all else that lasts is kept."),
    ENUM("durability", durability, durability_names, "fsync",
         "What an answer waits for: fsync survives power loss, write survives the broker; memory is not supported by "
         "this version."),
    URLS("listen_request", request_urls, "tcp://127.0.0.1:7710 ipc:///run/jqmesh/broker.sock",
         "Where clients and workers ask: tcp://HOST:PORT or ipc:///PATH."),
    URLS("listen_notice", notice_urls, "tcp://127.0.0.1:7711", "Where hints are published."),
    URLS("listen_survey", survey_urls, "tcp://127.0.0.1:7712", "Where workers are asked whether they live."),
    TEXT("listen_http", JQ_CONF_STRING, http_address, "127.0.0.1:7780",
         "HOST:PORT of /healthz, /readyz and /metrics; empty for none."),
    ENUM("auth", auth, auth_names, "tokens",
         "Who may ask: off trusts this machine and listens on nothing else; tokens wants one of everybody."),
    TEXT("tokens_file", JQ_CONF_PATH, tokens_file, "/etc/jqmesh/tokens",
         "Hashes of the tokens, with their roles: `jqctl token new` prints lines for it."),
    {.name = "ipc_mode",
     .type = JQ_CONF_MODE,
     .offset = JQ_CONF_FIELD(S, ipc_mode, int64_t),
     .standard = "0660",
     .min = 0600,
     .max = 0777,
     .help = "Mode of ipc sockets in the file system."},
    {.name = "queues_declared",
     .type = JQ_CONF_BOOL,
     .offset = JQ_CONF_FIELD(S, queues_declared, bool),
     .standard = "no",
     .help = "Whether only queues with a [queue NAME] section exist; else the first use makes one."},
    TIME("drain", drain_ms, 0, HOUR, "10s", "How long a stop waits for answers under way."),
    ENUM("log_level", log_level, log_level_names, "info", "The least that is logged."),
};

static const struct jq_conf_key limit_keys[] = {
    INT("depth_max", depth_max, 1, INT64_C(1) << 40, "10000000", "Tasks that wait in one queue; beyond: busy."),
    SIZE("bytes_max", bytes_max, 0, INT64_C(1) << 50, "0",
         "Bytes of tasks that wait in one queue; beyond: busy. 0: any."),
    INT("withheld_max", withheld_max, 0, 65536, "1024",
        "Submits that wait for room in queues whose policy is block; beyond: busy."),
    SIZE("withheld_bytes_max", withheld_bytes_max, 0, 16 * GIB, "64M", "Bytes of these submits; beyond: busy."),
    SIZE("memory_max", memory_max_bytes, 16 * MIB, INT64_C(1) << 50, "2G",
         "Memory of the broker's state; beyond: busy."),
    SIZE("disk_free_min", disk_free_min_bytes, 0, INT64_C(1) << 50, "256M",
         "Free space below which no new task is taken; outcomes still are. Tasks are handed out while there are 64 KiB "
         "for the outcome of each that runs."),
    SIZE("in_flight_max", in_flight_max_bytes, MIB, 16 * GIB, "64M",
         "Bytes of requests that were received and not decided; beyond: busy."),
    SIZE("output_max", output_max_bytes, 0, 64 * GIB, "64M",
         "Memory for what tasks have written, 64 KiB of stdout and of stderr each, for `jqctl task logs`; the oldest "
         "goes first."),
    INT("flows_max", flows_max, 16, 1000000, "65536", "Flows of which some task is remembered; beyond: busy."),
    INT("blobs_max", blobs_max, 0, 1000000, "65536", "Blobs that are stored; beyond: busy."),
    SIZE("blob_bytes_max", blob_bytes_max, 0, INT64_C(1) << 50, "10G",
         "Bytes of blobs that are stored or on their way; beyond: busy."),
    INT("cache_max", cache_max, 0, 10000000, "100000",
        "Results of pure handlers that are kept to answer the same task again; the least lately used go first. 0: "
        "none."),
    SIZE("cache_bytes_max", cache_bytes_max, 0, 64 * GIB, "64M", "Memory for them."),
    SIZE("cache_output_bytes_max", cache_output_bytes_max, 0, INT64_C(1) << 50, "1G",
         "Bytes of blobs, outputs of theirs, that they keep from being collected."),
    INT("classes_max", classes_max, 16, UINT16_MAX, "4096", "Different pairs of need and handler; beyond: busy."),
    INT("queues_max", queues_max, 1, UINT16_MAX, "10000", "Queues; beyond: busy."),
    INT("groups_max", groups_max, 1, 100000000, "1000000", "Groups that tasks name, in all queues; beyond: busy."),
    INT("limits_max", limits_max, 0, 1000000, "10000", "Limits that operators set; beyond: busy."),
    INT("workers_max", workers_max, 1, 100000, "10000", "Workers that are registered at one time."),
    INT("senders_max", senders_max, 1, 10000000, "100000", "Senders whose answered requests are remembered."),
    INT("finished_max", finished_max, 0, 1000000000, "1000000",
        "Finished tasks that are remembered; the oldest go first."),
    INT("parked_max", parked_max, 16, 1000000, "16384", "Polls and waits that are parked at one time."),
    INT("connections_max", connections_max, 16, 1000000, "16384",
        "Connections for requests; as many for notices, for surveys."),
    TIME("wait_max", wait_max_ms, SECOND, JQ_WAIT_MS_MAX, "20s", "How long a poll or a wait is parked at most."),
};

static const struct jq_conf_key liveness_keys[] = {
    TIME("heartbeat", heartbeat_ms, 50, HOUR, "2s", "How often workers are asked whether they live."),
    TIME("liveness", liveness_ms, 150, DAY, "15s", "How long a silent worker keeps its tasks; at least 3 heartbeats."),
};

static const struct jq_conf_key retry_keys[] = {
    INT("max", retry_max, 0, JQ_RETRY_COUNT_MAX, "3",
        "Failed attempts after which a task is dead, unless it says otherwise."),
    TIME("base", retry_base_ms, 0, DAY, "1s",
         "Backoff after the first failed attempt, unless the task says otherwise; it doubles with each."),
    TIME("cap", retry_cap_ms, 0, 30 * DAY, "10m", "The longest backoff, unless the task says otherwise."),
    INT("crash_limit", crash_limit, 1, JQ_RETRY_COUNT_MAX, "3", "Crashes after which a task is dead."),
    INT("lost_limit", lost_limit, 1, JQ_RETRY_COUNT_MAX, "10",
        "Times that a task can go down with its worker before it is dead."),
    INT("shortage_limit", shortage_limit, 1, JQ_RETRY_COUNT_MAX - 1, "20",
        "Shortages of the host in a row that a task outlives; the next one makes it dead."),
};

static const struct jq_conf_key breaker_keys[] = {
    {.name = "enabled",
     .type = JQ_CONF_BOOL,
     .offset = JQ_CONF_FIELD(S, breaker_enabled, bool),
     .standard = "yes",
     .help = "Whether failures open a breaker; an operator can always trip one."},
    TIME("window", breaker_window_ms, SECOND, HOUR, "60s", "Calls of the last so long are counted."),
    INT("min_calls", breaker_min_calls, 1, 1000000, "10", "Calls in the window that it takes to open one."),
    INT("failure_ratio", breaker_failure_ratio, 1, 100, "50", "Per cent of them that must have failed."),
    TIME("cool_down", breaker_cool_down_ms, 10, DAY, "30s", "How long one is open before it lets probes through."),
    TIME("cool_down_max", breaker_cool_down_max_ms, 10, DAY, "10m",
         "It doubles, up to this, each time that a probe fails."),
    INT("probes", breaker_probes, 1, 1000, "3", "Calls let through; when all succeed, it is closed."),
};

static const struct jq_conf_key order_keys[] = {
    TIME("aging_interval", aging_interval_ms, 0, 30 * DAY, "10m",
         "A task that was ready for so long is let past higher priorities, every eighth time."),
    TIME(
        "reserve_after", reserve_after_ms, 0, 30 * DAY, "30s",
        "A task that was ready for so long, and whose turn it is, but that fits nowhere, has a worker kept for it; 0s: "
        "never."),
};

static const struct jq_conf_key window_keys[] = {
    TIME("request_window", request_window_ms, 10 * SECOND, DAY, "10m",
         "How long the answer to a request is remembered, for a request that is sent again."),
    TIME("key_ttl", key_ttl_ms, 0, YEAR, "1d", "How long an idempotency key gives the first task's id."),
    TIME("result_ttl", result_ttl_ms, 0, YEAR, "1d", "How long a result is kept, unless its task says otherwise."),
    TIME("dead_ttl", dead_ttl_ms, 0, 10 * YEAR, "0s",
         "How long a dead letter stays; 0s: until it is replayed or removed."),
    TIME("blob_grace", blob_grace_ms, 60000, YEAR, "1h",
         "How long a blob is kept that no task refers to, after somebody asked for it last; and a put nobody goes on "
         "with."),
};

static const struct jq_conf_key journal_keys[] = {
    SIZE("segment_size", segment_size_bytes, MIB, 4 * GIB, "64M", "Largest size of one file of the journal."),
    SIZE(
        "first_segment_size", first_segment_size_bytes, 64 * KIB, 4 * GIB, "4M",
        "Size of the first file after a start: small, so that nobody waits for it. Each of the next is twice as long."),
    TIME("retention_time", retention_ms, 0, 10 * YEAR, "0s",
         "How long a file in which nothing live stands any more is kept, for `jqctl events past` and `jqctl journal`; "
         "0s: as retention_bytes says, or else not at all."),
    SIZE("retention_bytes", retention_bytes, 0, INT64_C(1) << 50, "0",
         "How many bytes of such files are kept at most, the newest ones; 0: as retention_time says."),
    TEXT("archive", JQ_CONF_PATH, archive_dir, "",
         "Where files go, compressed (zstd), that leave the journal, once the retention is over; empty: they are "
         "deleted."),
    {.name = "archive_command",
     .type = JQ_CONF_WORDS,
     .offset = JQ_CONF_FIELD(S, archive_command, struct jq_conf_list),
     .standard = "",
     .help = "A program that takes such a file away: %f is its path (if there is an archive, there), %n its name. "
             "It stays until the program exits with 0, also for what it has already."},
    TIME("archive_command_max", archive_command_ms, SECOND, DAY, "10m",
         "How long it may take for a file, then it is killed."),
    TIME("archive_keep", archive_keep_ms, 0, 100 * YEAR, "0s",
         "How long a file is kept in the folder `archive`; 0s: as archive_bytes_max says, or else for ever."),
    SIZE("archive_bytes_max", archive_bytes_max, 0, INT64_C(1) << 60, "0",
         "Bytes of the folder `archive`, above which its oldest files go; 0: as archive_keep says."),
};

static enum jq_err check_rate(struct jq_str value, struct jq_error *reterr) {
    struct jq_rate rate;
    return value.size > 0 ? jq_rate_parse(value, &rate, reterr) : JQ_OK;
}

#undef S
#define S struct jq_queue_settings
static const struct jq_conf_key queue_keys[] = {
    INT("depth_max", depth_max, 0, INT64_C(1) << 40, "0", "Tasks that wait in it; 0: as [limits] says."),
    SIZE("bytes_max", bytes_max, 0, INT64_C(1) << 50, "0", "Bytes of tasks that wait in it; 0: as [limits] says."),
    ENUM("policy", policy, policy_names, "reject",
         "When it is full: reject answers busy; shed_lowest drops the lowest task that waits for one of higher "
         "priority; "
         "block holds the answer back."),
    INT("weight", weight, 1, 1000, "1", "Its share of the workers, beside other queues that wait for the same ones."),
    {.name = "paused",
     .type = JQ_CONF_BOOL,
     .offset = JQ_CONF_FIELD(S, paused, bool),
     .standard = "no",
     .help = "Whether its first use makes it paused: it takes tasks and hands out none until `jqctl queue resume`."},
    INT("concurrency", concurrency, 0, 1000000000, "0",
        "How many of its tasks run at a time, unless `jqctl limit set queue:NAME` says otherwise; 0: any number."),
    {.name = "rate",
     .type = JQ_CONF_STRING,
     .offset = JQ_CONF_FIELD(S, rate, char *),
     .standard = "",
     .check = check_rate,
     .help = "How fast its tasks start, such as 100/h or 5/s, unless `jqctl limit set queue:NAME` says otherwise; "
             "empty: at any rate."},
};

#define KEYS(table) .keys = table, .key_count = sizeof table / sizeof table[0]
static const struct jq_conf_section sections[] = {
    {.name = "broker",
     .help = "The broker itself: what it keeps, where it listens, whom it serves.",
     KEYS(broker_keys)},
    {.name = "limits",
     .help = "Bounds. What would pass one is refused with `busy` and the name of the limit.",
     KEYS(limit_keys)},
    {.name = "liveness", .help = "When a worker counts as dead.", KEYS(liveness_keys)},
    {.name = "retry", .help = "What happens after a failure.", KEYS(retry_keys)},
    {.name = "breaker",
     .help = "Circuit breakers, one for each handler, worker and named service: when they hold tasks back, and for how "
             "long.",
     KEYS(breaker_keys)},
    {.name = "order", .help = "Guards against starvation.", KEYS(order_keys)},
    {.name = "window", .help = "How long things are remembered.", KEYS(window_keys)},
    {.name = "journal", .help = "The log on disk.", KEYS(journal_keys)},
    {.name = "queue",
     .help = "One queue that differs, and its name.",
     KEYS(queue_keys),
     .offset = JQ_CONF_FIELD(struct jq_broker_settings, queues, struct jq_conf_items),
     .item_size = sizeof(struct jq_queue_settings),
     .count_max = JQ_SETTINGS_QUEUES_MAX,
     .example = "cad"},
};

const struct jq_conf_schema jq_broker_schema = {
    .program = "jqbroker",
    .help = "The broker of jqmesh: keeps tasks on disk and hands them to workers that fit.",
    .sections = sections,
    .section_count = sizeof sections / sizeof sections[0],
};

/* ---- what no single key can tell --------------------------------------------------------------------------------- */

static enum jq_err check_urls(const char *key, const struct jq_conf_list *urls, bool auth_off,
                              struct jq_error *reterr) {
    for (size_t i = 0; i < urls->count; i++) {
        struct jq_address address;
        struct jq_error why = {0};
        const enum jq_err err = jq_address_parse(urls->items[i], &address, &why);
        if (err != JQ_OK)
            return jq_fail(reterr, err, "[broker] %s: %s", key, why.message);
        if (auth_off && !address.loopback)
            return jq_fail(reterr, JQ_ERR_DENIED,
                           "[broker] %s: %s is open to other machines: set auth = tokens and tokens_file first", key,
                           urls->items[i]);
    }
    return JQ_OK;
}

static enum jq_err check_access(const struct jq_broker_settings *settings, struct jq_error *reterr) {
    const bool off = settings->auth == JQ_AUTH_OFF;
    if (!off && settings->tokens_file[0] == '\0')
        return jq_fail(reterr, JQ_ERR_INVALID, "[broker] tokens_file: auth = tokens needs one");
    enum jq_err err = check_urls("listen_request", &settings->request_urls, off, reterr);
    if (err == JQ_OK)
        err = check_urls("listen_notice", &settings->notice_urls, off, reterr);
    if (err == JQ_OK)
        err = check_urls("listen_survey", &settings->survey_urls, off, reterr);
    return err;
}

/* Placeholders of a word, counted in `files` if they are %f; false: one that is unknown. */
static bool placeholders(const char *word, size_t *files) {
    const char *at = word;
    while ((at = strchr(at, '%')) != NULL) {
        if (at[1] != 'f' && at[1] != 'n' && at[1] != '%')
            return false;
        *files += at[1] == 'f';
        at += 2;
    }
    return true;
}

static enum jq_err check_command(const struct jq_conf_list *command, struct jq_error *reterr) {
    size_t files = 0;
    for (size_t i = 0; i < command->count; i++) {
        if (!placeholders(command->items[i], &files))
            return jq_fail(reterr, JQ_ERR_INVALID, "[journal] archive_command: only %%f, %%n and %%%% are known");
    }
    if (command->count > 0 && files == 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "[journal] archive_command: %%f, the file, is not in it");
    return JQ_OK;
}

static enum jq_err check_archive(const struct jq_broker_settings *settings, struct jq_error *reterr) {
    if (settings->archive_dir[0] == '\0' && (settings->archive_keep_ms > 0 || settings->archive_bytes_max > 0))
        return jq_fail(reterr, JQ_ERR_INVALID,
                       "[journal] archive: archive_keep and archive_bytes_max are about this folder");
    const enum jq_err err = check_command(&settings->archive_command, reterr);
    if (err != JQ_OK)
        return err;
    return check_access(settings, reterr);
}

enum jq_err jq_broker_settings_check(const struct jq_broker_settings *settings, struct jq_error *reterr) {
    if (settings->data_dir[0] == '\0')
        return jq_fail(reterr, JQ_ERR_INVALID, "[broker] data_dir: empty");
    if (settings->durability == JQ_DURABILITY_MEMORY)
        return jq_fail(reterr, JQ_ERR_UNSUPPORTED,
                       "[broker] durability: memory: tasks that are not journalled are not supported by this version");
    if (settings->liveness_ms < 3 * settings->heartbeat_ms)
        return jq_fail(reterr, JQ_ERR_INVALID,
                       "[liveness] liveness: less than 3 heartbeats: one lost message would kill a worker");
    if (settings->retry_cap_ms < settings->retry_base_ms)
        return jq_fail(reterr, JQ_ERR_INVALID, "[retry] cap: less than base");
    if (settings->breaker_cool_down_max_ms < settings->breaker_cool_down_ms)
        return jq_fail(reterr, JQ_ERR_INVALID, "[breaker] cool_down_max: less than cool_down");
    if ((int64_t)settings->queues.count > settings->queues_max)
        return jq_fail(reterr, JQ_ERR_INVALID, "[limits] queues_max: less than the %zu queues that have a section",
                       settings->queues.count);
    if (settings->first_segment_size_bytes > settings->segment_size_bytes)
        return jq_fail(reterr, JQ_ERR_INVALID, "[journal] first_segment_size: more than segment_size");
    return check_archive(settings, reterr);
}

enum jq_err jq_broker_settings_load(const struct jq_conf_args *args, struct jq_broker_settings *settings,
                                    struct jq_error *reterr) {
    enum jq_err err = jq_conf_load(&jq_broker_schema, args, JQ_BROKER_CONF_FILE, settings, reterr);
    if (err != JQ_OK)
        return err;
    err = jq_broker_settings_check(settings, reterr);
    if (err != JQ_OK)
        jq_broker_settings_fini(settings);
    return err;
}

void jq_broker_settings_fini(struct jq_broker_settings *settings) {
    jq_conf_fini(&jq_broker_schema, settings);
}

const struct jq_queue_settings *jq_broker_settings_queue(const struct jq_broker_settings *settings,
                                                         struct jq_str name) {
    return jq_conf_find_item(&settings->queues, sizeof(struct jq_queue_settings), name);
}
