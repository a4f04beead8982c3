#include <stdlib.h>

#include "common/need.h"
#include "common/need_lex.h"

/* Offers and facts differ in what they carry; what they share is: named, sorted, no name twice, one block. */

static enum jq_err check_count(const char *what, size_t count, size_t max, struct jq_error *reterr) {
    if (count <= max)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: %zu of them, at most %zu", what, count, max);
}

static enum jq_err check_name(const char *what, struct jq_str name, struct jq_error *reterr) {
    if (jq_name_valid(name))
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "%s: '%.*s' is not a name (1 to %d of a-z 0-9 _ . -)", what,
                   name.size > JQ_NAME_SIZE_MAX ? JQ_NAME_SIZE_MAX : (int)name.size, name.data, JQ_NAME_SIZE_MAX);
}

static struct jq_str copy_text(char **end, struct jq_str text) {
    if (text.size > 0)
        memcpy(*end, text.data, text.size);
    *end += text.size;
    return (struct jq_str){*end - text.size, text.size};
}

/* Splits "name=rest" at its first '='. */
static enum jq_err read_assignment(const struct jq_word *word, struct jq_str *ret_name, struct jq_word *ret_rest,
                                   struct jq_error *reterr) {
    size_t size = 0;
    if (word->text.data[0] == '|')
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: '|' belongs into a need", word->what, word->column);
    const enum jq_err err = jq_word_name(word, ret_name, &size, reterr);
    if (err != JQ_OK)
        return err;
    if (size == word->text.size || word->text.data[size] != '=')
        return jq_fail(reterr, JQ_ERR_INVALID, "%s: column %zu: '=' and a value are to follow %.*s", word->what,
                       word->column + size, JQ_STR_ARG(*ret_name));
    *ret_rest = jq_word_from(word, size + 1);
    return JQ_OK;
}

/* ---- offers ------------------------------------------------------------------------------------------------------ */

static enum jq_err check_indexes(const struct jq_offer *offer, struct jq_error *reterr) {
    if (offer->index_count > JQ_OFFER_INDEXES_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "offers: %.*s: more than %d indexes", JQ_STR_ARG(offer->name),
                       JQ_OFFER_INDEXES_MAX);
    for (size_t i = 0; i < offer->index_count; i++)
        for (size_t j = 0; j < i; j++)
            if (offer->indexes[i] == offer->indexes[j])
                return jq_fail(reterr, JQ_ERR_INVALID, "offers: %.*s: index %u stands twice", JQ_STR_ARG(offer->name),
                               (unsigned)offer->indexes[i]);
    return JQ_OK;
}

static enum jq_err check_offer(const struct jq_offer *offer, struct jq_error *reterr) {
    const enum jq_err err = check_name("offers", offer->name, reterr);
    if (err != JQ_OK)
        return err;
    if (offer->amount > JQ_AMOUNT_MAX)
        return jq_fail(reterr, JQ_ERR_TOO_BIG, "offers: %.*s: quantity too large", JQ_STR_ARG(offer->name));
    if (jq_str_equal(offer->name, JQ_STR("slots")) && offer->amount % JQ_AMOUNT_UNIT != 0)
        return jq_fail(reterr, JQ_ERR_INVALID, "offers: slots: not a whole number");
    if (offer->index_count > 0 && offer->amount != offer->index_count * JQ_AMOUNT_UNIT)
        return jq_fail(reterr, JQ_ERR_INVALID, "offers: %.*s: quantity and number of indexes differ",
                       JQ_STR_ARG(offer->name));
    return check_indexes(offer, reterr);
}

/* Inserts by name into items[0..count). */
static enum jq_err insert_offer(struct jq_offer *items, size_t count, struct jq_offer offer, struct jq_error *reterr) {
    size_t place = count;
    for (; place > 0; place--) {
        const int order = jq_word_compare(items[place - 1].name, offer.name);
        if (order == 0)
            return jq_fail(reterr, JQ_ERR_INVALID, "offers: %.*s stands twice", JQ_STR_ARG(offer.name));
        if (order < 0)
            break;
        items[place] = items[place - 1];
    }
    items[place] = offer;
    return JQ_OK;
}

struct offers_space {
    struct jq_offer *items; /* start of the block */
    uint16_t *indexes;
    char *text;
};

