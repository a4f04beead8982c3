/* courier.h - what the files of one task are to the courier's thread: a job. Shared by files.c and courier.c alone. */
#ifndef JQ_WORKER_SHELL_COURIER_H
#define JQ_WORKER_SHELL_COURIER_H

#include "worker/shell/files.h"

enum { FILES_MAX = JQ_FILES_COUNT_MAX };

struct jq_files {
    struct jq_files *next; /* in the courier's line */
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
    char staged[WORKER_PATH_MAX]; /* folder of the inputs; empty: none yet, or the work dir has it */
    char output[WORKER_PATH_MAX]; /* where the handler has left its files */
};

/* courier.c. Hands the job over; it is done when serve() sees it. */
void jq_courier_send(struct jq_courier *courier, struct jq_files *files);
/* True once for a job that is done. */
bool jq_courier_take(struct jq_courier *courier, struct jq_files *files);
/* Frees it now, or when the courier is done with it. */
void jq_courier_abandon(struct jq_courier *courier, struct jq_files *files);

#endif
