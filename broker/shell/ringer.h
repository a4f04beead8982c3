/* ringer.h - rings the doorbells of sleeping workers, on a thread of its own: it connects and closes, and sends nothing.
 *
 * Threads:   one of its own; ring() from the core thread, which never waits for an address that does not answer.
 * Errors:    a ring that cannot be delivered is logged; the core rings again by itself, later.
 */
#ifndef JQ_BROKER_SHELL_RINGER_H
#define JQ_BROKER_SHELL_RINGER_H

#include "common/err.h"
#include "common/types.h"

struct jq_ringer; /* Opaque: jq_ringer_start() .. end of the process. */

enum jq_err jq_ringer_start(struct jq_ringer **ret_ringer, struct jq_error *reterr);

/* JQ_EFFECT_RING. Copied. Dropped when as many wait already as a thread can be expected to ring (64). */
void jq_ringer_ring(struct jq_ringer *ringer, struct jq_str worker, struct jq_str doorbell);

#endif
