/* need_lex.h - what the parsers and writers of need.h share: words with their column, names, quantities, a bounded
 * writer. Only common/need_*.c include it.
 */
#ifndef JQ_COMMON_NEED_LEX_H
#define JQ_COMMON_NEED_LEX_H

#include "common/need.h"

/* A piece of the input and where it stands. `what` ("need", "offers") opens every message. */
struct jq_word {
    const char *what;
    size_t column; /* of text.data[0], from 1 */
    struct jq_str text;
};

/* The next word at or after *pos: a run without blanks or bars, or a bar alone. False at the end of the text. */
bool jq_word_next(const char *what, struct jq_str text, size_t *pos, struct jq_word *ret_word);
/* The part of a word from `offset` on. */
struct jq_word jq_word_from(const struct jq_word *word, size_t offset);
/* How many words there are, bars not counted. */
size_t jq_word_count(struct jq_str text);
/* The byte, or '?' where it cannot be printed. */
char jq_word_show(char byte);

/* The name that opens the word, as it is written; *ret_size is what it took of the word. */
enum jq_err jq_word_name(const struct jq_word *word, struct jq_str *ret_name, size_t *ret_size,
                         struct jq_error *reterr);
/* All of the word as the quantity of `name`. */
enum jq_err jq_word_amount(const struct jq_word *word, struct jq_str name, uint64_t *ret_amount,
                           struct jq_error *reterr);
/* All of the word as printable ASCII, not empty. */
enum jq_err jq_word_value(const struct jq_word *word, struct jq_str name, struct jq_error *reterr);
/* All of the word as one term, its name canonical. The term borrows from the word. */
enum jq_err jq_word_term(const struct jq_word *word, struct jq_need_term *ret_term, struct jq_error *reterr);

/* `memory` is `mem`. */
struct jq_str jq_name_canonical(struct jq_str name);
/* By bytes; the shorter first. */
int jq_word_compare(struct jq_str a, struct jq_str b);

/* Text that may be cut: `length` counts what was written, and what did not fit. */
struct jq_sink {
    char *out;
    size_t size;
    size_t length;
};
void jq_sink_text(struct jq_sink *sink, struct jq_str text);
void jq_sink_amount(struct jq_sink *sink, uint64_t amount);
void jq_sink_term(struct jq_sink *sink, const struct jq_need_term *term);
/* Ends the text with a NUL. Returns its length. */
size_t jq_sink_end(struct jq_sink *sink);

#endif
