/* sim_week.c - days of mixed load without faults of the disk: how long the log is beside what is live in it.
 *
 * By day much is asked for, by night little; some tasks wait for days, most come and go, results are kept for a day, operators hold,
 * move, replay and remove. Once a day the broker is killed or loses power. Every invariant is checked as in any run; each hour the
 * log is measured. No retention is configured: what the log may have, files and all, is twice what is live, and two segments.
 */
#include <inttypes.h>
#include <stdio.h>

#include "tests/sim/sim_shrink.h"

enum { HOUR_MS = 3600000, DAY_MS = 24 * HOUR_MS, TICK_MS = 2000, SEGMENT_BYTES = 1 << 20, SHORT_HOURS = 48 };

struct week {
    uint64_t log_most, live_then, live_most;
    double ratio_most;       /* of what is needed of the log to what it may be */
    double files_ratio_most; /* likewise, of all that is there */
    uint64_t hours;
};

void week_choose(struct sim *sim) {
    struct jq_core_config *config = &sim->config;
    const bool brief = sim->options->hours < SHORT_HOURS;
    sim->swarm = (struct sim_swarm){.operators = 15,
                                    .pause_ms = 60000,
                                    .run_max_ms = 60000,
                                    .commit_max_ms = 20,
                                    .tick_ms = TICK_MS,
                                    .delay_max_ms = brief ? HOUR_MS : 3 * DAY_MS,
                                    .segment_bytes = brief ? SEGMENT_BYTES / 4 : SEGMENT_BYTES,
                                    .body_bytes = 1024,
                                    .pure = true};
    const struct jq_queue_config *queues = config->queues;
    const uint32_t queue_count = config->queue_count;
    jq_core_config_init(config);
    config->queues = queues;
    config->queue_count = queue_count;
    config->queues_max = 6;
    config->classes_max = 100;
    config->options_max = 100;
    config->log_slack_bytes = sim->swarm.segment_bytes / 2;
    config->heartbeat_ms = 20000;
    config->liveness_ms = 150000;
    config->dead_ttl_ms = brief ? HOUR_MS : DAY_MS;
}

static void measure(struct sim *sim, struct week *week) {
    struct jq_journal_stat stat;
    jq_journal_stat(sim->broker.journal, &stat);
    const uint64_t needed = stat.written_lsn - jq_core_needs_from(sim->broker.core);
    const uint64_t live = move_live_bytes(sim) + sim->broker.prologue_bytes;
    const uint64_t most = 2 * live + 2 * (uint64_t)sim->swarm.segment_bytes;
    const double ratio = (double)needed / (double)most;
    const double files_ratio = (double)(stat.written_lsn - stat.first_lsn) / (double)most;
    week->hours++;
    week->live_most = live > week->live_most ? live : week->live_most;
    week->files_ratio_most = files_ratio > week->files_ratio_most ? files_ratio : week->files_ratio_most;
    if (ratio > week->ratio_most) {
        week->ratio_most = ratio;
        week->log_most = needed;
        week->live_then = live;
    }
    if (stat.written_lsn - stat.first_lsn > most) {
        sim_fail(sim,
                 "the log has %" PRIu64 " bytes, %" PRIu64 " are needed, and %" PRIu64
                 " are live: more than twice that and two segments",
                 stat.written_lsn - stat.first_lsn, needed, live);
    }
}

/* Nights are quiet, and the fourth day is a holiday. */
static void set_pace(struct sim *sim, uint64_t hour) {
    const bool quiet = hour % 24 < 7 || hour / 24 % 7 == 3;
    sim->swarm.pause_ms = quiet ? HOUR_MS : 60000;
}

static void an_hour(struct sim *sim, uint64_t hour) {
    const int64_t until_ms = sim->now_ms + HOUR_MS;
    set_pace(sim, hour);
    if (hour % 24 == 13 && sim->broker.up) {
        broker_crash(sim, hour / 24 % 2);
    }
    while (sim->now_ms < until_ms || !sim->broker.up || sim->broker.reader.asked) {
        sim_next(sim);
    }
}

void week_run(uint64_t seed, uint64_t hours) {
    static struct sim_result result;
    struct sim_options options = {.seed = seed, .hours = hours};
    struct week week = {0};
    for (uint32_t kind = 0; kind < SIM_FAULT_COUNT; kind++) {
        options.off |= kind == SIM_REQUEST || kind == SIM_FAIL ? 0 : 1u << kind;
    }
    struct sim *sim = sim_open(&options, &result);
    for (uint64_t hour = 0; hour < hours; hour++) {
        an_hour(sim, hour);
        measure(sim, &week);
    }
    const uint64_t segment_bytes = sim->swarm.segment_bytes;
    sim_close(sim);
    result.counts.seeds = 1;
    counts_print(&result.counts);
    printf("%" PRIu64 " hours measured, segments of %" PRIu64 " KiB, at most %" PRIu64
           " KiB live. The most that was needed: "
           "%" PRIu64 " KiB of log with %" PRIu64 " KiB live, %.2f x (2 x live + 2 segments); files: %.2f x\n",
           week.hours, segment_bytes / 1024, week.live_most / 1024, week.log_most / 1024, week.live_then / 1024,
           week.ratio_most, week.files_ratio_most);
}