static bool offers_space_init(struct offers_space *space, size_t count, size_t index_count, size_t text_size) {
    char *const block = malloc(count * sizeof *space->items + index_count * sizeof *space->indexes + text_size + 1);
    if (block == NULL)
        return false;
    space->items = (struct jq_offer *)(void *)block;
    space->indexes = (uint16_t *)(void *)(block + count * sizeof *space->items);
    space->text = (char *)(space->indexes + index_count);
    return true;
}

/* Copies what the offer borrows and puts it into its place. */
static enum jq_err place_offer(struct offers_space *space, size_t count, struct jq_offer offer,
                               struct jq_error *reterr) {
    const enum jq_err err = check_offer(&offer, reterr);
    if (err != JQ_OK)
        return err;
    offer.name = copy_text(&space->text, jq_name_canonical(offer.name));
    if (offer.index_count > 0)
        offer.indexes = memcpy(space->indexes, offer.indexes, offer.index_count * sizeof *space->indexes);
    else
        offer.indexes = NULL;
    space->indexes += offer.index_count;
    return insert_offer(space->items, count, offer, reterr);
}

enum jq_err jq_offers_build(const struct jq_offer *items, size_t count, struct jq_offers *ret_offers,
                            struct jq_error *reterr) {
    enum jq_err err = check_count("offers", count, JQ_OFFERS_COUNT_MAX, reterr);
    size_t index_count = 0;
    size_t text_size = 0;
    for (size_t i = 0; err == JQ_OK && i < count; i++) {
        err = check_offer(&items[i], reterr);
        index_count += items[i].index_count;
        text_size += items[i].name.size;
    }
    if (err != JQ_OK)
        return err;
    struct offers_space space;
    if (!offers_space_init(&space, count, index_count, text_size))
        return jq_fail(reterr, JQ_ERR_NOMEM, "offers: out of memory");
    for (size_t i = 0; err == JQ_OK && i < count; i++)
        err = place_offer(&space, i, items[i], reterr);
    if (err != JQ_OK) {
        free(space.items);
        return err;
    }
    *ret_offers = (struct jq_offers){space.items, count, space.items};
    return JQ_OK;
}

/* One index and the byte that ends it. */
static bool read_index(struct jq_str text, size_t *pos, uint16_t *ret_index) {
    const size_t start = *pos;
    unsigned value = 0;
    for (; *pos < text.size && text.data[*pos] >= '0' && text.data[*pos] <= '9' && value <= JQ_OFFER_INDEX_MAX;
         (*pos)++)
        value = value * 10 + (unsigned)(text.data[*pos] - '0');
    if (*pos == start || value > JQ_OFFER_INDEX_MAX || *pos == text.size)
        return false;
    *ret_index = (uint16_t)value;
    return true;
}

/* "[0,1]": `indexes` has room for JQ_OFFER_INDEXES_MAX. */
static enum jq_err read_indexes(const struct jq_word *word, struct jq_offer *offer, uint16_t *indexes,
                                struct jq_error *reterr) {
    const struct jq_str text = word->text;
    size_t pos = 1;
    size_t count = 0;
    for (bool more = true; more; pos++) {
        if (count == JQ_OFFER_INDEXES_MAX)
            return jq_fail(reterr, JQ_ERR_TOO_BIG, "offers: column %zu: %.*s: more than %d indexes", word->column,
                           JQ_STR_ARG(offer->name), JQ_OFFER_INDEXES_MAX);
        if (!read_index(text, &pos, &indexes[count]) || (text.data[pos] != ',' && text.data[pos] != ']'))
            return jq_fail(reterr, JQ_ERR_INVALID, "offers: column %zu: %.*s: indexes are written [0,1], each up to %d",
                           word->column + pos, JQ_STR_ARG(offer->name), JQ_OFFER_INDEX_MAX);
        count++;
        more = text.data[pos] == ',';
    }
    if (pos != text.size)
        return jq_fail(reterr, JQ_ERR_INVALID, "offers: column %zu: %.*s: '%c' after the indexes", word->column + pos,
                       JQ_STR_ARG(offer->name), jq_word_show(text.data[pos]));
    offer->indexes = indexes;
    offer->index_count = count;
    offer->amount = count * JQ_AMOUNT_UNIT;
    return JQ_OK;
}

