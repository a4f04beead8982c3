/* sim_shrink.h - runs of the simulator in processes of their own: many at a time, and a failing one made small. */
#ifndef JQ_TESTS_SIM_SIM_SHRINK_H
#define JQ_TESTS_SIM_SIM_SHRINK_H

#include "tests/sim/sim.h"

/* Runs in a child with its output thrown away; *result tells what came of it. A child that dies or does not end has failed too. */
void child_run(const struct sim_options *options, struct sim_result *result);

/* Takes away what the failure in `result` does not need (kinds, strikes, requests of clients, steps at the end), within
 * `seconds`. What is left fails by the same invariant. */
void shrink(struct sim_options *options, struct sim_result *result, int seconds);

/* Says the failure: the invariant, the command that gives it again, and the last lines of its trace. */
void failure_print(const struct sim_options *options, const struct sim_result *result);

/* Memory that a child shares with its parent. */
void *shared_new(size_t size);

/* Runs fresh seeds from `first` on, `jobs` at a time, for so long or until one fails, which is then made small and printed.
 * Returns the exit code. */
int swarm_run(uint64_t first, uint64_t steps, int64_t milliseconds, uint32_t jobs);

/* So many hours of mixed load: how long the log is beside what is live, printed. Ends the process if that is too long. */
void week_run(uint64_t seed, uint64_t hours);

/* Every bug that is planted in the core is caught. Returns the exit code. Only of use with a core that has them. */
int canaries_run(void);
bool canary_choose(const char *name); /* for runs with it */

#endif
