#include "broker/shell/inbox.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

void jq_inbox_init(struct jq_inbox *inbox, size_t in_flight_max) {
    atomic_init(&inbox->newest, NULL);
    atomic_init(&inbox->asleep, 0);
    atomic_init(&inbox->rung, 0);
    atomic_init(&inbox->in_flight_bytes, 0);
    inbox->in_flight_max = in_flight_max;
}

bool jq_inbox_admit(struct jq_inbox *inbox, size_t size) {
    const size_t before = atomic_fetch_add(&inbox->in_flight_bytes, size);
    if (before == 0 || before + size <= inbox->in_flight_max)
        return true;
    atomic_fetch_sub(&inbox->in_flight_bytes, size);
    return false;
}

void jq_inbox_settle(struct jq_inbox *inbox, size_t size) {
    atomic_fetch_sub(&inbox->in_flight_bytes, size);
}

/* Whoever turns `asleep` back to 0 makes the one system call. */
static void wake(struct jq_inbox *inbox) {
    if (atomic_load(&inbox->asleep) != 0 && atomic_exchange(&inbox->asleep, 0) != 0)
        (void)syscall(SYS_futex, &inbox->asleep, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

void jq_inbox_push(struct jq_inbox *inbox, struct jq_inbox_item *item) {
    struct jq_inbox_item *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    do
        item->next = newest;
    while (!atomic_compare_exchange_weak(&inbox->newest, &newest, item));
    wake(inbox);
}

void jq_inbox_ring(struct jq_inbox *inbox) {
    atomic_store(&inbox->rung, 1);
    wake(inbox);
}

struct jq_inbox_item *jq_inbox_take_all(struct jq_inbox *inbox) {
    struct jq_inbox_item *item = atomic_exchange(&inbox->newest, NULL);
    struct jq_inbox_item *oldest = NULL;
    while (item != NULL) {
        struct jq_inbox_item *next = item->next;
        item->next = oldest;
        oldest = item;
        item = next;
    }
    return oldest;
}

static bool something_to_do(struct jq_inbox *inbox) {
    return atomic_load(&inbox->newest) != NULL || atomic_load(&inbox->rung) != 0;
}

void jq_inbox_wait(struct jq_inbox *inbox, int64_t timeout_us) {
    const int64_t us_per_s = 1000000;
    if (timeout_us > 0 && !something_to_do(inbox)) {
        const struct timespec timeout = {.tv_sec = timeout_us / us_per_s, .tv_nsec = timeout_us % us_per_s * 1000};
        atomic_store(&inbox->asleep, 1);
        /* Looked at again after the word was set: a sender that missed the word is seen here. */
        if (!something_to_do(inbox))
            (void)syscall(SYS_futex, &inbox->asleep, FUTEX_WAIT_PRIVATE, 1, &timeout, NULL, 0);
        atomic_store(&inbox->asleep, 0);
    }
    atomic_store(&inbox->rung, 0);
}

bool jq_inbox_empty(struct jq_inbox *inbox) {
    return atomic_load_explicit(&inbox->newest, memory_order_relaxed) == NULL;
}

size_t jq_inbox_in_flight_bytes(struct jq_inbox *inbox) {
    return atomic_load_explicit(&inbox->in_flight_bytes, memory_order_relaxed);
}
