/* sim_bounds.c - what the broker may hold: never more of anything than its configuration allows, memory in proportion to what is live,
 * and nothing at all when it has ended. */
#include <inttypes.h>

#include "tests/sim/sim.h"

static void check_most(struct sim *sim, const char *what, uint64_t count, uint64_t most) {
    if (count > most) {
        sim_fail(sim, "there are %" PRIu64 " %s, and may be %" PRIu64, count, what, most);
    }
}

/* Senders are let in when they ask, and remembered when they are answered: those who wait for room, for a task or for the end of a
 * selection may come to a table that has been filled meanwhile. */
static uint64_t senders_most(const struct jq_core_config *config) {
    enum { SELECTIONS_MAX = 16 };
    return (uint64_t)config->senders_max + config->withheld_max + 2 * (uint64_t)config->parked_max + SELECTIONS_MAX;
}

static void check_tables(struct sim *sim, const struct jq_server_row *status) {
    const struct jq_core_config *config = &sim->config;
    check_most(sim, "queues", status->queues, config->queues_max);
    check_most(sim, "classes", status->classes, config->classes_max);
    check_most(sim, "workers", status->workers, config->workers_max);
    check_most(sim, "senders", status->senders, senders_most(config));
    check_most(sim, "parked polls and waits", (uint64_t)status->parked_polls + status->parked_waits,
               2 * (uint64_t)config->parked_max);
    check_most(sim, "submits withheld", status->withheld, config->withheld_max);
    check_most(sim, "keys", status->keys, sim->oracle.key_count);
}

static uint64_t tasks_now(const struct sim *sim) {
    uint64_t count = 0;
    for (int place = SIM_STAGED; place <= SIM_FINAL; place++) {
        count += sim->oracle.places[place];
    }
    return count;
}

/* Of two cores. Tables grow and do not shrink: the most that there ever was at once is what counts. */
static void check_memory(struct sim *sim) {
    enum { EMPTY_BYTES = 8 << 20, ENTRY_BYTES = 4096 };
    const struct sim_oracle *oracle = &sim->oracle;
    const uint64_t live = tasks_now(sim) + oracle->key_count + oracle->flow_count;
    sim->broker.live_most = live > sim->broker.live_most ? live : sim->broker.live_most;
    const int64_t most = EMPTY_BYTES + ENTRY_BYTES * (int64_t)sim->broker.live_most;
    if (heap_bytes() > most) {
        sim_fail(sim, "the cores hold %" PRId64 " bytes for at most %" PRIu64 " tasks, keys and flows", heap_bytes(),
                 sim->broker.live_most);
    }
}

/* Above the mark nothing comes in; the mark is looked at when a step begins. What the entries of tasks take is not all of it. */
void bounds_check(struct sim *sim, const struct jq_record *record) {
    enum { TASK_BYTES = 80 };
    if (record->type == JQ_RECORD_TASK_SUBMITTED && record->u.task_submitted.flow == 0 &&
        sim->broker.tasks_before * TASK_BYTES >= sim->config.memory_max) {
        sim_fail(sim, "task %" PRIu64 " is taken in, and there were %" PRIu64 " in a memory of %" PRIu64 " bytes",
                 record->u.task_submitted.task.value, sim->broker.tasks_before, sim->config.memory_max);
    }
}

void bounds_step(struct sim *sim, const struct jq_server_row *status) {
    check_tables(sim, status);
    check_memory(sim);
    sim->broker.tasks_before = tasks_now(sim);
}

void bounds_ended(struct sim *sim) {
    if (heap_bytes() != 0) {
        sim_fail(sim, "the cores have ended, and %" PRId64 " bytes of the heap are still theirs", heap_bytes());
    }
}
