/* decode.h - frames that came in, as the core's events: hostile bytes go in, checked requests come out.
 *
 * One decoder holds one request: everything that the request points to lives in the decoder until its next decode, also
 * after the frame is gone. Decoders are pooled: one that has been used keeps its memory, up to about 0.7 MiB after the
 * largest requests.
 *
 * A frame that is refused leaves a refusal, ready for jq_encode_refusal(). A bad task in a submit does not refuse the
 * others: its `refused`, `field` and `reason` are set. Whoever may ask what is not decided here: see
 * jq_envelope.op->role.
 *
 * Threads:   a decoder belongs to one thread at a time.
 * Errors:    JQ_ERR_PROTOCOL (no frame of ours), JQ_ERR_INVALID, JQ_ERR_TOO_BIG, JQ_ERR_NOMEM; "field: reason".
 */
#ifndef JQ_BROKER_SHELL_DECODE_H
#define JQ_BROKER_SHELL_DECODE_H

#include "broker/core/event.h"
#include "common/err.h"
#include "common/message.h"
#include "common/types.h"

struct jq_decoder; /* Opaque: jq_decoder_new() .. jq_decoder_free(). */

/* What the core does not need of a request. */
struct jq_envelope {
    const struct jq_op_info *op;           /* number 0 is hello, which the shell answers by itself */
    struct jq_str token;                   /* of the principal; empty: none */
    struct jq_str peer_name, peer_version; /* hello only */
};

struct jq_refusal {
    uint64_t request; /* 0: could not be read */
    enum jq_reply status;
    const char *field, *reason;
};

/* What a request gets that does not say it itself, and what it is cut to. */
struct jq_decode_config {
    uint32_t retry_max, retry_base_ms, retry_cap_ms; /* of a task */
    int64_t result_ttl_ms;
    int64_t wait_ms_max; /* of a poll or a wait; at most JQ_WAIT_MS_MAX */
};

/* The defaults of PROTOCOL.md. */
void jq_decode_config_init(struct jq_decode_config *config);

/* Copies `config`; NULL: the defaults. NULL: out of memory. */
struct jq_decoder *jq_decoder_new(const struct jq_decode_config *config);
void jq_decoder_free(struct jq_decoder *decoder);

/* `call`, `pipe` and the session of a register are left 0: the shell's to set. Times to wait, wants and sizes are cut
 * to what the protocol allows. An op of number 0 leaves request->op as JQ_OP_NONE. */
enum jq_err jq_decode_request(struct jq_decoder *decoder, struct jq_bytes frame, struct jq_request *ret_request,
                              struct jq_envelope *ret_envelope, struct jq_error *reterr);

/* The same of a frame above JQ_FRAME_SIZE_MAX, which can only be a blob.put. It is not copied: the data stay in `frame`. */
enum jq_err jq_decode_large_request(struct jq_decoder *decoder, struct jq_bytes frame, struct jq_request *ret_request,
                                    struct jq_envelope *ret_envelope, struct jq_error *reterr);

/* Why the last decode failed. Lives until the next. */
const struct jq_refusal *jq_decoder_refusal(const struct jq_decoder *decoder);

/* A worker's answer to a survey. */
enum jq_err jq_decode_survey_response(struct jq_decoder *decoder, struct jq_bytes frame,
                                      struct jq_survey_response *ret_response, struct jq_error *reterr);

#endif
