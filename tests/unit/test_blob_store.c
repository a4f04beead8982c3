/* The store of blobs on a real file system: pieces, resuming, checks, the quota. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "broker/blob/reader.h"
#include "broker/blob/store.h"
#include "common/rng.h"
#include "common/sha256.h"
#include "common/text.h"
#include "worker/exec/workdir.h"

enum { PIECES = 70, SIZE = (PIECES - 1) * JQ_BLOB_CHUNK_SIZE + 7, QUOTA = 2 * SIZE };

struct bench {
    char dir[64];
    struct jq_store *store;
    uint8_t *data;
    uint8_t hash[JQ_BLOB_HASH_SIZE];
    uint64_t have;
    uint32_t version;
    const uint8_t *draft; /* name of the draft that is put; NULL: it goes by its hash */
    bool forgotten;       /* what `known` says of all blobs */
    uint64_t disk_free_min;
    struct jq_error error;
    void (*release)(void *ctx); /* of what is put; NULL: it is lent */
    atomic_uint released;
};

static bool known(void *ctx, const uint8_t *hash) {
    const struct bench *bench = ctx;
    (void)hash;
    return !bench->forgotten;
}

static void open_store(struct bench *bench) {
    const struct jq_store_config config = {.dir = bench->dir,
                                           .bytes_max = QUOTA,
                                           .disk_free_min = bench->disk_free_min,
                                           .idle_ms = 3600000,
                                           .ctx = bench,
                                           .known = known};
    assert_int_equal(jq_store_open(&config, &bench->store, &bench->error), JQ_OK);
}

static struct bench *bench_new(void) {
    struct bench *bench = calloc(1, sizeof(*bench));
    struct jq_rng rng;
    struct jq_sha256 sum;
    assert_non_null(bench);
    (void)snprintf(bench->dir, sizeof(bench->dir), "/tmp/jqmesh-test-XXXXXX");
    assert_non_null(mkdtemp(bench->dir));
    bench->data = malloc(SIZE);
    assert_non_null(bench->data);
    jq_rng_init(&rng, 7);
    for (size_t i = 0; i < SIZE; i++)
        bench->data[i] = (uint8_t)jq_rng_next(&rng);
    jq_sha256_init(&sum);
    jq_sha256_add(&sum, bench->data, SIZE);
    jq_sha256_end(&sum, bench->hash);
    open_store(bench);
    return bench;
}

