/* Putting a file, as libjq does it, to brokers of other versions than its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/codec_client.h"
#include "common/libjq/jq.h"
#include "common/sha256.h"
#include "common/transport/server.h"

enum {
    SIZE = 9 * 1024 * 1024 + 5,
    CHUNK_COUNT = (SIZE + JQ_BLOB_CHUNK_SIZE - 1) / JQ_BLOB_CHUNK_SIZE,
    TIMEOUT_MS = 60000,
    NONE_REFUSED = UINT16_MAX,
};

/* A broker's store, as much of it as a put meets. One blob at a time. */
struct broker {
    struct jq_server *server;
    pthread_mutex_t lock; /* of all below */
    unsigned
        drafts_left;    /* requests of drafts that are taken; it knows none from then on, as brokers before them did */
    unsigned refused;   /* requests of drafts that were not */
    unsigned questions; /* by hash */
    char *shorten;      /* a file that becomes shorter when the first question comes; NULL: none */
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    uint8_t data[SIZE];
    bool come[CHUNK_COUNT];
    bool draft, whole;
};

static void reply(struct jq_call *call, uint64_t id, enum jq_reply status, struct jq_bytes body) {
    struct jq_buf buf;
    jq_buf_init(&buf, 512);
    struct jq_pack pack = jq_pack_of(&buf);
    jq_pack_array(&pack, 4);
    jq_pack_uint(&pack, JQ_PROTOCOL_VERSION);
    jq_pack_uint(&pack, status);
    jq_pack_uint(&pack, id);
    jq_pack_raw(&pack, body);
    JQ_CHECK(!buf.failed && jq_call_reply(call, jq_buf_bytes(&buf)) == JQ_OK);
    jq_buf_fini(&buf);
}

/* Field by field as a broker without drafts says it. */
static void refuse_draft(struct jq_call *call, uint64_t id) {
    struct jq_buf body;
    jq_buf_init(&body, 256);
    struct jq_pack pack = jq_pack_of(&body);
    jq_pack_map(&pack, 2);
    jq_pack_field_str(&pack, &jq_message_refusal, JQ_AT_REFUSAL_FIELD, JQ_STR("hash"));
    jq_pack_field_str(&pack, &jq_message_refusal, JQ_AT_REFUSAL_REASON, JQ_STR("missing"));
    reply(call, id, JQ_REPLY_INVALID, jq_buf_bytes(&body));
    jq_buf_fini(&body);
}

static uint64_t have(const struct broker *broker) {
    uint64_t chunk = 0;
    while (chunk < CHUNK_COUNT && broker->come[chunk]) {
        chunk++;
    }
    return chunk < CHUNK_COUNT ? chunk * JQ_BLOB_CHUNK_SIZE : SIZE;
}

static void say(const struct broker *broker, struct jq_call *call, uint64_t id) {
    struct jq_buf body;
    jq_buf_init(&body, 256);
    struct jq_pack pack = jq_pack_of(&body);
    jq_pack_map(&pack, broker->draft ? 3 : 2);
    jq_pack_field_uint(&pack, &jq_message_blob_put_reply, JQ_AT_BLOB_PUT_REPLY_HAVE, have(broker));
    jq_pack_field_bool(&pack, &jq_message_blob_put_reply, JQ_AT_BLOB_PUT_REPLY_WHOLE, broker->whole);
    if (broker->draft) {
        jq_pack_field_bool(&pack, &jq_message_blob_put_reply, JQ_AT_BLOB_PUT_REPLY_DRAFT, true);
    }
    reply(call, id, JQ_REPLY_OK, jq_buf_bytes(&body));
    jq_buf_fini(&body);
}

static bool sum_is(const struct broker *broker) {
    struct jq_sha256 sum;
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    jq_sha256_init(&sum);
    jq_sha256_add(&sum, broker->data, SIZE);
    jq_sha256_end(&sum, hash);
    return memcmp(hash, broker->hash, sizeof(hash)) == 0;
}

/* Another blob, or the same one that is no draft any more, begins at its beginning. */
static void begin(struct broker *broker, struct jq_bytes name, bool draft) {
    if (broker->draft != draft || memcmp(broker->hash, name.data, sizeof(broker->hash)) != 0) {
        memcpy(broker->hash, name.data, sizeof(broker->hash));
        broker->draft = draft;
        memset(broker->come, 0, sizeof(broker->come));
    }
}

static void take(struct broker *broker, struct jq_call *call, uint64_t id, struct jq_view body) {
    const struct jq_bytes hash = jq_view_bin(body, "hash"), draft = jq_view_bin(body, "draft");
    const struct jq_bytes data = jq_view_bin(body, "data");
    const uint64_t size = jq_view_uint(body, "size", 0), offset = jq_view_uint(body, "offset", 0);
    if (broker->shorten) {
        JQ_CHECK(truncate(broker->shorten, SIZE / 2) == 0);
        broker->shorten = NULL;
    }
    if (draft.size > 0 && broker->drafts_left == 0) {
        broker->refused++;
        refuse_draft(call, id);
        return;
    }
    JQ_CHECK(size == SIZE && (draft.size > 0) != (hash.size > 0) && data.size <= JQ_BLOB_CHUNK_SIZE);
    begin(broker, draft.size > 0 ? draft : hash, draft.size > 0);
    broker->drafts_left -= draft.size > 0;
    broker->questions += draft.size == 0 && data.size == 0;
    if (data.size > 0) {
        memcpy(broker->data + offset, data.data, data.size);
        broker->come[offset / JQ_BLOB_CHUNK_SIZE] = true;
    }
    broker->whole = !broker->draft && have(broker) == SIZE && sum_is(broker);
    say(broker, call, id);
}

