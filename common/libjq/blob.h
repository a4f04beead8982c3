/* blob.h - transfers of blobs that somebody watches. Private to libjq and the worker's shell. */
#ifndef JQ_COMMON_LIBJQ_BLOB_H
#define JQ_COMMON_LIBJQ_BLOB_H

#include "common/libjq/jq.h"

/* `look` is called in the calling thread as soon as the size is known, before anything is written, and from then on with every piece: of what is
 * read to be hashed, sent, or has come. Anything but JQ_OK ends the transfer with that error; what had come stays, as after any other. */
struct jq_blob_watch {
    enum jq_err (*look)(void *ctx, uint64_t size_bytes, struct jq_error *reterr);
    void *ctx;
};

/* As those of jq.h. `watch` may be NULL. */
enum jq_err jq_blob_put_watched(struct jq_client *client, const char *path, const struct jq_blob_watch *watch,
                                struct jq_blob *ret_blob, struct jq_error *reterr);
enum jq_err jq_blob_get_watched(struct jq_client *client, const struct jq_blob *blob, const char *path,
                                const struct jq_blob_watch *watch, struct jq_error *reterr);

#endif
