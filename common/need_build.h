/* need_build.h - puts a need together, term by term, into one block of memory; the canonical form is made here.
 * Only common/need_*.c include it.
 */
#ifndef JQ_COMMON_NEED_BUILD_H
#define JQ_COMMON_NEED_BUILD_H

#include "common/need.h"

struct jq_need_builder {
    struct jq_need_group *groups; /* start of the block */
    struct jq_need_term *terms;
    char *text;
    size_t group_count;
    size_t term_count;  /* of all groups, the open one included */
    size_t group_start; /* first term of the open group */
    size_t text_size;
};

/* Room for that many groups and terms, and for the bytes of all names and values. The caller keeps within it. */
enum jq_err jq_need_builder_init(struct jq_need_builder *builder, size_t groups_max, size_t terms_max,
                                 size_t text_size_max);
/* Gives the block up. */
void jq_need_builder_fini(struct jq_need_builder *builder);

/* Copies the term into the open group. */
void jq_need_builder_add(struct jq_need_builder *builder, const struct jq_need_term *term);
/* The open group: for looking back while it is built. */
struct jq_need_group jq_need_builder_group(const struct jq_need_builder *builder);
/* Sorts the open group, drops terms that stand twice, drops the group if an earlier one equals it, opens the next. */
void jq_need_builder_end_group(struct jq_need_builder *builder);
/* Moves what was built into *ret_need; the builder is empty afterwards. */
void jq_need_builder_take(struct jq_need_builder *builder, struct jq_need *ret_need);

#endif
