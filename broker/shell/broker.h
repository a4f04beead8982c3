/* broker.h - the whole broker, put together: journal and core, the threads around them, the sockets, and the order in which they come up and
 * go down.
 */
#ifndef JQ_BROKER_SHELL_BROKER_H
#define JQ_BROKER_SHELL_BROKER_H

#include "broker/settings.h"
#include "broker/shell/service.h"

/* Serves until a signal stops it; says on standard error, in one line, why it could not. Call once in a process, before there are other
 * threads; the process must end soon after it returns. */
enum jq_exit jq_broker_run(const struct jq_broker_settings *settings);

#endif
