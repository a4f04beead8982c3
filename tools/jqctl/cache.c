/* cache.c - jqctl cache: results of pure handlers that answer the same task again. */
#include "tools/jqctl/pages.h"
#include "tools/jqctl/print.h"

static const struct jqctl_column cache_columns[] = {
    {"entries", "results", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"entries_max", "of at most", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"bytes", "memory", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"bytes_max", "at most", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"output_bytes", "files", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"output_bytes_max", "at most", JQCTL_SIZE, JQCTL_SHEET, NULL},
    {"hits_total", "answered", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"misses_total", "had to run", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"stored_total", "kept", JQCTL_COUNT, JQCTL_SHEET, NULL},
    {"evicted_total", "driven out", JQCTL_COUNT, JQCTL_SHEET, NULL},
};
static const struct jqctl_columns cache_row = JQCTL_COLUMNS(cache_columns);

int jqctl_cache_stat(struct jqctl *ctl) {
    struct jq_flight flight;
    const int code = jqctl_call(ctl, &flight, "cache", "cache.stat", 0, NULL, NULL);
    if (code != JQCTL_DONE)
        return code;
    jqctl_print_item(ctl, &cache_row, "cache", flight.view.body);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_cache_purge(struct jqctl *ctl) {
    return jqctl_pages_drain(ctl, "cache", "cache.purge", "results forgotten");
}
