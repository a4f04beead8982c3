/* need.h - placement: what a task needs, what a worker offers, what it states as facts, what a task would like.
 *
 *     need  := group { "|" group }      ordered alternatives; an empty text is one empty group
 *     group := term { " " term }        every term must hold; blanks (space, tab) separate terms
 *     term  := name=quantity            reserve a consumable: 2, 0.5, 4G; k, M, G, T are binary; to 0.001 of a unit
 *            | name OP value            test a fact: == != < <= > >= ~ (glob); no such fact = false, for != too
 *            | name | !name             present (a fact, or an offer above 0), absent
 *     want  := { term ":" weight }      preferences, -100 .. 100
 *     offers := { name=quantity | name=[index,...] }      gpu=[0,1] offers 2, by index
 *     facts  := { name=text }
 *
 * Units:     an `amount` is in thousandths of a unit: cpu=0.5 is 500, mem=1G is 1073741824000. At most JQ_AMOUNT_MAX,
 *            so that up to 15 amounts can be added without overflow.
 * Names:     [a-z0-9_.-]{1,64}. `memory` is another spelling of `mem` and becomes `mem` wherever it is read. `slots`
 *            are whole and may only be reserved, 1 or more: every task occupies what runs it. A group reserves a name
 *            at most once.
 * Values:    of tests and facts: printable ASCII; no blank and no `|` where they are written inside a need or a list of
 *            facts.
 * Order:     of fact values: runs of digits compare as numbers, all else by byte; trailing ".0" counts for nothing. So
 *            0.9 < 0.20.2 < 0.21 < 1 == 1.0.0 < 1.0.1, and 8 < 16. Exactly one of <, ==, > holds.
 * Ownership: what a parser, a builder or jq_need_merge() makes owns all its memory in one block, borrows nothing from
 *            its input, and is freed by its _fini (which takes a zeroed or NULL struct). It is read-only: copy the
 *            struct to move it.
 * Errors:    JQ_ERR_INVALID, JQ_ERR_TOO_BIG (a bound below), JQ_ERR_NOMEM. Messages name the column, from 1:
 *            "need: column 7: quantity of memory: unknown unit 'X' (k, M, G or T)".
 *
 * Everything here is pure: no clock, no locale, no input or output.
 */
#ifndef JQ_COMMON_NEED_H
#define JQ_COMMON_NEED_H

#include "common/err.h"
#include "common/types.h"

enum {
    JQ_NEED_GROUPS_MAX = 16,           /* alternatives in one text */
    JQ_NEED_TERMS_MAX = 32,            /* terms in one group, preferences in one want */
    JQ_NEED_HANDLER_GROUPS_MAX = 2,    /* alternatives in a handler's need: so a merge always fits */
    JQ_NEED_MERGED_GROUPS_MAX = 32,    /* alternatives of an effective need */
    JQ_NEED_MERGED_TERMS_MAX = 65,     /* task's, handler's, and slots */
    JQ_OFFERS_COUNT_MAX = 64,          /* offers of one worker */
    JQ_FACTS_COUNT_MAX = 64,           /* facts of one worker */
    JQ_FACT_TEXT_SIZE_MAX = 255,       /* text of one fact */
    JQ_OFFER_INDEXES_MAX = 64,         /* indexes of one offer */
    JQ_OFFER_INDEX_MAX = 65535,        /* value of one index */
    JQ_PLACEMENT_SIZE_MAX = 64 * 1024, /* text of all offers, of all facts */
    JQ_WANT_WEIGHT_MAX = 100,
    JQ_AMOUNT_TEXT_SIZE_MAX = 24, /* buffer that holds any amount as text, NUL included */
};
#define JQ_AMOUNT_UNIT UINT64_C(1000)
#define JQ_AMOUNT_MAX  (UINT64_C(1) << 60)

/* ---- quantities -------------------------------------------------------------------------------------------------- */

/* "0.5", "4", "1.5G" to thousandths. */
enum jq_err jq_amount_parse(struct jq_str text, uint64_t *ret_amount, struct jq_error *reterr);

/* The shortest text that parses to `amount` ("512", "1.5G"). Returns its size without the NUL. */
size_t jq_amount_format(uint64_t amount, char out[JQ_AMOUNT_TEXT_SIZE_MAX]);

/* ---- needs ------------------------------------------------------------------------------------------------------- */

enum jq_need_op {
    JQ_NEED_RESERVE,
    JQ_NEED_EQ,
    JQ_NEED_NE,
    JQ_NEED_LT,
    JQ_NEED_LE,
    JQ_NEED_GT,
    JQ_NEED_GE,
    JQ_NEED_GLOB,
    JQ_NEED_PRESENT,
    JQ_NEED_ABSENT,
};

struct jq_need_term {
    struct jq_str name;
    struct jq_str value; /* of a test; empty for RESERVE, PRESENT, ABSENT */
    uint64_t amount;     /* of RESERVE; else 0 */
    enum jq_need_op op;
};

/* Terms in the order of (name, op, value), none twice. */
struct jq_need_group {
    const struct jq_need_term *terms;
    size_t count;
};

