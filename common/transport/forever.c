/* forever.c - objects that live as long as the process, because NNG may call back into them until then.
 *
 * They stay reachable from here, so that leak detectors do not take them for lost.
 */
#include <pthread.h>
#include <stdlib.h>

#include "common/transport/internal.h"

struct immortal {
    struct immortal *next;
    max_align_t object[];
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct immortal *immortals;

void *jq_alloc_forever(size_t size) {
    struct immortal *immortal = calloc(1, sizeof *immortal + size);
    if (immortal == NULL) {
        return NULL;
    }
    pthread_mutex_lock(&lock);
    immortal->next = immortals;
    immortals = immortal;
    pthread_mutex_unlock(&lock);
    return immortal->object;
}
