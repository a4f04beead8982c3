#include "common/vocab.h"

struct word {
    int number;
    const char *text;
};

#define WORD(name, number, text) {number, text},
static const struct word reply_words[] = {JQ_REPLY_LIST(WORD)};
static const struct word state_words[] = {JQ_STATE_LIST(WORD)};
static const struct word outcome_words[] = {JQ_OUTCOME_LIST(WORD)};
static const struct word on_words[] = {JQ_ON_LIST(WORD)};
static const struct word role_words[] = {JQ_ROLE_LIST(WORD)};
static const struct word durability_words[] = {JQ_DURABILITY_LIST(WORD)};
static const struct word breaker_kind_words[] = {JQ_BREAKER_KIND_LIST(WORD)};
static const struct word breaker_state_words[] = {JQ_BREAKER_STATE_LIST(WORD)};
static const struct word unique_words[] = {JQ_UNIQUE_LIST(WORD)};
static const struct word catch_up_words[] = {JQ_CATCH_UP_LIST(WORD)};
static const struct word policy_words[] = {JQ_POLICY_LIST(WORD)};
static const struct word priority_words[] = {{9, "urgent"}, {7, "high"}, {5, "normal"}, {3, "low"}, {1, "background"}};

#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

static const char *name_of(const struct word *words, size_t count, int number) {
    for (size_t i = 0; i < count; i++) {
        if (words[i].number == number) {
            return words[i].text;
        }
    }
    return "?";
}

static int number_of(const struct word *words, size_t count, struct jq_str name) {
    for (size_t i = 0; i < count; i++) {
        if (jq_str_equal(jq_str_of(words[i].text), name)) {
            return words[i].number;
        }
    }
    return -1;
}

const char *jq_reply_name(enum jq_reply reply) {
    return name_of(reply_words, COUNT_OF(reply_words), (int)reply);
}

const char *jq_state_name(enum jq_state state) {
    return name_of(state_words, COUNT_OF(state_words), (int)state);
}

const char *jq_outcome_name(enum jq_outcome outcome) {
    return name_of(outcome_words, COUNT_OF(outcome_words), (int)outcome);
}

const char *jq_on_name(enum jq_on on) {
    return name_of(on_words, COUNT_OF(on_words), (int)on);
}

const char *jq_role_name(enum jq_role role) {
    return name_of(role_words, COUNT_OF(role_words), (int)role);
}

const char *jq_durability_name(enum jq_durability durability) {
    return name_of(durability_words, COUNT_OF(durability_words), (int)durability);
}

const char *jq_breaker_kind_name(enum jq_breaker_kind kind) {
    return name_of(breaker_kind_words, COUNT_OF(breaker_kind_words), (int)kind);
}

const char *jq_breaker_state_name(enum jq_breaker_state state) {
    return name_of(breaker_state_words, COUNT_OF(breaker_state_words), (int)state);
}

const char *jq_unique_name(enum jq_unique unique) {
    return name_of(unique_words, COUNT_OF(unique_words), (int)unique);
}

const char *jq_catch_up_name(enum jq_catch_up catch_up) {
    return name_of(catch_up_words, COUNT_OF(catch_up_words), (int)catch_up);
}

const char *jq_policy_name(enum jq_queue_policy policy) {
    return name_of(policy_words, COUNT_OF(policy_words), (int)policy);
}

bool jq_policy_of_name(struct jq_str name, enum jq_queue_policy *ret_policy) {
    const int number = number_of(policy_words, COUNT_OF(policy_words), name);
    if (number >= 0) {
        *ret_policy = (enum jq_queue_policy)number;
    }
    return number >= 0;
}

bool jq_state_of_name(struct jq_str name, enum jq_state *ret_state) {
    const int number = number_of(state_words, COUNT_OF(state_words), name);
    if (number >= 0) {
        *ret_state = (enum jq_state)number;
    }
    return number >= 0;
}

bool jq_outcome_of_name(struct jq_str name, enum jq_outcome *ret_outcome) {
    const int number = number_of(outcome_words, COUNT_OF(outcome_words), name);
    if (number >= 0) {
        *ret_outcome = (enum jq_outcome)number;
    }
    return number >= 0;
}

bool jq_on_of_name(struct jq_str name, enum jq_on *ret_on) {
    const int number = number_of(on_words, COUNT_OF(on_words), name);
    if (number >= 0) {
        *ret_on = (enum jq_on)number;
    }
    return number >= 0;
}

bool jq_role_of_name(struct jq_str name, enum jq_role *ret_role) {
    const int number = number_of(role_words, COUNT_OF(role_words), name);
    if (number >= 0) {
        *ret_role = (enum jq_role)number;
    }
    return number >= 0;
}

bool jq_breaker_kind_of_name(struct jq_str name, enum jq_breaker_kind *ret_kind) {
    const int number = number_of(breaker_kind_words, COUNT_OF(breaker_kind_words), name);
    if (number >= 0) {
        *ret_kind = (enum jq_breaker_kind)number;
    }
    return number >= 0;
}

bool jq_unique_of_name(struct jq_str name, enum jq_unique *ret_unique) {
    const int number = number_of(unique_words, COUNT_OF(unique_words), name);
    if (number >= 0) {
        *ret_unique = (enum jq_unique)number;
    }
    return number >= 0;
}

bool jq_catch_up_of_name(struct jq_str name, enum jq_catch_up *ret_catch_up) {
    const int number = number_of(catch_up_words, COUNT_OF(catch_up_words), name);
    if (number >= 0) {
        *ret_catch_up = (enum jq_catch_up)number;
    }
    return number >= 0;
}

int jq_priority_of_name(struct jq_str name) {
    if (name.size == 1 && name.data[0] >= '0' && name.data[0] <= '9') {
        return name.data[0] - '0';
    }
    return number_of(priority_words, COUNT_OF(priority_words), name);
}
