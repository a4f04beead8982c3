#define _GNU_SOURCE
#include "common/clock.h"

#include "common/err.h"

#include <time.h>

static struct timespec read_clock(clockid_t id) {
    struct timespec now = {0};
    /* These three clocks exist on every Linux that we run on. */
    JQ_CHECK(clock_gettime(id, &now) == 0);
    return now;
}

static int64_t read_ms(clockid_t id) {
    const struct timespec now = read_clock(id);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

int64_t jq_clock_wall_ms(void) {
    return read_ms(CLOCK_REALTIME);
}

int64_t jq_clock_boot_ms(void) {
    return read_ms(CLOCK_BOOTTIME);
}

int64_t jq_clock_mono_ns(void) {
    const struct timespec now = read_clock(CLOCK_MONOTONIC);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t jq_clock_cpu_ms(pid_t pid) {
    clockid_t clock = 0;
    struct timespec used = {.tv_sec = 0};
    if (clock_getcpuclockid(pid, &clock) != 0 || clock_gettime(clock, &used) != 0)
        return 0;
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

void jq_core_clock_init(struct jq_core_clock *clock, int64_t last_ms, int64_t wall_ms, int64_t boot_ms) {
    clock->offset_ms = (last_ms > wall_ms ? last_ms : wall_ms) - boot_ms;
}

int64_t jq_core_clock_at_ms(const struct jq_core_clock *clock, int64_t boot_ms) {
    return clock->offset_ms + boot_ms;
}

int64_t jq_core_clock_now_ms(const struct jq_core_clock *clock) {
    return jq_core_clock_at_ms(clock, jq_clock_boot_ms());
}

int64_t jq_core_clock_wall_offset_ms(const struct jq_core_clock *clock) {
    return jq_clock_wall_ms() - jq_core_clock_now_ms(clock);
}
