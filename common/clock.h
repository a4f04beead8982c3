/* clock.h - the clocks of the machine, and core time.
 *
 * Core time starts at max(time of the last journalled block, wall clock) and then advances by CLOCK_BOOTTIME: it goes
 * through suspension, never goes back, and does not follow when somebody sets the clock. Leases, backoff, TTLs and
 * limits use it.
 */
#ifndef JQ_COMMON_CLOCK_H
#define JQ_COMMON_CLOCK_H

#include <stdint.h>
#include <sys/types.h>

/* Milliseconds since 1970, UTC. May jump either way. */
int64_t jq_clock_wall_ms(void);

/* Milliseconds since the machine was booted, time asleep included. Never goes back. */
int64_t jq_clock_boot_ms(void);

/* Nanoseconds of CLOCK_MONOTONIC: for measuring. */
int64_t jq_clock_mono_ns(void);

/* Processor time that a process has used so far; 0: there is none of that number. */
int64_t jq_clock_cpu_ms(pid_t pid);

struct jq_core_clock {
    int64_t offset_ms; /* core time minus boot time */
};

/* `last_ms`: core time of the last block in the journal, or 0. The clocks are arguments, so that tests choose them. */
void jq_core_clock_init(struct jq_core_clock *clock, int64_t last_ms, int64_t wall_ms, int64_t boot_ms);

/* Core time when the boot clock shows `boot_ms`, and core time now. */
int64_t jq_core_clock_at_ms(const struct jq_core_clock *clock, int64_t boot_ms);
int64_t jq_core_clock_now_ms(const struct jq_core_clock *clock);

/* Wall time minus core time now, which the core is told to place eta, expires and cron. May be negative. */
int64_t jq_core_clock_wall_offset_ms(const struct jq_core_clock *clock);

#endif