static enum jq_err read_offer(const struct jq_word *word, struct jq_offer *offer, uint16_t *indexes,
                              struct jq_error *reterr) {
    struct jq_word rest = {0};
    *offer = (struct jq_offer){0};
    const enum jq_err err = read_assignment(word, &offer->name, &rest, reterr);
    if (err != JQ_OK)
        return err;
    if (rest.text.size > 0 && rest.text.data[0] == '[')
        return read_indexes(&rest, offer, indexes, reterr);
    return jq_word_amount(&rest, offer->name, &offer->amount, reterr);
}

static enum jq_err check_text_size(const char *what, struct jq_str text, struct jq_error *reterr) {
    if (text.size <= JQ_PLACEMENT_SIZE_MAX)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_TOO_BIG, "%s: %zu bytes, at most %d", what, text.size, JQ_PLACEMENT_SIZE_MAX);
}

enum jq_err jq_offers_parse(struct jq_str text, struct jq_offers *ret_offers, struct jq_error *reterr) {
    struct jq_offer items[JQ_OFFERS_COUNT_MAX] = {0};
    uint16_t indexes[JQ_OFFERS_COUNT_MAX][JQ_OFFER_INDEXES_MAX];
    struct jq_word word;
    size_t count = 0;
    enum jq_err err = check_text_size("offers", text, reterr);
    for (size_t pos = 0; err == JQ_OK && jq_word_next("offers", text, &pos, &word); count++) {
        err = check_count("offers", count + 1, JQ_OFFERS_COUNT_MAX, reterr);
        if (err == JQ_OK)
            err = read_offer(&word, &items[count], indexes[count], reterr);
    }
    return err != JQ_OK ? err : jq_offers_build(items, count, ret_offers, reterr);
}

void jq_offers_fini(struct jq_offers *offers) {
    if (offers == NULL)
        return;
    free(offers->storage);
    *offers = (struct jq_offers){0};
}

const struct jq_offer *jq_offers_find(const struct jq_offers *offers, struct jq_str name) {
    const struct jq_str canonical = jq_name_canonical(name);
    for (size_t i = 0; offers != NULL && i < offers->count; i++)
        if (jq_str_equal(offers->items[i].name, canonical))
            return &offers->items[i];
    return NULL;
}

static void sink_offer(struct jq_sink *sink, const struct jq_offer *offer) {
    jq_sink_text(sink, offer->name);
    jq_sink_text(sink, JQ_STR("="));
    if (offer->index_count == 0) {
        jq_sink_amount(sink, offer->amount);
        return;
    }
    for (size_t i = 0; i < offer->index_count; i++) {
        char text[8];
        size_t size = sizeof text;
        for (unsigned rest = offer->indexes[i]; rest > 0 || size == sizeof text; rest /= 10)
            text[--size] = (char)('0' + rest % 10);
        jq_sink_text(sink, i == 0 ? JQ_STR("[") : JQ_STR(","));
        jq_sink_text(sink, (struct jq_str){text + size, sizeof text - size});
    }
    jq_sink_text(sink, JQ_STR("]"));
}

size_t jq_offers_format(const struct jq_offers *offers, char *out, size_t size) {
    struct jq_sink sink = {.out = out, .size = size};
    for (size_t i = 0; i < offers->count; i++) {
        if (i > 0)
            jq_sink_text(&sink, JQ_STR(" "));
        sink_offer(&sink, &offers->items[i]);
    }
    return jq_sink_end(&sink);
}

/* ---- facts ------------------------------------------------------------------------------------------------------- */

static enum jq_err check_fact(const struct jq_fact *fact, struct jq_error *reterr) {
    const enum jq_err err = check_name("facts", fact->name, reterr);
    if (err != JQ_OK)
        return err;
    if (fact->text.size == 0 || fact->text.size > JQ_FACT_TEXT_SIZE_MAX)
        return jq_fail(reterr, fact->text.size == 0 ? JQ_ERR_INVALID : JQ_ERR_TOO_BIG,
                       "facts: %.*s: 1 to %d bytes, not %zu", JQ_STR_ARG(fact->name), JQ_FACT_TEXT_SIZE_MAX,
                       fact->text.size);
    for (size_t i = 0; i < fact->text.size; i++)
        if (fact->text.data[i] < ' ' || fact->text.data[i] > '~')
            return jq_fail(reterr, JQ_ERR_INVALID, "facts: %.*s: byte 0x%02x is not printable ASCII",
                           JQ_STR_ARG(fact->name), (unsigned)(unsigned char)fact->text.data[i]);
    return JQ_OK;
}

