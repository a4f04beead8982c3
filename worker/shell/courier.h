/* courier.h - what the files of one task are to the couriers: a job. Shared by files.c and courier*.c alone.
 *
 * Couriers are threads, started as jobs come and nobody is free, up to [worker] couriers of them; each has a connection of its own. courier.c has the
 * threads and their line of jobs, courier_fetch.c brings inputs, courier_cache.c keeps them within its quota, courier_store.c takes outputs away.
 */
#ifndef JQ_WORKER_SHELL_COURIER_H
#define JQ_WORKER_SHELL_COURIER_H

#include <pthread.h>

#include "worker/shell/files.h"

enum { FILES_MAX = JQ_FILES_COUNT_MAX, COURIERS_MAX = 16 };

struct jq_files {
    struct jq_files *next; /* in the couriers' line */
    bool waiting;          /* the loop's own: handed over, and not taken back */
    bool storing;          /* outputs; else inputs are fetched */
    bool under_way, done;
    bool abandoned; /* the run is gone: whoever is done with it last frees it */
    bool fetched, stored;
    struct jq_error error;
    size_t input_count, output_count;
    char input_names[FILES_MAX][JQ_NAME_SIZE_MAX + 1];
    struct jq_blob inputs[FILES_MAX];
    char output_names[FILES_MAX][JQ_NAME_SIZE_MAX + 1];
    struct jq_named_blob made[FILES_MAX];
    size_t made_count;
    uint64_t output_bytes_max;    /* of all that is stored */
    char staged[WORKER_PATH_MAX]; /* folder of the inputs; empty: none yet, or the work dir has it */
    char output[WORKER_PATH_MAX]; /* where the handler has left its files */
};

/* courier.c. Hands the job over; it is done when serve() sees it. */
void jq_courier_send(struct jq_courier *courier, struct jq_files *files);
/* True once for a job that is done. */
bool jq_courier_take(struct jq_courier *courier, struct jq_files *files);
/* Frees it now, or when its courier is done with it: at the next piece. */
void jq_courier_abandon(struct jq_courier *courier, struct jq_files *files);

/* ---- among the couriers ---- */

/* One of the threads. */
struct jq_courier_hand {
    struct jq_courier *courier;
    struct jq_client *client;      /* NULL: not connected yet */
    struct jq_files *files;        /* its job */
    const struct jq_blob *claimed; /* under `lock`: that it fetches into, or takes from, the cache; NULL: none */
    uint64_t reserved_bytes;       /* under `cache_lock`: of what it fetches into the cache; 0: none */
};

struct jq_courier {
    char *server, *token;
    char cache[WORKER_PATH_MAX];
    uint64_t cache_bytes_max;
    unsigned hand_count_max;
    bool switch_user;
    uid_t uid;
    gid_t gid;
    pthread_mutex_t cache_lock; /* of looking through the cache; before `lock` where both are held */

    pthread_mutex_t
        lock; /* of the rest, and of `under_way`, `done`, `abandoned` of jobs. Held for moments: the loop takes it. */
    pthread_cond_t changed;  /* there is a job */
    pthread_cond_t released; /* a claim has ended, or a job was abandoned */
    struct jq_files *first, **last;
    unsigned waiting_count; /* jobs in the line */
    unsigned idle_count;    /* hands without a job */
    unsigned hand_count;
    struct jq_courier_hand hands[COURIERS_MAX];
    struct jq_link *link; /* NULL: closed */
};

/* JQ_ERR_CANCELED where nobody wants the job of this hand any more. */
enum jq_err jq_courier_wanted(const struct jq_courier_hand *hand, struct jq_error *reterr);

/* courier_fetch.c, courier_store.c: the whole job. */
enum jq_err jq_courier_fetch(struct jq_courier_hand *hand, struct jq_error *reterr);
enum jq_err jq_courier_store(struct jq_courier_hand *hand, struct jq_error *reterr);

/* courier_cache.c. Nobody else touches the blob until it is released. JQ_ERR_CANCELED as above. */
enum jq_err jq_cache_claim(struct jq_courier_hand *hand, const struct jq_blob *blob, struct jq_error *reterr);
void jq_cache_release(struct jq_courier_hand *hand);
/* Room for the claimed blob, what was not used for longest going first. JQ_ERR_TOO_BIG: there is none. */
enum jq_err jq_cache_make_room(struct jq_courier_hand *hand, uint64_t size_bytes, struct jq_error *reterr);

#endif
