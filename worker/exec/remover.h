/* remover.h - directories that have to go: small ones at once, large ones on a thread of their own, which the loop does not wait for.
 *
 * What is large (more than a few entries, or a very large file) is renamed to `.gone.N` in a root directory, so that its name is free at once,
 * and removed behind. As much as waits for that is bounded: one more is removed in the caller's thread, which slows down who makes so much.
 *
 * Threads: one thread calls these functions. The remover's own thread starts with the first directory that is large.
 */
#ifndef JQ_WORKER_EXEC_REMOVER_H
#define JQ_WORKER_EXEC_REMOVER_H

#include <pthread.h>
#include <stdbool.h>

enum { JQ_REMOVER_WAITING_MAX = 16, JQ_REMOVER_NAME_SIZE = 32 };

struct jq_remover_item {
    int root_fd; /* owned */
    char name[JQ_REMOVER_NAME_SIZE];
};

struct jq_remover {
    unsigned long next; /* of `.gone.N` */
    bool held;          /* see jq_remover_init() */
    bool started;
    pthread_t thread;
    pthread_mutex_t lock; /* of the rest */
    pthread_cond_t changed;
    bool closing;                                         /* no more will come */
    bool hurry;                                           /* what is left is left */
    struct jq_remover_item items[JQ_REMOVER_WAITING_MAX]; /* a ring */
    unsigned first, count;
};

/* `held`: nothing is removed by the thread before jq_remover_release(). */
void jq_remover_init(struct jq_remover *remover, bool held);
void jq_remover_release(struct jq_remover *remover);

/* Removes `name` in dir_fd; if it is large, by way of root_fd, on the same file system. False: it is still there. */
bool jq_remover_take(struct jq_remover *remover, int root_fd, int dir_fd, const char *name);

/* Everything in root_fd, as left by somebody before. */
void jq_remover_take_all(struct jq_remover *remover, int root_fd);

/* Waits for what is under way, at most for two seconds: what is left then stays, as `.gone.N`. */
void jq_remover_close(struct jq_remover *remover);

#endif
