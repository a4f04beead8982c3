/* conf_internal.h - what the parts of conf.h share. Only common/conf_*.c include it. */
#ifndef JQ_COMMON_CONF_INTERNAL_H
#define JQ_COMMON_CONF_INTERNAL_H

#include "common/conf.h"
#include "common/text.h"

enum { JQ_CONF_NUMBER_TEXT_SIZE_MAX = JQ_DURATION_TEXT_SIZE };

/* Sets the field of `key` in `base`. Messages say the reason alone. On failure the field keeps its value. */
enum jq_err jq_conf_value_set(const struct jq_conf_key *key, void *base, struct jq_str text, struct jq_error *reterr);
/* Frees what the field owns and zeroes it. */
void jq_conf_value_fini(const struct jq_conf_key *key, void *base);
/* A bound as its type writes it: "10m", "64M", "0660", "3". */
void jq_conf_number_format(enum jq_conf_type type, int64_t value, char out[JQ_CONF_NUMBER_TEXT_SIZE_MAX]);

/* Where assignments come from. */
struct jq_conf_source {
    const char *origin; /* file, or "--set" */
    int line;           /* 0: none */
    uint64_t *seen;     /* for each section a bit for each key set; NULL where keys may be set again */
};

/* Sets [title] name = value. `title` is what stands between the brackets. */
enum jq_err jq_conf_assign(const struct jq_conf_schema *schema, void *settings, const struct jq_conf_source *source,
                           struct jq_str title, struct jq_str name, struct jq_str value, struct jq_error *reterr);
/* A section of a file begins. Refused unless there is such a one, named as its kind wants it. One with a name is there from now on,
 * whether keys follow or not. */
enum jq_err jq_conf_begin_section(const struct jq_conf_schema *schema, void *settings,
                                  const struct jq_conf_source *source, struct jq_str title, struct jq_error *reterr);
/* "FILE:LINE" or "--set". */
void jq_conf_where(const struct jq_conf_source *source, char *out, size_t size);

struct jq_str jq_conf_trim(struct jq_str text);

#endif
