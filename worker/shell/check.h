/* check.h - `jqworker --check`: what the settings name is looked for on this machine. */
#ifndef JQ_WORKER_SHELL_CHECK_H
#define JQ_WORKER_SHELL_CHECK_H

#include <stdio.h>

#include "worker/settings.h"

enum jq_check_result {
    JQ_CHECK_GOOD,
    JQ_CHECK_WRONG,
    JQ_CHECK_UNTOLD, /* not all could be written */
};

/* Writes what was looked at to `out`, and to `err` a line for each thing that is not good: the place, the key, what it names, the reason.
 * Programs and scripts of handlers, programs of facts, folders, the file of the token, the user of tasks. `file`: where the settings are from. */
enum jq_check_result jq_worker_check(const struct jq_worker_settings *settings, const char *file, FILE *out, FILE *err);

#endif
