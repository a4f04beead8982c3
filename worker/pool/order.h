/* order.h - what a warm process is told: a frame of u32 length (little-endian) and that many bytes of JSON.
 *
 *     {"type":"task","task":"17","attempt":1,"handler":"thumbnail","queue":"default",
 *      "work_dir":"/…","output_dir":"/…","final_dir":"/…","soft_limit_ms":0,"hard_limit_ms":60000,
 *      "units":{"gpu":[0]},"params":{"size":64},"payload":"gaRzaXplQA=="}
 *
 * `payload` is the payload in base64. `params` is the same read: a msgpack map, or JSON text that is an object; missing where the payload
 * is neither (bytes within it stand in base64). `output_dir` is null where the worker has none. In the work dir lie `parents.json`, of a task
 * that waited for others, and the folder `inputs`, of one that has files.
 */
#ifndef JQ_WORKER_POOL_ORDER_H
#define JQ_WORKER_POOL_ORDER_H

#include "common/buf.h"
#include "common/need.h"
#include "common/types.h"

enum { JQ_POOL_ORDER_SIZE_MAX = 768 * 1024 };

struct jq_pool_order {
    jq_task_id task;
    uint32_t attempt;
    const char *handler, *queue;
    const char *work_dir;
    const char *output_dir, *final_dir; /* NULL: none */
    int64_t soft_limit_ms, hard_limit_ms;
    const struct jq_offers *units; /* NULL: none */
    struct jq_bytes payload;
};

/* The payload as an object of JSON, `{}` where there is none, into a buffer that is not initialised and has to be freed in any case. False:
 * the payload is neither a msgpack map nor an object of JSON. */
bool jq_pool_params(struct jq_buf *params, struct jq_bytes payload);

/* Appends the frame. `buf->failed` says that it did not fit. */
void jq_pool_order_write(struct jq_buf *buf, const struct jq_pool_order *order);

#endif
