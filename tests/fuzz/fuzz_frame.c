/* fuzz_frame.c - frames from clients and workers: decoded as the shell does, and what passes goes on into a core. */
#include "broker/core/core.h"
#include "broker/shell/decode.h"
#include "tests/fuzz/fuzz.h"

enum { FRAMES_MAX = 24 };

static uint64_t lsn;

static void on_record(void *ctx, struct jq_record *record) {
    (void)ctx;
    record->lsn = lsn += 64;
    record->size = 64;
}

static void on_effect(void *ctx, const struct jq_effect *effect) {
    (void)ctx;
    (void)effect;
}

static bool same_bytes(const uint8_t *a, const uint8_t *b) {
    return (a == NULL) == (b == NULL) && (a == NULL || memcmp(a, b, JQ_BLOB_HASH_SIZE) == 0);
}

/* A large request is a blob.put, and read as one that is not large would be: they differ in what is copied. */
static void read_as_large(struct jq_decoder *decoder, struct jq_bytes frame) {
    struct jq_envelope envelope;
    struct jq_request large, request;
    struct jq_decoder *other = jq_decoder_new(NULL);
    JQ_CHECK(other != NULL);
    if (jq_decode_large_request(other, frame, &large, &envelope, NULL) == JQ_OK && frame.size <= JQ_FRAME_SIZE_MAX) {
        JQ_CHECK(large.op == JQ_OP_BLOB_PUT);
        JQ_CHECK(jq_decode_request(decoder, frame, &request, &envelope, NULL) == JQ_OK);
        JQ_CHECK(request.op == large.op && request.id == large.id && request.u.blob.size == large.u.blob.size &&
                 request.u.blob.offset == large.u.blob.offset && request.u.blob.draft == large.u.blob.draft &&
                 request.u.blob.data.size == large.u.blob.data.size &&
                 same_bytes(request.u.blob.hash, large.u.blob.hash) &&
                 same_bytes(request.u.blob.named, large.u.blob.named));
    }
    jq_decoder_free(other);
}

static void deliver(struct jq_core *core, struct jq_decoder *decoder, struct jq_bytes frame, int64_t now_ms) {
    static const struct jq_output output = {NULL, on_record, on_effect};
    struct jq_envelope envelope;
    struct jq_error error;
    struct jq_event event = {.type = JQ_EVENT_REQUEST, .now_ms = now_ms, .wall_ms = now_ms};
    if (jq_decode_request(decoder, frame, &event.u.request, &envelope, &error) == JQ_OK) {
        if (envelope.op->number == 0) {
            return; /* hello never reaches the core */
        }
        event.u.request.call = (uint64_t)now_ms;
        if (event.u.request.op == JQ_OP_REGISTER) {
            memset(event.u.request.u.reg.session.bytes, (int)(now_ms & 3), 16);
        }
        jq_core_step(core, &event, &output);
        return;
    }
    JQ_CHECK(error.message[0] != '\0' && jq_decoder_refusal(decoder)->status != JQ_REPLY_OK);
    event.type = JQ_EVENT_SURVEY_RESPONSE;
    if (jq_decode_survey_response(decoder, frame, &event.u.survey, &error) == JQ_OK) {
        jq_core_step(core, &event, &output);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const struct jq_output output = {NULL, on_record, on_effect};
    struct fuzz_input input = {data, size};
    struct jq_core_config config;
    struct jq_core *core = NULL;
    jq_core_config_init(&config);
    fuzz_config(&config);
    JQ_CHECK(jq_core_new(&config, 1, &core, NULL) == JQ_OK);
    struct jq_decoder *decoder = jq_decoder_new(NULL);
    JQ_CHECK(decoder != NULL);
    jq_core_start(core, 1, 1000, 1000, &output);
    for (int64_t i = 1; i <= FRAMES_MAX && input.size > 0; i++) {
        const struct jq_bytes piece = fuzz_piece(&input);
        const struct jq_str frame = fuzz_text(piece.data, piece.size);
        read_as_large(decoder, (struct jq_bytes){(const uint8_t *)frame.data, frame.size});
        deliver(core, decoder, (struct jq_bytes){(const uint8_t *)frame.data, frame.size}, 1000 + 700 * i);
        free((char *)(uintptr_t)frame.data);
    }
    JQ_CHECK(jq_core_digest(core) == jq_core_digest_slow(core));
    jq_decoder_free(decoder);
    jq_core_free(core);
    return 0;
}
