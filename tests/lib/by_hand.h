/* by_hand.h - a broker whose answers the test gives by hand, one by one. One at a time in a process. */
#ifndef JQ_TESTS_LIB_BY_HAND_H
#define JQ_TESTS_LIB_BY_HAND_H

#include "common/codec.h"
#include "common/codec_client.h"
#include "common/message.h"
#include "common/transport/server.h"

/* A request that came, whole. Lives until by_hand_close(). */
struct by_hand_request {
    struct jq_call *call;
    struct jq_buf frame;
    struct jq_unpacker unpacker;
    msgpack_object root;
    uint64_t id;
    struct jq_str op;
    struct jq_view body;
};

/* Fails the test if it cannot be. */
void by_hand_open(void);
const char *by_hand_url(void);
void by_hand_close(void);

/* How many requests have come so far; and the one of that number, from 0, waited for. */
uint64_t by_hand_count(void);
const struct by_hand_request *by_hand_wait(size_t at);

/* An answer whose body has `fields` fields: packed by the test, then sent. */
struct jq_pack by_hand_reply_begin(struct jq_buf *buf, const struct by_hand_request *request, enum jq_reply status,
                                   size_t fields);
void by_hand_reply_end(struct jq_buf *buf, const struct by_hand_request *request);

#endif