static void on_request(void *ctx, struct jq_call *call, struct jq_bytes frame, const struct jq_peer *peer) {
    struct broker *broker = ctx;
    msgpack_object root;
    (void)peer;
    JQ_CHECK(jq_unpack(jq_unpacker_of_thread(), frame, &root, NULL) == JQ_OK && root.via.array.size >= 7);
    const msgpack_object *fields = root.via.array.ptr;
    JQ_CHECK(jq_str_equal(jq_object_str(&fields[JQ_AT_REQUEST_OP]), JQ_STR("blob.put")));
    pthread_mutex_lock(&broker->lock);
    take(broker, call, fields[JQ_AT_REQUEST_ID].via.u64, (struct jq_view){&fields[JQ_AT_REQUEST_BODY]});
    pthread_mutex_unlock(&broker->lock);
}

/* ---- the file ---- */

struct bench {
    struct broker *broker; /* lives as long as the process, as its server does */
    struct jq_client *client;
    char path[64];
};

static void write_file(struct bench *bench) {
    (void)snprintf(bench->path, sizeof(bench->path), "/tmp/jq-test-put-XXXXXX");
    const int fd = mkstemp(bench->path);
    assert_true(fd >= 0);
    uint8_t *data = malloc(SIZE);
    assert_non_null(data);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)(i * 2654435761u >> 24);
    }
    assert_int_equal(write(fd, data, SIZE), SIZE);
    free(data);
    assert_int_equal(close(fd), 0);
}

static struct bench *bench_new(unsigned drafts_left) {
    struct bench *bench = calloc(1, sizeof(*bench));
    assert_non_null(bench);
    bench->broker = calloc(1, sizeof(*bench->broker));
    assert_non_null(bench->broker);
    const char *url = "tcp://127.0.0.1:0";
    const struct jq_server_config config = {
        .urls = &url, .url_count = 1, .ctx = bench->broker, .on_request = on_request};
    bench->broker->drafts_left = drafts_left;
    assert_int_equal(pthread_mutex_init(&bench->broker->lock, NULL), 0);
    assert_int_equal(jq_server_open(&config, &bench->broker->server, NULL), JQ_OK);
    const struct jq_connect_config connect = {.server = jq_server_url(bench->broker->server, 0),
                                              .timeout_ms = TIMEOUT_MS};
    assert_int_equal(jq_connect(&connect, &bench->client, NULL), JQ_OK);
    write_file(bench);
    return bench;
}

static void bench_free(struct bench *bench) {
    jq_disconnect(bench->client);
    assert_int_equal(jq_server_drain(bench->broker->server, TIMEOUT_MS), JQ_OK);
    jq_server_stop(bench->broker->server);
    assert_int_equal(unlink(bench->path), 0);
    free(bench);
}

/* Requests of a put that has ended may still be under way. */
static unsigned count_of(struct bench *bench, const unsigned *count) {
    pthread_mutex_lock(&bench->broker->lock);
    const unsigned now = *count;
    pthread_mutex_unlock(&bench->broker->lock);
    return now;
}

static void put_comes_over(struct bench *bench) {
    struct jq_blob blob;
    struct jq_error error = {.message = ""};
    if (jq_blob_put_file(bench->client, bench->path, &blob, &error) != JQ_OK) {
        fail_msg("%s", error.message);
    }
    pthread_mutex_lock(&bench->broker->lock);
    assert_true(bench->broker->whole); /* by its sum */
    assert_memory_equal(blob.hash, bench->broker->hash, sizeof(blob.hash));
    pthread_mutex_unlock(&bench->broker->lock);
}

/* A broker from before drafts refuses the first of them, for it lacks the hash: then the file is added up, and comes by its hash. */
static void a_broker_without_drafts_gets_the_file_by_its_hash(void **state) {
    struct bench *bench = bench_new(0);
    (void)state;
    put_comes_over(bench);
    assert_int_equal(count_of(bench, &bench->broker->refused), 1);
    assert_int_equal(count_of(bench, &bench->broker->questions), 1);
    bench_free(bench);
}

/* So it is where a draft has begun when the broker becomes an older one, as when an update is taken back: what had come is sent anew. */
static void a_draft_that_has_begun_is_no_hindrance(void **state) {
    struct bench *bench = bench_new(CHUNK_COUNT / 2);
    (void)state;
    put_comes_over(bench);
    assert_in_range(count_of(bench, &bench->broker->refused), 1, 8); /* as many as were under way */
    assert_int_equal(count_of(bench, &bench->broker->questions), 1);
    bench_free(bench);
}

/* A file that became shorter meanwhile has no hash by which it could be put: its putter is told, and no broker is asked for it. */
static void a_file_that_became_shorter_is_not_asked_for(void **state) {
    static const unsigned drafts[] = {0, NONE_REFUSED};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct bench *bench = bench_new(drafts[i]);
        struct jq_blob blob;
        struct jq_error error;
        bench->broker->shorten = bench->path;
        assert_int_equal(jq_blob_put_file(bench->client, bench->path, &blob, &error), JQ_ERR_CONFLICT);
        assert_non_null(strstr(error.message, "shorter"));
        assert_int_equal(count_of(bench, &bench->broker->questions), 0);
        bench_free(bench);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_broker_without_drafts_gets_the_file_by_its_hash),
        cmocka_unit_test(a_draft_that_has_begun_is_no_hindrance),
        cmocka_unit_test(a_file_that_became_shorter_is_not_asked_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
