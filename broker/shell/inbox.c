#include "broker/shell/inbox.h"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "common/clock.h"

enum { NS_PER_US = 1000, GUEST_WAIT_NS = 1000000000 };
enum { RETRY_UNKNOWN_MS = 200, RETRY_MIN_MS = 20, RETRY_MAX_MS = 10000, IDLE_SECONDS = 3 };

void jq_inbox_init(struct jq_inbox *inbox, size_t in_flight_max) {
    atomic_init(&inbox->newest, NULL);
    atomic_init(&inbox->place, JQ_INBOX_TAKEN);
    atomic_init(&inbox->rung, 0);
    atomic_init(&inbox->in_flight_bytes, 0);
    inbox->in_flight_max = in_flight_max;
    atomic_init(&inbox->full, false);
    atomic_init(&inbox->drain_bps, 0);
    inbox->until_ns = 0;
    inbox->window_ns = 0;
    inbox->window_bytes = 0;
}

bool jq_inbox_admit(struct jq_inbox *inbox, size_t size) {
    const size_t before = atomic_fetch_add(&inbox->in_flight_bytes, size);
    const bool full = atomic_load_explicit(&inbox->full, memory_order_relaxed);
    if (before == 0 || (!full && before + size <= inbox->in_flight_max))
        return true;
    atomic_store_explicit(&inbox->full, true, memory_order_relaxed);
    atomic_fetch_sub(&inbox->in_flight_bytes, size);
    return false;
}

static size_t low_mark(const struct jq_inbox *inbox) {
    return inbox->in_flight_max / 8 * 7;
}

/* Half of it new with each window of a second. */
static void measure(struct jq_inbox *inbox, size_t size, int64_t now_ns) {
    const int64_t ns_per_s = 1000000000;
    inbox->window_bytes += size;
    const int64_t span_ns = now_ns - inbox->window_ns;
    if (span_ns < ns_per_s)
        return;
    if (span_ns > IDLE_SECONDS * ns_per_s) { /* Nothing came for most of it. */
        inbox->window_ns = now_ns;
        inbox->window_bytes = 0;
        return;
    }
    const uint64_t bps = (uint64_t)((double)inbox->window_bytes * (double)ns_per_s / (double)span_ns);
    const uint64_t before = atomic_load_explicit(&inbox->drain_bps, memory_order_relaxed);
    atomic_store_explicit(&inbox->drain_bps, before > 0 ? before / 2 + bps / 2 : bps, memory_order_relaxed);
    inbox->window_ns = now_ns;
    inbox->window_bytes = 0;
}

void jq_inbox_settle(struct jq_inbox *inbox, size_t size, int64_t now_ns) {
    const size_t left = atomic_fetch_sub(&inbox->in_flight_bytes, size) - size;
    measure(inbox, size, now_ns);
    if (left <= low_mark(inbox) && atomic_load_explicit(&inbox->full, memory_order_relaxed))
        atomic_store_explicit(&inbox->full, false, memory_order_relaxed);
}

int64_t jq_inbox_retry_ms(struct jq_inbox *inbox) {
    const size_t waiting = jq_inbox_in_flight_bytes(inbox), low = low_mark(inbox);
    const uint64_t bps = atomic_load_explicit(&inbox->drain_bps, memory_order_relaxed);
    const uint64_t ms_per_s = 1000;
    if (bps == 0)
        return RETRY_UNKNOWN_MS;
    const uint64_t wait_ms = waiting > low ? (waiting - low) * ms_per_s / bps : 0;
    return wait_ms < RETRY_MIN_MS ? RETRY_MIN_MS : wait_ms > RETRY_MAX_MS ? RETRY_MAX_MS : (int64_t)wait_ms;
}

static void futex_wait(struct jq_inbox *inbox, enum jq_inbox_place while_place, int64_t timeout_ns) {
    const int64_t ns_per_s = 1000000000;
    const struct timespec timeout = {.tv_sec = timeout_ns / ns_per_s, .tv_nsec = timeout_ns % ns_per_s};
    (void)syscall(SYS_futex, &inbox->place, FUTEX_WAIT_PRIVATE, while_place, &timeout, NULL, 0);
}

