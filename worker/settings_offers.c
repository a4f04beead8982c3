#include "worker/settings.h"

static bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

/* Blanks the words `auto` out, so that columns in messages stay true. */
static bool take_auto(char *text) {
    bool found = false;
    for (char *word = text; *word != '\0';) {
        size_t size = 0;
        while (word[size] != '\0' && !is_blank(word[size]))
            size++;
        if (size == 4 && memcmp(word, "auto", 4) == 0) {
            memset(word, ' ', 4);
            found = true;
        }
        word += size;
        while (is_blank(*word))
            word++;
    }
    return found;
}

struct collection {
    struct jq_offer items[JQ_OFFERS_COUNT_MAX + 3];
    size_t count;
};

/* Adds what was not given. */
static void add_missing(struct collection *all, const struct jq_offers *given, struct jq_str name, uint64_t amount) {
    if (jq_offers_find(given, name) == NULL)
        all->items[all->count++] =
            (struct jq_offer){.name = name, .amount = amount < JQ_AMOUNT_MAX ? amount : JQ_AMOUNT_MAX};
}

static enum jq_err check_slots(const struct jq_offers *given, struct jq_error *reterr) {
    const struct jq_offer *const slots = jq_offers_find(given, JQ_STR("slots"));
    if (slots == NULL)
        return JQ_OK;
    return jq_fail(reterr, JQ_ERR_INVALID, "offers: slots is a key of its own");
}

const char *jq_unit_variable(struct jq_str offer, char out[JQ_UNIT_VARIABLE_SIZE]) {
    size_t size = 3;
    memcpy(out, "JQ_", size);
    for (size_t i = 0; i < offer.size && size + 1 < JQ_UNIT_VARIABLE_SIZE; i++) {
        const char c = offer.data[i];
        out[size++] = (char)(c >= 'a' && c <= 'z' ? c - ('a' - 'A') : (c >= '0' && c <= '9' ? c : '_'));
    }
    out[size] = '\0';
    return out;
}

static bool is_own_variable(const char *variable) {
    static const char *const own[] = {"JQ_TASK",       "JQ_ATTEMPT", "JQ_HANDLER",  "JQ_QUEUE",
                                      "JQ_OUTPUT_DIR", "JQ_PARENTS", "JQ_WORK_DIR", "JQ_CHILD"};
    for (size_t i = 0; i < sizeof own / sizeof own[0]; i++)
        if (strcmp(own[i], variable) == 0)
            return true;
    return false;
}

/* Two offers in one variable, or one in a variable that says something else, would mislead a handler. */
static enum jq_err check_variables(const struct jq_offers *given, struct jq_error *reterr) {
    char variable[JQ_UNIT_VARIABLE_SIZE], other[JQ_UNIT_VARIABLE_SIZE];
    for (size_t i = 0; i < given->count; i++) {
        if (given->items[i].index_count == 0)
            continue;
        bool taken = is_own_variable(jq_unit_variable(given->items[i].name, variable));
        for (size_t k = 0; k < i; k++)
            taken |=
                given->items[k].index_count > 0 && strcmp(jq_unit_variable(given->items[k].name, other), variable) == 0;
        if (taken)
            return jq_fail(reterr, JQ_ERR_INVALID, "offers: %.*s: its numbers are told in %s, which is taken",
                           JQ_STR_ARG(given->items[i].name), variable);
    }
    return JQ_OK;
}

enum jq_err jq_worker_settings_offers(const struct jq_worker_settings *settings, unsigned cpu_count,
                                      uint64_t memory_bytes, struct jq_offers *ret_offers, struct jq_error *reterr) {
    char text[JQ_CONF_VALUE_SIZE_MAX + 1];
    const size_t size = strlen(settings->offers);
    struct jq_offers given;
    JQ_CHECK(size < sizeof text);
    memcpy(text, settings->offers, size + 1);
    const bool find_out = take_auto(text);
    enum jq_err err = jq_offers_parse((struct jq_str){text, size}, &given, reterr);
    if (err != JQ_OK)
        return err;
    struct collection all = {.count = given.count};
    if (given.count > 0)
        memcpy(all.items, given.items, given.count * sizeof given.items[0]);
    if (find_out) {
        add_missing(&all, &given, JQ_STR("cpu"), cpu_count * JQ_AMOUNT_UNIT);
        add_missing(&all, &given, JQ_STR("mem"),
                    memory_bytes < JQ_AMOUNT_MAX / JQ_AMOUNT_UNIT ? memory_bytes * JQ_AMOUNT_UNIT : JQ_AMOUNT_MAX);
    }
    add_missing(&all, &given, JQ_STR("slots"),
                (settings->slots_max > 0 ? (uint64_t)settings->slots_max
                 : settings->slots > 0   ? (uint64_t)settings->slots
                                         : cpu_count) *
                    JQ_AMOUNT_UNIT);
    err = check_slots(&given, reterr);
    if (err == JQ_OK)
        err = check_variables(&given, reterr);
    if (err == JQ_OK)
        err = jq_offers_build(all.items, all.count, ret_offers, reterr);
    jq_offers_fini(&given);
    return err;
}
