/* pressure.c - how much memory is in use, and how long everybody waits for it: /proc/meminfo and /proc/pressure/memory. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "worker/shell/worker.h"

static unsigned memory_permille(void) {
    char line[128];
    unsigned long long total = 0, available = 0;
    FILE *file = fopen("/proc/meminfo", "re");
    while (file && fgets(line, sizeof(line), file)) {
        if (strncmp(line, "MemTotal:", 9) == 0) {
            total = strtoull(line + 9, NULL, 10);
        } else if (strncmp(line, "MemAvailable:", 13) == 0) {
            available = strtoull(line + 13, NULL, 10);
        }
    }
    if (file) {
        (void)fclose(file);
    }
    return total > available ? (unsigned)((total - available) * 1000 / total) : 0;
}

/* "some avg10=1.23 avg60=..." (Documentation/accounting/psi.rst), in percent. -1: the kernel has none. */
static int stall_permille(const char *path) {
    char line[128];
    double percent = -1;
    FILE *file = fopen(path, "re");
    if (file) {
        const char *at = fgets(line, sizeof(line), file) ? strstr(line, "avg10=") : NULL;
        percent = at ? strtod(at + 6, NULL) : -1;
        (void)fclose(file);
    }
    return percent >= 0 ? (int)(percent * 10) : -1;
}

void jq_pressure_read(unsigned *ret_memory_permille, unsigned *ret_stall_permille) {
    *ret_memory_permille = memory_permille();
    const int stall = stall_permille("/proc/pressure/memory");
    *ret_stall_permille = stall > 0 ? (unsigned)stall : 0;
}

unsigned jq_cpu_wait_read(void) {
    const int wait = stall_permille("/proc/pressure/cpu");
    const long cpus = sysconf(_SC_NPROCESSORS_ONLN);
    const unsigned load = jq_load_read() / (cpus > 0 ? (unsigned)cpus : 1U);
    const unsigned above = load > 1000 ? load - 1000 : 0;
    return wait >= 0 ? (unsigned)wait : (above < 1000 ? above : 1000);
}

unsigned jq_load_read(void) {
    double load = 0;
    return getloadavg(&load, 1) == 1 && load > 0 ? (unsigned)(load * 1000) : 0;
}
