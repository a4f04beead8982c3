/* names.h - what a number in the journal stood for when it was last defined: queues, handlers, workers, schedules. */
#ifndef JQ_TOOLS_JQCTL_NAMES_H
#define JQ_TOOLS_JQCTL_NAMES_H

#include "common/types.h"

enum { JQCTL_NAMES_COUNT = 65536, JQCTL_NAME_SIZE = JQ_NAME_SIZE_MAX + 1 };

/* NUL-terminated, or empty. */
struct jqctl_names {
    char (*items)[JQCTL_NAME_SIZE];
};

void jqctl_names_init(struct jqctl_names *names);
void jqctl_names_fini(struct jqctl_names *names);

/* One that does not fit is not taken note of. */
void jqctl_names_set(struct jqctl_names *names, uint32_t index, struct jq_str name);

/* NULL: not known. */
const char *jqctl_names_get(const struct jqctl_names *names, uint32_t index);

#endif
