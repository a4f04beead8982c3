/* decode_internal.h - what the files of the decoder share. Nobody else includes it. */
#ifndef JQ_BROKER_SHELL_DECODE_INTERNAL_H
#define JQ_BROKER_SHELL_DECODE_INTERNAL_H

#include "broker/shell/decode.h"
#include "broker/shell/decode_arena.h"
#include "broker/shell/decode_need.h"
#include "common/codec_fields.h"

struct jq_decoder {
    struct jq_decode_config config;
    struct jq_arena arena; /* the frame, arrays and texts of the request */
    struct jq_buf bodies;  /* what the core keeps opaque; never moves within one request */
    struct jq_need_cache needs;
    struct jq_fault fault;
    struct jq_refusal refusal;
};

/* Each fills the part of the request that is its op's. False: decoder->fault is set. */
typedef bool jq_decode_body(struct jq_decoder *decoder, const struct jq_values *values, struct jq_request *request);
jq_decode_body jq_decode_submit;
jq_decode_body jq_decode_register;
jq_decode_body jq_decode_lease;
jq_decode_body jq_decode_report;
jq_decode_body jq_decode_flow_begin;
jq_decode_body jq_decode_flow_add;
jq_decode_body jq_decode_flow_commit;
jq_decode_body jq_decode_flow_cancel;
jq_decode_body jq_decode_flow_show;
jq_decode_body jq_decode_flow_ls;
jq_decode_body jq_decode_flow_wait;

/* The tasks of a submit or of a flow.add, into request->u.submit. */
bool jq_decode_items(struct jq_decoder *decoder, const msgpack_object *tasks, struct jq_request *request);

/* A list of task ids, in the arena. */
bool jq_decode_ids(struct jq_decoder *decoder, const msgpack_object *object, const jq_task_id **ret_ids,
                   size_t *ret_count);
jq_decode_body jq_decode_dead_edit;
jq_decode_body jq_decode_breaker_ls;
jq_decode_body jq_decode_breaker;
jq_decode_body jq_decode_schedule_set;

/* One task of checked fields. False: the fault says why. */
bool jq_decode_task(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item);
jq_decode_body jq_decode_limit_set;
jq_decode_body jq_decode_limit_ls;
jq_decode_body jq_decode_limit_rm;

jq_decode_body jq_decode_blob_put;
jq_decode_body jq_decode_blob_get;
jq_decode_body jq_decode_blob_stat;
jq_decode_body jq_decode_blob_ls;

/* The files of a task, and those that an attempt has left. False: the fault says why. */
bool jq_decode_files(struct jq_decoder *decoder, const struct jq_values *values, struct jq_submit_item *item);
bool jq_decode_made(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_report *report);

/* Arrays and texts in the arena. NULL, and the fault set: out of memory. Elements are not cleared. */
void *jq_decode_array(struct jq_decoder *decoder, size_t count, size_t element_size);

/* A selection, where one is given; else NULL. False: the fault says why. */
bool jq_decode_where(struct jq_decoder *decoder, const struct jq_values *values, unsigned place,
                     const struct jq_where **ret_where);

/* A time to wait, as far as it is granted. */
int64_t jq_decode_wait_ms(const struct jq_decoder *decoder, const struct jq_values *values, unsigned place);

/* A canonical need. False: the fault says why, at `field`. */
bool jq_decode_need(struct jq_decoder *decoder, struct jq_str text, const char *field, struct jq_str *ret_canonical);

/* A canonical want. False: the fault says why. */
bool jq_decode_want(struct jq_decoder *decoder, struct jq_str text, struct jq_str *ret_canonical);

/* Payload and headers behind each other, as journal and lease carry them; each is nil where it is not given. False: the headers
 * are too big, the fault says so. */
bool jq_decode_pack_body(struct jq_decoder *decoder, const struct jq_value *payload, const struct jq_value *headers,
                         struct jq_bytes *ret_body);

/* Checks what a field reader cannot: the soft limit lies below the hard one. 0: none. */
bool jq_decode_limits(struct jq_decoder *decoder, uint64_t soft_ms, uint64_t hard_ms);

/* The text behind "prefix: " in an error's message: our faults name the field apart. */
const char *jq_decode_reason(const struct jq_error *error, const char *prefix);

#endif
