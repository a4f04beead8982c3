/* decode_error.h - what the core keeps in memory of a report that failed: a short line, and the name of a service.
 *
 * Both live in the decoder's arena, until its next request.
 */
#ifndef JQ_BROKER_SHELL_DECODE_ERROR_H
#define JQ_BROKER_SHELL_DECODE_ERROR_H

#include "broker/shell/decode_internal.h"

/* The report's message, ": ", and the last line of its stderr that is not blank; one line of UTF-8 without control characters,
 * cut to JQ_ERROR_TEXT_SIZE_MAX bytes. Empty where neither was given. False: out of memory, the fault is set. */
bool jq_decode_error_text(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_str *ret_text);

/* The service that the report names, as a name: letters become small, what no name may hold becomes '_'. Empty where none is
 * named. False: out of memory, the fault is set. */
bool jq_decode_service(struct jq_decoder *decoder, const struct jq_values *detail, struct jq_str *ret_name);

#endif
