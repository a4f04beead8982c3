/* units.h - which units of an offer a lease has: gpu=[0,1] offers two, and a lease that reserves one gets gpu 0 or gpu 1.
 *
 * Encoded, as records, leases and lease answers carry them: for each such offer its name (varint size, bytes), a varint count and as
 * many varint numbers. Empty: none.
 */
#ifndef JQ_BROKER_CORE_UNITS_H
#define JQ_BROKER_CORE_UNITS_H

#include "broker/core/event.h"
#include "common/buf.h"
#include "common/need.h"

/* The next offer of encoded units; its numbers are put into `indexes`. False at the end, and at bytes that are no units:
 * then in->failed is set. */
bool jq_units_next(struct jq_reader *in, uint16_t indexes[JQ_OFFER_INDEXES_MAX], struct jq_units *ret_units);

#endif
