/* notation.h - msgpack for people: JSON, and h'00ff' for a bin. Both ways, for tests and for the examples of
 * PROTOCOL.md. */
#ifndef JQ_TESTS_LIB_NOTATION_H
#define JQ_TESTS_LIB_NOTATION_H

#include "common/codec.h"

/* Packs one object written in the notation, in the shortest forms. Any other text fails the test. */
void notation_pack(struct jq_buf *buf, const char *text);

/* The notation of an object, with a blank after each comma and colon. */
void notation_print(struct jq_buf *buf, const msgpack_object *object);

/* "00 ff" of bytes. */
void notation_hex(struct jq_buf *buf, struct jq_bytes bytes);

#endif