static void futex_wake(struct jq_inbox *inbox) {
    (void)syscall(SYS_futex, &inbox->place, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0);
}

static bool change_place(struct jq_inbox *inbox, enum jq_inbox_place from, enum jq_inbox_place to) {
    unsigned expected = from;
    return atomic_load(&inbox->place) == expected && atomic_compare_exchange_strong(&inbox->place, &expected, to);
}

/* A guest needs no waking: it looks again before it leaves. */
static void wake(struct jq_inbox *inbox) {
    if (change_place(inbox, JQ_INBOX_FREE, JQ_INBOX_TAKEN))
        futex_wake(inbox);
}

static void add(struct jq_inbox *inbox, struct jq_inbox_item *item) {
    struct jq_inbox_item *newest = atomic_load_explicit(&inbox->newest, memory_order_relaxed);
    do
        item->next = newest;
    while (!atomic_compare_exchange_weak(&inbox->newest, &newest, item));
}

void jq_inbox_push(struct jq_inbox *inbox, struct jq_inbox_item *item) {
    add(inbox, item);
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

bool jq_inbox_waits(struct jq_inbox *inbox) {
    return atomic_load(&inbox->newest) != NULL || atomic_load(&inbox->rung) != 0;
}

/* Until the place is the receiver's again: given, or free when its time has come. */
static void sleep_in(struct jq_inbox *inbox) {
    for (unsigned place = atomic_load(&inbox->place); place != JQ_INBOX_TAKEN; place = atomic_load(&inbox->place)) {
        const int64_t left_ns = inbox->until_ns - jq_clock_mono_ns();
        if (left_ns > 0)
            futex_wait(inbox, place, left_ns);
        else if (place == JQ_INBOX_GUEST_WANTED)
            futex_wait(inbox, place, GUEST_WAIT_NS);
        else if (!change_place(inbox, JQ_INBOX_FREE, JQ_INBOX_TAKEN))
            (void)change_place(inbox, JQ_INBOX_GUEST, JQ_INBOX_GUEST_WANTED);
    }
}

void jq_inbox_wait(struct jq_inbox *inbox, int64_t timeout_us) {
    if (timeout_us > 0 && !jq_inbox_waits(inbox)) {
        inbox->until_ns = jq_clock_mono_ns() + timeout_us * NS_PER_US;
        atomic_store(&inbox->place, JQ_INBOX_FREE);
        /* Looked at again after the word was set: a sender that missed the word is seen here. */
        if (!jq_inbox_waits(inbox) || !change_place(inbox, JQ_INBOX_FREE, JQ_INBOX_TAKEN))
            sleep_in(inbox);
    }
    atomic_store(&inbox->rung, 0);
}

bool jq_inbox_bring(struct jq_inbox *inbox, struct jq_inbox_item *item) {
    add(inbox, item);
    return change_place(inbox, JQ_INBOX_FREE, JQ_INBOX_GUEST);
}

void jq_inbox_serve(struct jq_inbox *inbox) {
    atomic_store(&inbox->rung, 0);
}

void jq_inbox_leave(struct jq_inbox *inbox, int64_t timeout_us) {
    const bool sooner = jq_clock_mono_ns() + timeout_us * NS_PER_US < inbox->until_ns;
    if (sooner || jq_inbox_waits(inbox) || !change_place(inbox, JQ_INBOX_GUEST, JQ_INBOX_FREE)) {
        atomic_store(&inbox->place, JQ_INBOX_TAKEN);
        futex_wake(inbox);
    } else if (jq_inbox_waits(inbox)) {
        wake(inbox); /* A sender that still saw a guest relied on it. */
    }
}

bool jq_inbox_empty(struct jq_inbox *inbox) {
    return atomic_load_explicit(&inbox->newest, memory_order_relaxed) == NULL;
}

size_t jq_inbox_in_flight_bytes(struct jq_inbox *inbox) {
    return atomic_load_explicit(&inbox->in_flight_bytes, memory_order_relaxed);
}
