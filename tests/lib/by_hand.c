#include "tests/lib/by_hand.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "tests/lib/event.h"

enum { REQUESTS_MAX = 64 };

static struct event came;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct by_hand_request requests[REQUESTS_MAX];
static size_t request_count;
static struct jq_server *server;

static void note_request(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    (void)ctx;
    (void)peer;
    pthread_mutex_lock(&lock);
    JQ_CHECK(request_count < REQUESTS_MAX);
    struct by_hand_request *request = &requests[request_count++];
    request->call = call;
    jq_buf_init(&request->frame, JQ_FRAME_SIZE_MAX);
    jq_buf_append(&request->frame, frame.data, frame.size);
    jq_unpacker_init(&request->unpacker);
    JQ_CHECK(jq_unpack(&request->unpacker, jq_buf_bytes(&request->frame), &request->root, NULL) == JQ_OK);
    const struct jq_view all = {&request->root};
    request->id = jq_view_to_uint(jq_view_at(all, JQ_AT_REQUEST_ID), 0);
    request->op = jq_view_to_str(jq_view_at(all, JQ_AT_REQUEST_OP));
    request->body = jq_view_at(all, JQ_AT_REQUEST_BODY);
    pthread_mutex_unlock(&lock);
    event_add(&came);
}

void by_hand_open(void) {
    const char *url = "tcp://127.0.0.1:0";
    const struct jq_server_config config = {.urls = &url, .url_count = 1, .on_request = note_request};
    came = (struct event)EVENT_INIT;
    assert_int_equal(jq_server_open(&config, &server, NULL), JQ_OK);
}

const char *by_hand_url(void) {
    return jq_server_url(server, 0);
}

void by_hand_close(void) {
    jq_server_stop(server);
    pthread_mutex_lock(&lock); /* of some that came nobody has waited for */
    for (; request_count > 0; request_count--) {
        jq_unpacker_fini(&requests[request_count - 1].unpacker);
        jq_buf_fini(&requests[request_count - 1].frame);
    }
    pthread_mutex_unlock(&lock);
}

uint64_t by_hand_count(void) {
    return event_count(&came);
}

const struct by_hand_request *by_hand_wait(size_t at) {
    assert_true(event_wait(&came, at + 1));
    pthread_mutex_lock(&lock);
    const struct by_hand_request *request = &requests[at];
    pthread_mutex_unlock(&lock);
    return request;
}

struct jq_pack by_hand_reply_begin(struct jq_buf *buf, const struct by_hand_request *request, enum jq_reply status,
                                   size_t fields) {
    jq_buf_init(buf, JQ_FRAME_SIZE_MAX);
    struct jq_pack pack = jq_pack_of(buf);
    jq_pack_array(&pack, JQ_COUNT_reply);
    jq_pack_uint(&pack, JQ_PROTOCOL_VERSION);
    jq_pack_uint(&pack, (uint64_t)status);
    jq_pack_uint(&pack, request->id);
    jq_pack_map(&pack, fields);
    return pack;
}

void by_hand_reply_end(struct jq_buf *buf, const struct by_hand_request *request) {
    assert_int_equal(jq_call_reply(request->call, jq_buf_bytes(buf)), JQ_OK);
    jq_buf_fini(buf);
}
