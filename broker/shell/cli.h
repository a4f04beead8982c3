/* cli.h - jqbroker's command line: what every program of ours takes (common/conf.h), and --data-dir and --print-config besides. */
#ifndef JQ_BROKER_SHELL_CLI_H
#define JQ_BROKER_SHELL_CLI_H

#include "broker/settings.h"
#include "broker/shell/service.h"

/* True: *settings are loaded (zeroed memory before), and the log is open. False: everything that was asked for is done, or has been
 * complained about; *ret_status is how to exit. */
bool jq_cli_settings(int argc, const char *const *argv, struct jq_broker_settings *settings, enum jq_exit *ret_status);

#endif
