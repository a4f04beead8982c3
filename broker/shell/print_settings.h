/* print_settings.h - settings as a configuration file that gives just these settings. */
#ifndef JQ_BROKER_SHELL_PRINT_SETTINGS_H
#define JQ_BROKER_SHELL_PRINT_SETTINGS_H

#include "common/conf.h"

/* Appends every section and key of the schema with the value that `settings` holds. */
void jq_settings_append(const struct jq_conf_schema *schema, const void *settings, struct jq_buf *out);

#endif
