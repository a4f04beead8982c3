/* spec.h - a task to submit, from the command line or from one line of JSON.
 *
 * JSON: an object with the fields of a submit (PROTOCOL.md): handler, queue, payload (any JSON; becomes msgpack), priority (a
 * number or a name), delay_ms, eta_ms, expires_ms, need, want, key, unique, unique_ms, retry (a number, or {max, base_ms, cap_ms}),
 * soft_limit_ms, hard_limit_ms, result_ttl_ms, no_cache, headers, after (task ids), on, inputs (names and the SHA-256 of stored blobs, with or without
 * sha256: before it), outputs (names); and, as people write them, delay, unique_for, soft_limit, hard_limit, result_ttl ("1h30m"), eta,
 * expires (RFC 3339), params (an object, instead of payload).
 *
 * Ownership: texts and bytes of a spec lie in the memory that it was made with, until that is emptied.
 */
#ifndef JQ_TOOLS_JQCTL_SPEC_H
#define JQ_TOOLS_JQCTL_SPEC_H

#include "common/json_read.h"
#include "tools/jqctl/jqctl.h"

/* Memory that is given back all at once. */
struct jqctl_memory {
    struct jqctl_chunk *chunks;
    size_t size; /* bytes in use */
};

/* NULL: none is left. */
void *jqctl_memory_take(struct jqctl_memory *memory, size_t size);
void jqctl_memory_free(struct jqctl_memory *memory);

/* A task by the options of `task submit`, all but --payload. `handler` may be NULL. Prints what is wrong with an option. */
int jqctl_spec_of_options(const struct jqctl *ctl, const char *handler, struct jqctl_memory *memory,
                          struct jq_task_spec *ret_spec);

/* Sets `payload` by --payload: JSON, @FILE (JSON where it ends in .json and --raw is not given, else bytes), - (stdin). */
int jqctl_spec_payload(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec);

/* Sets `payload` to the msgpack of a JSON text. `origin` names it where it is none. */
int jqctl_spec_keep_json(const char *origin, struct jq_str text, struct jqctl_memory *memory,
                         struct jq_task_spec *spec);

/* Some of its options alone. What is not given stays untouched. */
int jqctl_spec_priority(const struct jqctl *ctl, int *ret_priority);
int jqctl_spec_retry(const struct jqctl *ctl, int *ret_retry);
int jqctl_spec_headers(const struct jqctl *ctl, struct jqctl_memory *memory, struct jq_task_spec *spec);

/* Reads the parts of one such object, wherever it stands: `in_task` is false again when it has ended. `name` and `after` are left to
 * the caller. */
struct jqctl_spec_reading {
    struct jqctl_memory *memory;
    struct jq_task_spec *spec;
    bool flow;                            /* the object may have a name, and `after` are names */
    const struct jqctl_spec_field *field; /* whose value comes next */
    bool in_task, in_retry, in_headers, in_after, in_inputs, in_outputs;
    const struct jqctl_spec_field *payload_field; /* that has set the payload; NULL: none has */
    int payload_depth;                            /* containers open within the payload */
    struct jq_buf payload;                        /* msgpack so far */
    struct jq_header *headers;
    size_t headers_max;
    const char *header_name; /* or that of an input */
    struct jq_named_blob *inputs;
    const char **outputs;
    const char *name; /* NULL: none */
    const char **after;
    size_t after_count;
};
void jqctl_spec_begin(struct jqctl_spec_reading *reading, struct jqctl_memory *memory, struct jq_task_spec *spec,
                      bool flow);
enum jq_err jqctl_spec_part(struct jqctl_spec_reading *reading, const struct jq_json_part *part,
                            struct jq_error *reterr);
void jqctl_spec_end(struct jqctl_spec_reading *reading);

/* Task ids by their texts. */
enum jq_err jqctl_spec_after(const char *const *texts, size_t count, struct jqctl_memory *memory,
                             struct jq_task_spec *spec, struct jq_error *reterr);

/* *spec holds what holds for all; what `line` says is set over it. JQ_ERR_INVALID, JQ_ERR_TOO_BIG name the field. */
enum jq_err jqctl_spec_of_json(struct jq_str line, struct jqctl_memory *memory, struct jq_task_spec *spec,
                               struct jq_error *reterr);

#endif
