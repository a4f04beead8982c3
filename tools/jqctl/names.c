#include "tools/jqctl/names.h"

#include <stdlib.h>
#include <string.h>

#include "common/err.h"

void jqctl_names_init(struct jqctl_names *names) {
    names->items = calloc(JQCTL_NAMES_COUNT, JQCTL_NAME_SIZE);
    JQ_CHECK(names->items != NULL);
}

void jqctl_names_fini(struct jqctl_names *names) {
    free(names->items);
    names->items = NULL;
}

void jqctl_names_set(struct jqctl_names *names, uint32_t index, struct jq_str name) {
    if (index >= JQCTL_NAMES_COUNT || name.size >= JQCTL_NAME_SIZE)
        return;
    memcpy(names->items[index], name.data, name.size);
    names->items[index][name.size] = '\0';
}

const char *jqctl_names_get(const struct jqctl_names *names, uint32_t index) {
    return index < JQCTL_NAMES_COUNT && names->items[index][0] ? names->items[index] : NULL;
}
