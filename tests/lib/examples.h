/* examples.h - one frame of every kind: what PROTOCOL.md shows, and what mutations start from. */
#ifndef JQ_TESTS_LIB_EXAMPLES_H
#define JQ_TESTS_LIB_EXAMPLES_H

#include "common/buf.h"
#include "common/message.h"

enum example_kind {
    EXAMPLE_REQUEST,
    EXAMPLE_REPLY,
    EXAMPLE_OTHER /* a survey, its answer: `message` says which; a notice, whose message stands behind its topic */
};

struct example {
    const char *name; /* "submit", "submit reply" */
    enum example_kind kind;
    const char *text;                  /* of a request: its notation; NULL: `write` */
    void (*write)(struct jq_buf *out); /* NULL: `text` */
    const struct jq_message *message;  /* of the body, or of the whole of an EXAMPLE_OTHER */
};

extern const struct example examples[];
extern const size_t examples_count;

/* The frame of an example. `out` holds JQ_FRAME_SIZE_MAX bytes and is cleared first. */
void example_frame(const struct example *example, struct jq_buf *out);

#endif