static void bench_free(struct bench *bench) {
    jq_store_close(bench->store);
    const int tmp = open("/tmp", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(tmp >= 0 && jq_workdir_remove(tmp, bench->dir + strlen("/tmp/")));
    (void)close(tmp);
    free(bench->data);
    free(bench);
}

static enum jq_err put_many(struct bench *bench, uint64_t first, size_t count) {
    const uint64_t offset = first * JQ_BLOB_CHUNK_SIZE;
    const size_t size = SIZE - offset < count * JQ_BLOB_CHUNK_SIZE ? SIZE - offset : count * JQ_BLOB_CHUNK_SIZE;
    const struct jq_store_piece piece = {.offset = offset,
                                         .data = {bench->data + offset, size},
                                         .draft = bench->draft != NULL,
                                         .release = bench->release,
                                         .ctx = bench};
    const uint8_t *name = bench->draft ? bench->draft : bench->hash;
    return jq_store_put(bench->store, name, SIZE, &piece, 0, &bench->have, &bench->version, &bench->error);
}

static enum jq_err put(struct bench *bench, uint64_t piece) {
    return put_many(bench, piece, 1);
}

static void put_from(struct bench *bench, uint64_t first) {
    for (uint64_t i = first; i < PIECES; i++)
        assert_int_equal(put(bench, i), JQ_OK);
    assert_int_not_equal(bench->version, 0);
}

/* What the reader gave last. */
static uint8_t read_data[JQ_BLOB_PIECE_MAX];
static uint64_t read_size, read_inode;
static size_t read_count;

static enum jq_err read_back(struct bench *bench, struct jq_blob_reader *reader, uint64_t chunk, size_t chunk_count) {
    const struct jq_blob_span span = {.hash = bench->hash,
                                      .offset = chunk * JQ_BLOB_CHUNK_SIZE,
                                      .size = chunk_count * JQ_BLOB_CHUNK_SIZE,
                                      .into = read_data};
    return jq_blob_reader_read(reader, &span, &read_size, &read_count, &read_inode, &bench->error);
}

static void path_of(const struct bench *bench, char path[256]) {
    char hex[2 * JQ_BLOB_HASH_SIZE + 1];
    jq_text_format_hex((struct jq_bytes){bench->hash, JQ_BLOB_HASH_SIZE}, hex);
    (void)snprintf(path, 256, "%s/%.2s/%s", bench->dir, hex, hex);
}

/* Pieces may come in any order within the window, and twice; one too far ahead is passed over. Read back, each is what was put. */
static void pieces_come_in_any_order(void **state) {
    struct bench *bench = bench_new();
    struct jq_blob_reader *reader = NULL;
    (void)state;
    assert_int_equal(put(bench, 69), JQ_OK); /* passed over */
    for (uint64_t i = 64; i-- > 0;) {
        assert_int_equal(put(bench, i), JQ_OK);
        assert_int_equal(bench->have, i > 0 ? 0 : 64 * JQ_BLOB_CHUNK_SIZE);
    }
    assert_int_equal(put(bench, 3), JQ_OK);
    put_from(bench, 64);
    assert_true(jq_store_holds(bench->store, bench->hash, SIZE));
    assert_int_equal(jq_blob_reader_new(bench->dir, &reader, NULL), JQ_OK);
    for (uint64_t i = 0; i < PIECES; i++) {
        assert_int_equal(read_back(bench, reader, i, 1), JQ_OK);
        assert_int_equal(read_size, SIZE);
        assert_int_equal(read_count, i + 1 < PIECES ? JQ_BLOB_CHUNK_SIZE : 7);
        assert_memory_equal(read_data, bench->data + i * JQ_BLOB_CHUNK_SIZE, read_count);
    }
    jq_blob_reader_free(reader);
    bench_free(bench);
}

/* A piece may be many chunks, some of them known already; of the blob's end, and of what lies behind a gap, too. */
static void pieces_may_be_many_chunks(void **state) {
    struct bench *bench = bench_new();
    struct jq_blob_reader *reader = NULL;
    (void)state;
    assert_int_equal(put(bench, 2), JQ_OK);
    assert_int_equal(put_many(bench, 0, 20), JQ_OK);
    assert_int_equal(bench->have, 20 * JQ_BLOB_CHUNK_SIZE);
    assert_int_equal(put_many(bench, 60, 20), JQ_OK);
    assert_int_equal(bench->have, 20 * JQ_BLOB_CHUNK_SIZE);
    assert_int_equal(put_many(bench, 10, 20), JQ_OK);
    assert_int_equal(bench->have, 30 * JQ_BLOB_CHUNK_SIZE);
    assert_int_equal(put_many(bench, 30, 20), JQ_OK);
    assert_int_equal(put_many(bench, 50, 20), JQ_OK);
    assert_int_not_equal(bench->version, 0);
    assert_int_equal(jq_blob_reader_new(bench->dir, &reader, NULL), JQ_OK);
    for (uint64_t i = 0; i < PIECES; i += 20) {
        assert_int_equal(read_back(bench, reader, i, 20), JQ_OK);
        assert_int_equal(read_count, i < 60 ? 20 * JQ_BLOB_CHUNK_SIZE : SIZE - 60 * JQ_BLOB_CHUNK_SIZE);
        assert_memory_equal(read_data, bench->data + i * JQ_BLOB_CHUNK_SIZE, read_count);
    }
    jq_blob_reader_free(reader);
    bench_free(bench);
}

static void count_released(void *ctx) {
    struct bench *bench = ctx;
    atomic_fetch_add(&bench->released, 1);
}

/* Pieces that the store may keep are added up beside the writing; whatever comes out of its turn in between, or twice, the sum is
 * right, and every piece is released once, those of a put that ends early, too. */
static void pieces_that_are_kept_are_released_once(void **state) {
    struct bench *bench = bench_new();
    unsigned given = 0;
    (void)state;
    bench->release = count_released;
    static const uint64_t order[] = {0, 10, 30, 20, 40, 20, 50, 60};
    for (size_t i = 0; i < sizeof(order) / sizeof(order[0]); i++, given++)
        assert_int_equal(put_many(bench, order[i], 10), JQ_OK);
    const uint32_t version = bench->version;
    assert_int_not_equal(version, 0);
    assert_int_equal(atomic_load(&bench->released), given);
    assert_int_equal(put_many(bench, 10, 10), JQ_OK); /* it is there */
    assert_int_equal(atomic_load(&bench->released), ++given);
    assert_int_equal(jq_store_drop(bench->store, bench->hash, version, NULL), JQ_OK);
    bench->data[12345] ^= 1;
    for (uint64_t i = 0; i < 60; i += 10, given++)
        assert_int_equal(put_many(bench, i, 10), JQ_OK);
    assert_int_equal(put_many(bench, 60, 10), JQ_ERR_CORRUPT);
    assert_int_equal(atomic_load(&bench->released), ++given);
    assert_int_equal(put_many(bench, 0, 10), JQ_OK);
    jq_store_close(bench->store);
    assert_int_equal(atomic_load(&bench->released), ++given);
    open_store(bench);
    bench_free(bench);
}

/* A piece that comes after the last, of another who puts the same, begins nothing and takes no room. */
static void a_late_piece_finds_it_there(void **state) {
    struct bench *bench = bench_new();
    (void)state;
    put_from(bench, 0);
    const uint64_t used_bytes = jq_store_used_bytes(bench->store);
    assert_int_equal(put(bench, 7), JQ_OK);
    assert_int_equal(bench->have, SIZE);
    assert_int_equal(bench->version, 0);
    assert_int_equal(jq_store_used_bytes(bench->store), used_bytes);
    bench_free(bench);
}

/* Blobs leave the journal its room: at the disk's mark no put is begun, and none goes on. */
static void blobs_leave_the_disk_to_the_journal(void **state) {
    struct bench *bench = bench_new();
    (void)state;
    assert_int_equal(put(bench, 0), JQ_OK);
    jq_store_close(bench->store);
    bench->disk_free_min = UINT64_MAX / 2;
    open_store(bench);
    assert_int_equal(put(bench, 1), JQ_ERR_BUSY);
    assert_non_null(strstr(bench->error.message, "disk_free_min"));
    bench_free(bench);
}

/* A put that was cut off by the end of the broker goes on where nothing can be missing. */
static void a_put_goes_on_after_a_restart(void **state) {
    struct bench *bench = bench_new();
    bool on_disk = true;
    (void)state;
    for (uint64_t i = 0; i < 68; i++)
        assert_int_equal(put(bench, i), JQ_OK);
    jq_store_close(bench->store);
    open_store(bench);
    assert_int_equal(jq_store_have(bench->store, bench->hash, SIZE, 0, &bench->have, &on_disk, NULL), JQ_OK);
    assert_false(on_disk);
    assert_int_equal(bench->have, 4 * JQ_BLOB_CHUNK_SIZE);
    put_from(bench, 4);
    assert_int_equal(jq_store_have(bench->store, bench->hash, SIZE, 0, &bench->have, &on_disk, NULL), JQ_OK);
    assert_true(on_disk);
    bench_free(bench);
}

/* What is not what it was said to be is thrown away, and can be put again. */
static void another_sum_is_refused(void **state) {
    struct bench *bench = bench_new();
    (void)state;
    bench->data[12345] ^= 1;
    for (uint64_t i = 0; i + 1 < PIECES; i++)
        assert_int_equal(put(bench, i), JQ_OK);
    assert_int_equal(put(bench, PIECES - 1), JQ_ERR_CORRUPT);
    assert_int_equal(jq_store_used_bytes(bench->store), 0);
    bench->data[12345] ^= 1;
    put_from(bench, 0);
    bench_free(bench);
}

static void flip_byte(const struct bench *bench, off_t offset) {
    char path[256];
    uint8_t byte = 0;
    path_of(bench, path);
    FILE *file = fopen(path, "r+b");
    assert_non_null(file);
    assert_int_equal(fseeko(file, offset, SEEK_SET), 0);
    assert_int_equal(fread(&byte, 1, 1, file), 1);
    byte ^= 0x10;
    assert_int_equal(fseeko(file, offset, SEEK_SET), 0);
    assert_int_equal(fwrite(&byte, 1, 1, file), 1);
    assert_int_equal(fclose(file), 0);
}

/* A byte that has changed on disk is found by the piece in which it lies, also in what says how long the file is. */
static void a_flipped_byte_is_found(void **state) {
    struct bench *bench = bench_new();
    struct jq_blob_reader *reader = NULL;
    struct stat status;
    char path[256];
    (void)state;
    put_from(bench, 0);
    flip_byte(bench, 2 * JQ_BLOB_CHUNK_SIZE + 5);
    assert_int_equal(jq_blob_reader_new(bench->dir, &reader, NULL), JQ_OK);
    assert_int_equal(read_back(bench, reader, 0, 2), JQ_OK);
    assert_int_equal(read_back(bench, reader, 2, 1), JQ_ERR_CORRUPT);
    assert_int_equal(read_back(bench, reader, 1, 3), JQ_ERR_CORRUPT);
    path_of(bench, path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(read_inode, status.st_ino);
    flip_byte(bench, (off_t)status.st_size - 10);
    jq_blob_reader_rest(reader);
    assert_int_equal(read_back(bench, reader, 0, 1), JQ_ERR_CORRUPT);
    assert_false(jq_store_holds(bench->store, bench->hash, SIZE));
    assert_true(jq_store_drop_inode(bench->store, bench->hash, read_inode));
    assert_int_equal(read_back(bench, reader, 0, 1), JQ_ERR_NOT_FOUND);
    jq_blob_reader_free(reader);
    bench_free(bench);
}

/* A damaged file that the reader still has open is not what is read when it was put again. */
static void what_was_put_again_is_read(void **state) {
    struct bench *bench = bench_new();
    struct jq_blob_reader *reader = NULL;
    (void)state;
    put_from(bench, 0);
    flip_byte(bench, 5);
    assert_int_equal(jq_blob_reader_new(bench->dir, &reader, NULL), JQ_OK);
    assert_int_equal(read_back(bench, reader, 1, 1), JQ_OK);
    assert_true(jq_store_drop_inode(bench->store, bench->hash, read_inode));
    put_from(bench, 0);
    assert_int_equal(read_back(bench, reader, 0, 1), JQ_OK);
    assert_memory_equal(read_data, bench->data, read_count);
    jq_blob_reader_free(reader);
    bench_free(bench);
}

/* The quota counts what is stored and what is announced; a version protects a newer file from the news of an older one's end; a
 * start counts again, and removes what nobody knows. */
static void the_quota_versions_and_a_start(void **state) {
    struct bench *bench = bench_new();
    const uint8_t other[JQ_BLOB_HASH_SIZE] = {1};
    bool on_disk = false;
    (void)state;
    put_from(bench, 0);
    assert_int_equal(jq_store_have(bench->store, other, SIZE + 1, 0, &bench->have, &on_disk, &bench->error),
                     JQ_ERR_NO_SPACE);
    assert_int_equal(jq_store_have(bench->store, other, SIZE, 0, &bench->have, &on_disk, &bench->error), JQ_OK);
    assert_int_equal(jq_store_used_bytes(bench->store), QUOTA);
    assert_int_equal(jq_store_drop(bench->store, bench->hash, bench->version + 1, NULL), JQ_OK);
    assert_true(jq_store_holds(bench->store, bench->hash, SIZE));
    jq_store_close(bench->store);
    open_store(bench);
    assert_int_equal(jq_store_used_bytes(bench->store), QUOTA);
    assert_int_equal(jq_store_drop(bench->store, bench->hash, 0, NULL), JQ_OK);
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    put_from(bench, 0);
    jq_store_close(bench->store);
    bench->forgotten = true;
    open_store(bench);
    assert_false(jq_store_holds(bench->store, bench->hash, SIZE));
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE); /* what is announced and was not gone on with */
    bench_free(bench);
}

/* What nobody goes on with is thrown away, by the file's own clock; what is stored stays. */
static void an_abandoned_put_is_swept(void **state) {
    struct bench *bench = bench_new();
    struct stat status;
    (void)state;
    assert_int_equal(put(bench, 0), JQ_OK);
    assert_int_equal(stat(bench->dir, &status), 0);
    const int64_t made_ms = (int64_t)status.st_mtim.tv_sec * 1000;
    jq_store_sweep(bench->store, 1000, made_ms + 2000);
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    jq_store_sweep(bench->store, 7200000, made_ms + 7200000);
    assert_int_equal(jq_store_used_bytes(bench->store), 0);
    put_from(bench, 0);
    jq_store_sweep(bench->store, 72000000, made_ms + 72000000);
    assert_true(jq_store_holds(bench->store, bench->hash, SIZE));
    bench_free(bench);
}

static const uint8_t draft_name[JQ_BLOB_HASH_SIZE] = {7, 7}, other_name[JQ_BLOB_HASH_SIZE] = {7, 8};

/* Is it taken? */
static bool begin_draft(struct bench *bench, const uint8_t *name) {
    bool taken = false;
    assert_int_equal(jq_store_draft(bench->store, name, SIZE, 0, &bench->have, &taken, &bench->error), JQ_OK);
    return taken;
}

static void put_draft(struct bench *bench, const uint8_t *name, uint64_t first, uint64_t end) {
    bench->draft = name;
    for (uint64_t i = first; i < end; i++) {
        assert_int_equal(put(bench, i), JQ_OK);
    }
    bench->draft = NULL;
}

static enum jq_err name_draft(struct bench *bench, const uint8_t *name, const uint8_t *hash, bool *ret_on_disk) {
    return jq_store_name(bench->store, name, hash, SIZE, 0, &bench->have, ret_on_disk, &bench->version, &bench->error);
}

/* A draft is nothing but bytes that have come until it is said which blob it is; then it is checked, and stands under its hash. */
static void a_draft_gets_its_name(void **state) {
    struct bench *bench = bench_new();
    bool on_disk = false;
    (void)state;
    assert_true(begin_draft(bench, draft_name));
    put_draft(bench, draft_name, 0, PIECES);
    assert_int_equal(bench->have, SIZE);
    assert_int_equal(bench->version, 0);
    assert_false(jq_store_holds(bench->store, draft_name, SIZE));
    assert_false(jq_store_holds(bench->store, bench->hash, SIZE));
    assert_int_equal(name_draft(bench, draft_name, bench->hash, &on_disk), JQ_OK);
    assert_int_not_equal(bench->version, 0);
    assert_true(jq_store_holds(bench->store, bench->hash, SIZE));
    assert_int_equal(name_draft(bench, draft_name, bench->hash, &on_disk), JQ_OK); /* said again */
    assert_int_equal(bench->version, 0);
    assert_true(on_disk);
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    bench_free(bench);
}

/* A draft that is said to be what it is not is thrown away, and gives its room back. */
static void a_draft_is_checked(void **state) {
    struct bench *bench = bench_new();
    bool on_disk = false;
    (void)state;
    assert_true(begin_draft(bench, draft_name));
    put_draft(bench, draft_name, 0, PIECES);
    assert_int_equal(name_draft(bench, draft_name, other_name, &on_disk), JQ_ERR_CORRUPT);
    assert_false(jq_store_holds(bench->store, other_name, SIZE));
    assert_int_equal(jq_store_used_bytes(bench->store), 0);
    assert_true(begin_draft(bench, draft_name));
    assert_int_equal(bench->have, 0);
    bench_free(bench);
}

/* What might be stored already, or be on its way under its hash, is asked for by its hash: no draft of that size is begun, after a
 * start of the broker neither, until nothing has it any more. */
static void what_may_be_known_is_no_draft(void **state) {
    struct bench *bench = bench_new();
    (void)state;
    assert_int_equal(put(bench, 0), JQ_OK);
    assert_false(begin_draft(bench, draft_name));
    jq_store_close(bench->store);
    open_store(bench);
    assert_false(begin_draft(bench, draft_name));
    put_from(bench, 0);
    assert_false(begin_draft(bench, draft_name));
    jq_store_close(bench->store);
    open_store(bench);
    assert_false(begin_draft(bench, draft_name));
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    assert_int_equal(jq_store_drop(bench->store, bench->hash, 0, NULL), JQ_OK);
    assert_true(begin_draft(bench, draft_name));
    bench_free(bench);
}

/* A draft counts as what is announced, over a restart, after which it is gone on with; pieces of one that never began are refused, and
 * leave nothing; one that nobody goes on with is swept. */
static void a_draft_goes_on_or_is_swept(void **state) {
    struct bench *bench = bench_new();
    bool on_disk = false;
    (void)state;
    bench->draft = draft_name;
    assert_int_equal(put(bench, 0), JQ_ERR_NOT_FOUND);
    assert_int_equal(jq_store_used_bytes(bench->store), 0);
    assert_true(begin_draft(bench, draft_name));
    put_draft(bench, draft_name, 0, PIECES - 1);
    jq_store_close(bench->store);
    open_store(bench);
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    put_draft(bench, draft_name, 3, 4); /* a late piece finds it */
    assert_true(begin_draft(bench, draft_name));
    assert_in_range(bench->have, JQ_BLOB_CHUNK_SIZE, SIZE - 1);
    put_draft(bench, draft_name, bench->have / JQ_BLOB_CHUNK_SIZE, PIECES);
    assert_int_equal(name_draft(bench, draft_name, bench->hash, &on_disk), JQ_OK);
    assert_int_not_equal(bench->version, 0);
    assert_int_equal(jq_store_drop(bench->store, bench->hash, bench->version, NULL), JQ_OK);
    assert_true(begin_draft(bench, other_name));
    jq_store_sweep(bench->store, 7200000, INT64_MAX);
    assert_int_equal(jq_store_used_bytes(bench->store), 0);
    bench_free(bench);
}

/* Of two drafts of the same content the one that is named first is stored. The other is thrown away; so is one whose blob is coming by
 * its hash, which goes on as it was. One that is named before all of it is there goes on by its hash. */
static void the_first_of_two_drafts_is_stored(void **state) {
    struct bench *bench = bench_new();
    bool on_disk = false;
    (void)state;
    assert_true(begin_draft(bench, draft_name) && begin_draft(bench, other_name));
    put_draft(bench, draft_name, 0, 9);
    assert_int_equal(name_draft(bench, draft_name, bench->hash, &on_disk), JQ_OK);
    assert_int_equal(bench->have, 9 * JQ_BLOB_CHUNK_SIZE);
    assert_int_equal(jq_store_used_bytes(bench->store), 2 * SIZE);
    put_draft(bench, other_name, 0, PIECES);
    assert_int_equal(name_draft(bench, other_name, bench->hash, &on_disk), JQ_OK);
    assert_int_equal(bench->have, 9 * JQ_BLOB_CHUNK_SIZE);
    assert_int_equal(jq_store_used_bytes(bench->store), SIZE);
    put_from(bench, 9);
    assert_true(jq_store_holds(bench->store, bench->hash, SIZE));
    bench_free(bench);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_come_in_any_order),
        cmocka_unit_test(a_late_piece_finds_it_there),
        cmocka_unit_test(blobs_leave_the_disk_to_the_journal),
        cmocka_unit_test(a_put_goes_on_after_a_restart),
        cmocka_unit_test(pieces_may_be_many_chunks),
        cmocka_unit_test(pieces_that_are_kept_are_released_once),
        cmocka_unit_test(another_sum_is_refused),
        cmocka_unit_test(a_flipped_byte_is_found),
        cmocka_unit_test(the_quota_versions_and_a_start),
        cmocka_unit_test(an_abandoned_put_is_swept),
        cmocka_unit_test(what_was_put_again_is_read),
        cmocka_unit_test(a_draft_gets_its_name),
        cmocka_unit_test(a_draft_is_checked),
        cmocka_unit_test(what_may_be_known_is_no_draft),
        cmocka_unit_test(a_draft_goes_on_or_is_swept),
        cmocka_unit_test(the_first_of_two_drafts_is_stored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
