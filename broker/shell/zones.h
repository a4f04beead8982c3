/* zones.h - the time zones that schedules use, read once and kept, for the core.
 *
 * Threads:   the core thread alone (before it starts, the one that starts it), but for jq_zones_reload(), which any thread may call.
 * Ownership: what jq_zones_find() lends lives until the core thread does what jq_zones_reload() asked for.
 */
#ifndef JQ_BROKER_SHELL_ZONES_H
#define JQ_BROKER_SHELL_ZONES_H

#include "broker/shell/inbox.h"
#include "common/err.h"
#include "common/zone.h"

struct jq_zones; /* Opaque: jq_zones_new(); it lives as long as the process. */

enum jq_err jq_zones_new(struct jq_zones **ret_zones, struct jq_error *reterr);

/* NULL: there is none such, or it cannot be read (said in the log). As jq_core_config.zone; `ctx` is the zones. A name that was not
 * found is looked for again each time. */
const struct jq_zone *jq_zones_find(void *ctx, struct jq_str name);

/* Forgets all that was read, on the core thread, and then tells the core by JQ_EVENT_ZONES. */
void jq_zones_reload(struct jq_zones *zones, struct jq_inbox *inbox);

#endif