/* Inserts by name into items[0..count). */
static enum jq_err insert_fact(struct jq_fact *items, size_t count, struct jq_fact fact, struct jq_error *reterr) {
    size_t place = count;
    for (; place > 0; place--) {
        const int order = jq_word_compare(items[place - 1].name, fact.name);
        if (order == 0)
            return jq_fail(reterr, JQ_ERR_INVALID, "facts: %.*s stands twice", JQ_STR_ARG(fact.name));
        if (order < 0)
            break;
        items[place] = items[place - 1];
    }
    items[place] = fact;
    return JQ_OK;
}

static enum jq_err copy_facts(const struct jq_fact *items, size_t count, struct jq_fact *copies,
                              struct jq_error *reterr) {
    char *text = (char *)(copies + count);
    enum jq_err err = JQ_OK;
    for (size_t i = 0; err == JQ_OK && i < count; i++) {
        struct jq_fact copy;
        copy.name = copy_text(&text, jq_name_canonical(items[i].name));
        copy.text = copy_text(&text, items[i].text);
        err = insert_fact(copies, i, copy, reterr);
    }
    return err;
}

enum jq_err jq_facts_build(const struct jq_fact *items, size_t count, struct jq_facts *ret_facts,
                           struct jq_error *reterr) {
    enum jq_err err = check_count("facts", count, JQ_FACTS_COUNT_MAX, reterr);
    size_t text_size = 0;
    for (size_t i = 0; err == JQ_OK && i < count; i++) {
        err = check_fact(&items[i], reterr);
        text_size += items[i].name.size + items[i].text.size;
    }
    if (err != JQ_OK)
        return err;
    struct jq_fact *const copies = malloc(count * sizeof *copies + text_size + 1);
    if (copies == NULL)
        return jq_fail(reterr, JQ_ERR_NOMEM, "facts: out of memory");
    err = copy_facts(items, count, copies, reterr);
    if (err != JQ_OK) {
        free(copies);
        return err;
    }
    *ret_facts = (struct jq_facts){copies, count, copies};
    return JQ_OK;
}

enum jq_err jq_facts_parse(struct jq_str text, struct jq_facts *ret_facts, struct jq_error *reterr) {
    struct jq_fact items[JQ_FACTS_COUNT_MAX] = {0};
    struct jq_word word;
    size_t count = 0;
    enum jq_err err = check_text_size("facts", text, reterr);
    for (size_t pos = 0; err == JQ_OK && jq_word_next("facts", text, &pos, &word); count++) {
        struct jq_word rest = {0};
        err = check_count("facts", count + 1, JQ_FACTS_COUNT_MAX, reterr);
        if (err == JQ_OK)
            err = read_assignment(&word, &items[count].name, &rest, reterr);
        if (err == JQ_OK)
            err = jq_word_value(&rest, items[count].name, reterr);
        if (err == JQ_OK)
            items[count].text = rest.text;
    }
    return err != JQ_OK ? err : jq_facts_build(items, count, ret_facts, reterr);
}

void jq_facts_fini(struct jq_facts *facts) {
    if (facts == NULL)
        return;
    free(facts->storage);
    *facts = (struct jq_facts){0};
}

const struct jq_fact *jq_facts_find(const struct jq_facts *facts, struct jq_str name) {
    const struct jq_str canonical = jq_name_canonical(name);
    for (size_t i = 0; facts != NULL && i < facts->count; i++)
        if (jq_str_equal(facts->items[i].name, canonical))
            return &facts->items[i];
    return NULL;
}

size_t jq_facts_format(const struct jq_facts *facts, char *out, size_t size) {
    struct jq_sink sink = {.out = out, .size = size};
    for (size_t i = 0; i < facts->count; i++) {
        if (i > 0)
            jq_sink_text(&sink, JQ_STR(" "));
        jq_sink_text(&sink, facts->items[i].name);
        jq_sink_text(&sink, JQ_STR("="));
        jq_sink_text(&sink, facts->items[i].text);
    }
    return jq_sink_end(&sink);
}
