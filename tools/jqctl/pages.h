/* pages.h - what takes several requests: lists that come page by page, each answer saying where the next one goes on; and what is removed
 * slice by slice. */
#ifndef JQ_TOOLS_JQCTL_PAGES_H
#define JQ_TOOLS_JQCTL_PAGES_H

#include "tools/jqctl/print.h"

struct jqctl_pages {
    const char *op, *rows; /* on the wire; the field of the answer that holds the rows */
    const char *kind;      /* of the document */
    const struct jqctl_columns *columns;
    const struct jq_message *message; /* of the request */
    unsigned after_place;             /* its field that says where to go on */
    unsigned limit_place;             /* its field that says how many rows a page may have */
    uint64_t limit;                   /* 0: not said */
};

/* Asks for all pages and prints them as one list. */
int jqctl_pages_list(struct jqctl *ctl, const struct jqctl_pages *pages);

/* Sends `op`, which takes away a slice of `what`, until nothing more goes, and says how much went: its number and `done`. */
int jqctl_pages_drain(struct jqctl *ctl, const char *what, const char *op, const char *done);

#endif
