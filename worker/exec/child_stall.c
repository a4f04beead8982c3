/* Signs of life: a task that writes nothing, says nothing and uses no cpu time for its `stall` hangs. */
#include "worker/exec/internal.h"

#include <stdlib.h>
#include <unistd.h>

/* Looks are counted, not time: a machine that slept, or a worker that was stopped, has not looked meanwhile. What waits for something
 * still wakes up now and then: so little of a cpu is none. */
enum { LOOKS = 4, IDLE_SHARE = 100, PROCS_AGE_MS = 200, TICK_SHARE = 1000000 };

/* Microseconds of all its processes; INT64_MAX: not known. Where it falls, a process has ended. */
static int64_t cpu_us_of(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_exec_host *host = child->host;
    const int64_t counted_us = jq_cgroup_cpu_us(&host->cgroups, &child->group);
    if (counted_us >= 0) {
        return counted_us;
    }
    if (!jq_host_read_procs(host, now_ms, PROCS_AGE_MS)) {
        return INT64_MAX;
    }
    const struct jq_procs_tree tree = jq_procs_mark(&host->procs, child->pid, child->marker, host->self);
    return (int64_t)tree.cpu_ticks * TICK_SHARE / sysconf(_SC_CLK_TCK);
}

void jq_child_stall_from(struct jq_exec_child *child, int64_t limit_ms, int64_t now_ms) {
    child->stall = (struct jq_child_stall){.limit_ms = limit_ms, .look_ms = INT64_MAX, .heard = true};
    if (limit_ms > 0) {
        child->stall.look_ms = now_ms + limit_ms / LOOKS;
        child->stall.looked_ms = now_ms;
    }
}

int64_t jq_child_stall_due_ms(const struct jq_exec_child *child) {
    return child->stall.limit_ms > 0 ? child->stall.look_ms : INT64_MAX;
}

bool jq_child_stalled(struct jq_exec_child *child, int64_t now_ms) {
    struct jq_child_stall *stall = &child->stall;
    if (now_ms < jq_child_stall_due_ms(child)) {
        return false;
    }
    const int64_t cpu_us = cpu_us_of(child, now_ms);
    const int64_t used_us = cpu_us == INT64_MAX ? INT64_MAX : llabs(cpu_us - stall->cpu_us);
    const bool lives = stall->heard || used_us > (now_ms - stall->looked_ms) * 1000 / IDLE_SHARE;
    stall->quiet_count = lives ? 0 : stall->quiet_count + 1;
    stall->heard = false;
    stall->cpu_us = cpu_us;
    stall->looked_ms = now_ms;
    stall->look_ms = now_ms + stall->limit_ms / LOOKS;
    return stall->quiet_count >= LOOKS;
}
