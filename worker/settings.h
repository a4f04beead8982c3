/* settings.h - what can be configured of a worker: the struct, the table of keys that fills it (conf/jqworker.conf),
 * and the handlers that it defines (conf/handlers.d/NAME.conf).
 *
 * Defaults, bounds and a sentence on each key are in settings.c; the fields here carry their units in their names. What
 * has been loaded is checked to the last value: needs, offers, facts and commands parse.
 */
#ifndef JQ_WORKER_SETTINGS_H
#define JQ_WORKER_SETTINGS_H

#include "common/conf.h"
#include "common/need.h"

#define JQ_WORKER_CONF_FILE "/etc/jqmesh/jqworker.conf"

enum { JQ_SETTINGS_HANDLERS_MAX = 256, JQ_SETTINGS_PROBES_MAX = 64, JQ_HANDLER_VERSION_SIZE_MAX = 64 };

enum jq_sandbox_mode {
    JQ_SANDBOX_PREFER,
    JQ_SANDBOX_REQUIRE,
    JQ_SANDBOX_OFF,
};

enum jq_handler_kind {
    JQ_HANDLER_EXEC,
    JQ_HANDLER_POOL,
    JQ_HANDLER_FREECAD,
};

/* [handler NAME] */
struct jq_handler_settings {
    struct jq_conf_item item;    /* item.name: the handler's name */
    int64_t kind;                /* enum jq_handler_kind */
    struct jq_conf_list command; /* exec, pool: an argv; template.h says what is replaced in it (exec) */
    char *script;                /* freecad: a file in [freecad] scripts_dir, or an absolute path */
    char *need;                  /* parses, at most JQ_NEED_HANDLER_GROUPS_MAX alternatives */
    int64_t soft_limit_ms;       /* 0: none; likewise the hard limit */
    int64_t hard_limit_ms;
    bool pure;
    char *version;
    char *service;    /* that a failure of class network is about, where the handler names none; empty: none */
    int64_t input;    /* enum jq_handler_input */
    int64_t result;   /* enum jq_handler_result */
    int64_t stall_ms; /* 0: none */
    int64_t output_max_bytes;
    int64_t output_files_max_bytes;
    int64_t pids_max;
    int64_t file_size_max_bytes;
    bool network;
    struct jq_conf_list read, write; /* absolute paths */
    struct jq_conf_list env;         /* NAME=value */
    int64_t tasks_max;               /* pool: of one process; 0: any number, likewise the others */
    int64_t rss_max_bytes;
    int64_t age_max_ms;
    int64_t start_ms;
};

enum jq_handler_input {
    JQ_HANDLER_INPUT_PAYLOAD, /* the payload on stdin */
    JQ_HANDLER_INPUT_NONE,    /* stdin is empty */
    JQ_HANDLER_INPUT_JSON,    /* the payload as an object of JSON */
};
enum jq_handler_result {
    JQ_HANDLER_RESULT_STDOUT,
    JQ_HANDLER_RESULT_FILE, /* {output} */
};

/* [fact NAME]: a fact that a command finds out: the first line that it prints. */
struct jq_fact_probe {
    struct jq_conf_item item;
    struct jq_conf_list command;
    int64_t timeout_ms;
};

struct jq_worker_settings {
    /* [worker] */
    char *name; /* empty: the host's */
    char *request_url, *survey_url;
    char *token_file; /* empty: none */
    char *offers;     /* for jq_worker_settings_offers() */
    char *facts;
    char *accept; /* names of offers; empty: every task */
    char *handlers_dir;
    char *state_dir;
    char *work_dir;
    char *output_dir;
    int64_t blob_cache_bytes;
    int64_t couriers;             /* 1 .. COURIERS_MAX */
    int64_t slots;                /* 0: the number of cpus */
    int64_t slots_min, slots_max; /* slots_max 0: as many as `slots` says, always */
    int64_t drain_ms, grace_ms, idle_exit_ms;
    int64_t sandbox;          /* enum jq_sandbox_mode */
    struct jq_conf_list read; /* absolute paths */
    char *doorbell;           /* empty: as the socket says that the service manager handed over, else none */
    char *run_as;             /* user name; empty: the worker's own */
    char *cgroup;             /* "auto", "none", or an absolute path */
    int64_t memory_pressure_percent, psi_pressure_percent;
    int64_t log_level; /* enum jq_log_level */

    /* [freecad] */
    struct jq_conf_list freecad_command;
    char *freecad_scripts_dir;
    int64_t freecad_ping_ms, freecad_start_ms, freecad_recycle_ms;

    struct jq_conf_items probes;   /* of struct jq_fact_probe */
    struct jq_conf_items handlers; /* of struct jq_handler_settings, in the order of files, then as written */
};

extern const struct jq_conf_schema jq_worker_schema;
/* Of a file in handlers.d: [handler NAME] alone. */
extern const struct jq_conf_schema jq_handler_schema;

/* Defaults, file, --set, then the files of handlers_dir (none if it does not exist and was not named), then
 * jq_worker_settings_check(). `settings` is zeroed memory; freed by jq_worker_settings_fini(). */
enum jq_err jq_worker_settings_load(const struct jq_conf_args *args, struct jq_worker_settings *settings,
                                    struct jq_error *reterr);
void jq_worker_settings_fini(struct jq_worker_settings *settings);

enum jq_err jq_worker_settings_check(const struct jq_worker_settings *settings, struct jq_error *reterr);
enum jq_err jq_handler_settings_check(const struct jq_handler_settings *handler, struct jq_error *reterr);

/* JQ_ERR_INVALID names the first key that cannot change while the worker runs. */
enum jq_err jq_worker_settings_may_become(const struct jq_worker_settings *now, const struct jq_worker_settings *then,
                                          struct jq_error *reterr);

/* What the worker offers, from `offers` and `slots`: the word `auto` stands for the cpus and memory (bytes) found here,
 * names given beside it overrule them. slots is always there: what is given, else the number of cpus. */
enum jq_err jq_worker_settings_offers(const struct jq_worker_settings *settings, unsigned cpu_count,
                                      uint64_t memory_bytes, struct jq_offers *ret_offers, struct jq_error *reterr);

/* The environment variable in which a handler finds its units of an indexed offer: JQ_GPU of gpu. */
enum { JQ_UNIT_VARIABLE_SIZE = JQ_NAME_SIZE_MAX + 4 };
const char *jq_unit_variable(struct jq_str offer, char out[JQ_UNIT_VARIABLE_SIZE]);

size_t jq_worker_settings_handler_count(const struct jq_worker_settings *settings);
const struct jq_handler_settings *jq_worker_settings_handler(const struct jq_worker_settings *settings, size_t index);
const struct jq_handler_settings *jq_worker_settings_find_handler(const struct jq_worker_settings *settings,
                                                                  struct jq_str name);
size_t jq_worker_settings_probe_count(const struct jq_worker_settings *settings);
const struct jq_fact_probe *jq_worker_settings_probe(const struct jq_worker_settings *settings, size_t index);

#endif
