/* protocol_doc.h - the parts of PROTOCOL.md that are made from the message table, the vocabulary and the examples.
 *
 * In the page each stands between a line `<!-- WHAT -->` and a line `<!-- end -->`. WHAT is `ops`, `statuses`,
 * `states`, `outcomes`, `whys`, `limits`, `fields MESSAGE` or `example NAME`.
 */
#ifndef JQ_TESTS_LIB_PROTOCOL_DOC_H
#define JQ_TESTS_LIB_PROTOCOL_DOC_H

#include "common/buf.h"

/* Appends the part. False: there is none of this name. */
bool protocol_doc_part(struct jq_buf *out, struct jq_str what);

/* The page with all its parts made anew; what lies between them is kept. Fails the test for an unknown part. */
void protocol_doc_renew(struct jq_buf *out, struct jq_str page);

#endif