/* At least one group, the preferred one first, none twice. */
struct jq_need {
    const struct jq_need_group *groups;
    size_t count;
    void *storage;
};

enum jq_err jq_need_parse(struct jq_str text, struct jq_need *ret_need, struct jq_error *reterr);
void jq_need_fini(struct jq_need *need);

/* The canonical text, the same for equal needs: "cpu=0.5 mem=1G|!gpu". Writes at most `size` bytes, NUL included, and
 * returns the size of the whole text without it, as snprintf() does. For a parsed need it is never longer than what was
 * parsed, and parses to an equal need. */
size_t jq_need_format(const struct jq_need *need, char *out, size_t size);
size_t jq_need_term_format(const struct jq_need_term *term, char *out, size_t size);

bool jq_need_equal(const struct jq_need *a, const struct jq_need *b);

/* The first reservation of `name` in the group, in thousandths; 0 when it reserves none. */
uint64_t jq_need_group_amount(const struct jq_need_group *group, struct jq_str name);

/* The effective need of a task: each of its alternatives with each of the handler's, the task's order first. Of the
 * handler only the terms whose name the task's alternative does not mention; and slots=1 where neither reserves slots.
 * NULL stands for the empty need. JQ_ERR_TOO_BIG above JQ_NEED_MERGED_GROUPS_MAX alternatives. */
enum jq_err jq_need_merge(const struct jq_need *task, const struct jq_need *handler, struct jq_need *ret_need);

/* ---- offers and facts -------------------------------------------------------------------------------------------- */

struct jq_offer {
    struct jq_str name;
    uint64_t amount;         /* thousandths; 1000 for each index where there are any */
    const uint16_t *indexes; /* NULL without */
    size_t index_count;
};

/* In the order of names, no name twice. Likewise the facts. */
struct jq_offers {
    const struct jq_offer *items;
    size_t count;
    void *storage;
};

struct jq_fact {
    struct jq_str name;
    struct jq_str text; /* printable ASCII, blanks allowed, 1 .. 255 bytes */
};
struct jq_facts {
    const struct jq_fact *items;
    size_t count;
    void *storage;
};

/* From text, or from items in any order (as a message carries them); builders check what parsers check and copy. */
enum jq_err jq_offers_parse(struct jq_str text, struct jq_offers *ret_offers, struct jq_error *reterr);
enum jq_err jq_offers_build(const struct jq_offer *items, size_t count, struct jq_offers *ret_offers,
                            struct jq_error *reterr);
void jq_offers_fini(struct jq_offers *offers);
enum jq_err jq_facts_parse(struct jq_str text, struct jq_facts *ret_facts, struct jq_error *reterr);
enum jq_err jq_facts_build(const struct jq_fact *items, size_t count, struct jq_facts *ret_facts,
                           struct jq_error *reterr);
void jq_facts_fini(struct jq_facts *facts);

/* "cpu=2 gpu=[0,1] mem=4G"; sizes as jq_need_format(). A fact whose text has blanks is written as it is. */
size_t jq_offers_format(const struct jq_offers *offers, char *out, size_t size);
size_t jq_facts_format(const struct jq_facts *facts, char *out, size_t size);

/* NULL when there is none of that name. `memory` finds `mem`. */
const struct jq_offer *jq_offers_find(const struct jq_offers *offers, struct jq_str name);
const struct jq_fact *jq_facts_find(const struct jq_facts *facts, struct jq_str name);

/* ---- matching ---------------------------------------------------------------------------------------------------- */

/* Does the term hold for a worker with these facts and these totals? A reservation holds when the total is not below
 * it. */
bool jq_need_term_holds(const struct jq_need_term *term, const struct jq_facts *facts, const struct jq_offers *totals);
bool jq_need_group_holds(const struct jq_need_group *group, const struct jq_facts *facts,
                         const struct jq_offers *totals);

/* The first alternative that holds: its index, or need->count when none does. */
size_t jq_need_first_holding(const struct jq_need *need, const struct jq_facts *facts, const struct jq_offers *totals);

/* The order of fact values: below 0, 0, above 0. */
int jq_need_value_compare(struct jq_str a, struct jq_str b);

/* `*` any bytes, `?` one byte, everything else itself; the whole text must match. At most |pattern| * |text| steps. */
bool jq_glob_match(struct jq_str pattern, struct jq_str text);

/* ---- wants ------------------------------------------------------------------------------------------------------- */

struct jq_want_item {
    struct jq_need_term term;
    int weight; /* -100 .. 100 */
};
struct jq_want {
    const struct jq_want_item *items; /* in the order written */
    size_t count;
    void *storage;
};

enum jq_err jq_want_parse(struct jq_str text, struct jq_want *ret_want, struct jq_error *reterr);
void jq_want_fini(struct jq_want *want);
size_t jq_want_format(const struct jq_want *want, char *out, size_t size);

/* The sum of the weights of the terms that hold. NULL scores 0. */
int jq_want_score(const struct jq_want *want, const struct jq_facts *facts, const struct jq_offers *totals);

#endif
