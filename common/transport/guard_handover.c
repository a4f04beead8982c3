#define _GNU_SOURCE
#include "common/transport/guard_handover.h"

#include <nng/nng.h>

#if NNG_MAJOR_VERSION == 1 && NNG_MINOR_VERSION < 6

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "common/transport/internal.h"

enum { PATIENCE_MS = 5, BATCH_MAX = 16 };

static atomic_bool late, keeping;

/* Of the queue, which lives as long as the process: where its threads wait. Known once the first of them does. */
static _Atomic(pthread_cond_t *) queue_condition;
static _Atomic(pthread_mutex_t *) queue_lock;

/* Of this thread. */
static _Thread_local struct {
    bool serves;      /* it is one of the queue's */
    bool added;       /* a task, since it has had the queue's lock */
    bool keeps;       /* one of the tasks in the queue is its own next one */
    unsigned locks;   /* of NNG's that it holds */
    unsigned unwoken; /* tasks that it added, for which somebody has still to be woken */
    bool gathers;     /* it is between guard_handover_begin_batch() and guard_handover_end_batch() .. */
    unsigned batch;   /* .. and has added so many tasks for which nobody was woken */
} own;

static void wake(unsigned count) {
    for (unsigned i = 0; i < count; i++) {
        pthread_cond_signal(atomic_load(&queue_condition));
    }
}

static void wake_for_batch(void) {
    const unsigned count = own.batch;
    own.batch = 0;
    wake(count);
}

static void gather(unsigned count) {
    own.batch += count;
    if (own.batch >= BATCH_MAX) {
        wake_for_batch();
    }
}

/* Wakes for what was added, but for one task if this thread may keep one. */
static void wake_others(bool may_keep) {
    unsigned count = own.unwoken;
    own.unwoken = 0;
    if (own.gathers) {
        gather(count);
        return;
    }
    if (may_keep && count > 0 && own.serves && !own.keeps && atomic_load(&keeping)) {
        own.keeps = true;
        count--;
    }
    wake(count);
}

void guard_handover_now(void) {
    if (own.keeps) {
        own.keeps = false;
        wake(1);
    }
}

int guard_handover_set_name(pthread_t thread, const char *name) {
    own.serves = strcmp(name, "nng:task") == 0;
    return pthread_setname_np(thread, name);
}

int guard_handover_lock(pthread_mutex_t *mutex) {
    own.locks++;
    return pthread_mutex_lock(mutex);
}

/* A thread of the queue that had the queue's lock and added nothing has taken a task from it: its own. */
static void note_queue_left(void) {
    if (!own.added) {
        own.keeps = false;
    }
    own.added = false;
}

int guard_handover_unlock(pthread_mutex_t *mutex) {
    const bool left_queue = mutex == atomic_load(&queue_lock);
    const int rc = pthread_mutex_unlock(mutex);
    if (left_queue) {
        note_queue_left();
    }
    own.locks -= own.locks > 0 ? 1 : 0;
    if (own.locks == 0 && own.unwoken > 0) {
        wake_others(true);
    }
    return rc;
}

int guard_handover_signal(pthread_cond_t *condition) {
    if (condition != atomic_load(&queue_condition)) {
        return pthread_cond_signal(condition);
    }
    own.added = true;
    if (own.locks == 0 || !atomic_load(&late)) {
        return pthread_cond_signal(condition);
    }
    own.unwoken++;
    return 0;
}

/* The first thing that a thread of the queue does is to wait for a task. Where it waits for one again it has found none: whatever it
 * kept, another has taken. Where it waits for something else, that may be what the task will do. */
static void prepare_to_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (own.serves && atomic_load(&queue_condition) == NULL) {
        atomic_store(&queue_lock, mutex);
        atomic_store(&queue_condition, condition);
    }
    if (condition == atomic_load(&queue_condition)) {
        own.keeps = own.added = false;
    } else {
        guard_handover_now();
    }
    wake_others(false);
}

/* What this thread waits for may be what another batch has left; and what is in its own, unless that wakes others first. */
static int wait_in_batch(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    if (own.batch == 0) {
        wake(1);
        return pthread_cond_wait(condition, mutex);
    }
    const struct timespec until = jq_monotonic_deadline(PATIENCE_MS);
    if (pthread_cond_clockwait(condition, mutex, CLOCK_MONOTONIC, &until) != 0) {
        wake_for_batch();
    }
    return 0; /* NNG looks again at what it waits for */
}

int guard_handover_wait(pthread_cond_t *condition, pthread_mutex_t *mutex) {
    prepare_to_wait(condition, mutex);
    return own.gathers ? wait_in_batch(condition, mutex) : pthread_cond_wait(condition, mutex);
}

int guard_handover_timed_wait(pthread_cond_t *condition, pthread_mutex_t *mutex, const struct timespec *until) {
    prepare_to_wait(condition, mutex);
    return pthread_cond_timedwait(condition, mutex, until);
}

void guard_handover_begin_batch(void) {
    own.gathers = atomic_load(&late) && atomic_load(&queue_condition) != NULL;
}

void guard_handover_end_batch(bool served) {
    own.gathers = false;
    if (!served) {
        wake_for_batch();
    }
    own.batch = 0;
}

void guard_handover_begin_late(void) {
    atomic_store(&late, true);
}

void guard_handover_begin_keeping(void) {
    atomic_store(&late, true);
    atomic_store(&keeping, true);
}

#endif
