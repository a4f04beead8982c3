#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>

#include "common/need.h"

static struct jq_need need_of(const char *text) {
    struct jq_need need;
    struct jq_error error = {0};
    if (jq_need_parse(jq_str_of(text), &need, &error) != JQ_OK)
        fail_msg("'%s' does not parse: %s", text, error.message);
    return need;
}

static struct jq_offers offers_of(const char *text) {
    struct jq_offers offers;
    struct jq_error error = {0};
    if (jq_offers_parse(jq_str_of(text), &offers, &error) != JQ_OK)
        fail_msg("'%s' does not parse: %s", text, error.message);
    return offers;
}

static struct jq_facts facts_of(const char *text) {
    struct jq_facts facts;
    struct jq_error error = {0};
    if (jq_facts_parse(jq_str_of(text), &facts, &error) != JQ_OK)
        fail_msg("'%s' does not parse: %s", text, error.message);
    return facts;
}

static void expect_canonical(const char *text, const char *canonical) {
    char out[8192];
    struct jq_need need = need_of(text);
    assert_int_equal(jq_need_format(&need, out, sizeof out), strlen(canonical));
    assert_string_equal(out, canonical);
    jq_need_fini(&need);
}

static void expect_refused(const char *text, enum jq_err code, const char *message) {
    struct jq_need need = {0};
    struct jq_error error = {0};
    assert_int_equal(jq_need_parse(jq_str_of(text), &need, &error), code);
    assert_string_equal(error.message, message);
    assert_null(need.storage);
}

/* Equal needs have one text, however they were written: the broker interns by it. */
static void equal_needs_have_one_canonical_text(void **state) {
    (void)state;
    expect_canonical("", "");
    expect_canonical("  \t ", "");
    expect_canonical("  mem=4096M   cpu=0.500\t!gpu", "cpu=0.5 !gpu mem=4G");
    expect_canonical("memory=1024k", "mem=1M");
    expect_canonical("cpu=1536 mem=1.5G", "cpu=1536 mem=1.5G");
    expect_canonical("b>=2 b<3 a a", "a b<3 b>=2");
    expect_canonical("gpu=1|cpu=8 | gpu=1", "gpu=1|cpu=8");
    expect_canonical("mem=0.001T n=007 z=0", "mem=1.024G n=7 z=0");
    expect_canonical("zone~lab* os==linux os!=bsd v<=1 v>2", "os==linux os!=bsd v<=1 v>2 zone~lab*");
    expect_canonical("x=1024T", "x=1024T");
}

/* What is wrong is named, with the column where it stands and the reason. */
static void refusals_name_the_column_and_the_reason(void **state) {
    (void)state;
    expect_refused("cpu=2 memory=4X", JQ_ERR_INVALID,
                   "need: column 14: quantity of memory: unknown unit 'X' (k, M, G or T)");
    expect_refused("cpu=x", JQ_ERR_INVALID, "need: column 5: quantity of cpu: not a number");
    expect_refused("cpu=", JQ_ERR_INVALID, "need: column 5: quantity of cpu: not a number");
    expect_refused("cpu=-1", JQ_ERR_INVALID, "need: column 5: quantity of cpu: not a number");
    expect_refused("cpu=1.", JQ_ERR_INVALID, "need: column 5: quantity of cpu: one to three digits follow a point");
    expect_refused("cpu=0.0001", JQ_ERR_INVALID, "need: column 5: quantity of cpu: one to three digits follow a point");
    expect_refused("mem=1049T", JQ_ERR_INVALID, "need: column 5: quantity of mem: too large");
    expect_refused("mem=18446744073709551617", JQ_ERR_INVALID, "need: column 5: quantity of mem: too large");
    expect_refused("CPU=1", JQ_ERR_INVALID, "need: column 1: a name was expected, not 'C'");
    expect_refused("a=1 gPu", JQ_ERR_INVALID,
                   "need: column 6: 'P' is neither part of a name (a-z 0-9 _ . -) nor an operator");
    expect_refused("v>=", JQ_ERR_INVALID, "need: column 4: v: a value is missing");
    expect_refused("v=>1", JQ_ERR_INVALID, "need: column 3: quantity of v: not a number");
    expect_refused("v<>1", JQ_ERR_INVALID, "need: column 3: v: unknown operator (= == != < <= > >= ~)");
    expect_refused("cpu = 2", JQ_ERR_INVALID, "need: column 5: a name was expected, not '='");
    expect_refused("!", JQ_ERR_INVALID, "need: column 2: a name is missing");
    expect_refused("!gpu=1", JQ_ERR_INVALID, "need: column 5: only a name follows '!'");
    expect_refused("os==a\x07", JQ_ERR_INVALID, "need: column 6: os: byte 0x07 is not printable ASCII");
    expect_refused("mem=1G cpu=1 memory=2G", JQ_ERR_INVALID, "need: column 14: mem is reserved twice");
    expect_refused("a | | b", JQ_ERR_INVALID, "need: column 5: an empty alternative");
    expect_refused("|a", JQ_ERR_INVALID, "need: column 1: an empty alternative");
    expect_refused("a|", JQ_ERR_INVALID, "need: column 3: an empty alternative");
}

/* A NUL inside the text is a byte like any other that no name has. */
static void a_nul_byte_is_refused(void **state) {
    (void)state;
    struct jq_need need;
    struct jq_error error;
    assert_int_equal(jq_need_parse((struct jq_str){"a\0b", 3}, &need, &error), JQ_ERR_INVALID);
    assert_int_equal(jq_need_parse((struct jq_str){"\0", 1}, &need, &error), JQ_ERR_INVALID);
}

static char *repeat(const char *unit, size_t count) {
    const size_t size = strlen(unit);
    char *const text = malloc(size * count + 1);
    for (size_t i = 0; i < count; i++)
        memcpy(text + i * size, unit, size);
    text[size * count] = '\0';
    return text;
}

static enum jq_err parse_repeated(const char *unit, size_t count, const char *tail) {
    char *const head = repeat(unit, count);
    char text[4096];
    struct jq_need need = {0};
    assert_true(snprintf(text, sizeof text, "%s%s", head, tail) < (int)sizeof text);
    const enum jq_err err = jq_need_parse(jq_str_of(text), &need, NULL);
    jq_need_fini(&need);
    free(head);
    return err;
}

/* Every bound of the grammar is met exactly: the last that fits is taken, the next one refused. */
static void bounds_are_exact(void **state) {
    (void)state;
    assert_int_equal(parse_repeated(" ", JQ_NEED_SIZE_MAX - 1, "a"), JQ_OK);
    assert_int_equal(parse_repeated(" ", JQ_NEED_SIZE_MAX, "a"), JQ_ERR_TOO_BIG);
    assert_int_equal(parse_repeated("a|", JQ_NEED_GROUPS_MAX - 1, "a"), JQ_OK);
    assert_int_equal(parse_repeated("a|", JQ_NEED_GROUPS_MAX, "a"), JQ_ERR_TOO_BIG);
    assert_int_equal(parse_repeated("a ", JQ_NEED_TERMS_MAX - 1, "b"), JQ_OK);
    assert_int_equal(parse_repeated("a ", JQ_NEED_TERMS_MAX, "b"), JQ_ERR_TOO_BIG);
    assert_int_equal(parse_repeated("n", JQ_NAME_SIZE_MAX, ""), JQ_OK);
    assert_int_equal(parse_repeated("n", JQ_NAME_SIZE_MAX + 1, ""), JQ_ERR_TOO_BIG);
    assert_int_equal(parse_repeated("a b c d e f g h|", 15, "a"), JQ_OK);
}

/* A task that took no slot could be leased to one worker without end. */
static void every_task_takes_a_slot(void **state) {
    (void)state;
    const char *const message = "need: column 1: slots can only be reserved, whole ones, 1 or more";
    expect_refused("slots=0", JQ_ERR_INVALID, message);
    expect_refused("slots=0.5", JQ_ERR_INVALID, message);
    expect_refused("slots=1.5", JQ_ERR_INVALID, message);
    expect_refused("slots", JQ_ERR_INVALID, message);
    expect_refused("!slots", JQ_ERR_INVALID, message);
    expect_refused("slots>=1", JQ_ERR_INVALID, message);
    expect_canonical("slots=2", "slots=2");
}

/* Quantities are exact: binary suffixes, thousandths, and one shortest text for each amount. */
static void quantities_are_exact(void **state) {
    (void)state;
    static const struct {
        const char *text;
        uint64_t amount;
        const char *canonical;
    } cases[] = {
        {"0", 0, "0"},
        {"0.001", 1, "0.001"},
        {"2.50", 2500, "2.5"},
        {"1k", 1024000, "1k"},
        {"512", 512000, "512"},
        {"1G", UINT64_C(1073741824000), "1G"},
        {"0.5G", UINT64_C(536870912000), "512M"},
        {"1.001k", 1025024, "1.001k"},
        {"1024T", UINT64_C(1125899906842624000), "1024T"},
        {"1152921504606846.976", UINT64_C(1) << 60, "1048.576T"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        char out[JQ_AMOUNT_TEXT_SIZE_MAX];
        uint64_t amount = 99;
        assert_int_equal(jq_amount_parse(jq_str_of(cases[i].text), &amount, NULL), JQ_OK);
        assert_int_equal(amount, cases[i].amount);
        jq_amount_format(amount, out);
        assert_string_equal(out, cases[i].canonical);
        uint64_t again = 99;
        assert_int_equal(jq_amount_parse(jq_str_of(out), &again, NULL), JQ_OK);
        assert_int_equal(again, amount);
        assert_true(strlen(out) <= strlen(cases[i].text));
    }
    uint64_t amount = 0;
    assert_int_equal(jq_amount_parse(jq_str_of("1152921504606846.977"), &amount, NULL), JQ_ERR_INVALID);
}

/* Random texts of the grammar's own bytes: whatever parses has a canonical text that is no longer, parses to an equal
 * need, and is its own canonical text. */
static void canonical_text_is_a_fixed_point(void **state) {
    (void)state;
    static const char alphabet[] = "aabcs= =|!<>~.0123.5kMGT  \t-_*?|";
    uint64_t seed = 88172645463325252U;
    size_t parsed = 0;
    for (int round = 0; round < 200000; round++) {
        char text[24];
        char first[64];
        char second[64];
        seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
        const size_t size = seed % sizeof text;
        for (size_t i = 0; i < size; i++) {
            seed ^= seed << 13, seed ^= seed >> 7, seed ^= seed << 17;
            text[i] = alphabet[(seed >> 20) % (sizeof alphabet - 1)];
        }
        struct jq_need need;
        struct jq_need again;
        if (jq_need_parse((struct jq_str){text, size}, &need, NULL) != JQ_OK)
            continue;
        parsed++;
        assert_true(jq_need_format(&need, first, sizeof first) <= size);
        assert_int_equal(jq_need_parse(jq_str_of(first), &again, NULL), JQ_OK);
        assert_true(jq_need_equal(&need, &again));
        jq_need_format(&again, second, sizeof second);
        assert_string_equal(first, second);
        jq_need_fini(&need);
        jq_need_fini(&again);
    }
    assert_true(parsed > 1000);
}

/* A text that does not fit is cut, ended, and its whole size told. */
static void formatting_never_writes_past_its_buffer(void **state) {
    (void)state;
    char out[8];
    memset(out, 'x', sizeof out);
    struct jq_need need = need_of("cpu=2 mem=4G");
    assert_int_equal(jq_need_format(&need, out, 6), 12);
    assert_string_equal(out, "cpu=2");
    assert_int_equal(out[6], 'x');
    assert_int_equal(jq_need_format(&need, NULL, 0), 12);
    jq_need_fini(&need);
}

/* An index list offers as many units as it has indexes; offers come out in the order of names. */
static void offers_are_counted_and_sorted(void **state) {
    (void)state;
    char out[128];
    struct jq_offers offers = offers_of("memory=4096M gpu=[3,0] cpu=2.5 freecad=1");
    assert_int_equal(offers.count, 4);
    assert_int_equal(jq_offers_find(&offers, JQ_STR("gpu"))->amount, 2000);
    assert_int_equal(jq_offers_find(&offers, JQ_STR("gpu"))->indexes[0], 3);
    assert_ptr_equal(jq_offers_find(&offers, JQ_STR("memory")), jq_offers_find(&offers, JQ_STR("mem")));
    assert_null(jq_offers_find(&offers, JQ_STR("nope")));
    jq_offers_format(&offers, out, sizeof out);
    assert_string_equal(out, "cpu=2.5 freecad=1 gpu=[3,0] mem=4G");
    jq_offers_fini(&offers);
}

static void expect_offers_refused(const char *text, const char *message) {
    struct jq_offers offers;
    struct jq_error error = {0};
    assert_int_not_equal(jq_offers_parse(jq_str_of(text), &offers, &error), JQ_OK);
    assert_string_equal(error.message, message);
}

static void expect_facts_refused(const char *text, const char *message) {
    struct jq_facts facts;
    struct jq_error error = {0};
    assert_int_not_equal(jq_facts_parse(jq_str_of(text), &facts, &error), JQ_OK);
    assert_string_equal(error.message, message);
}

/* A worker's own configuration and a hostile registration meet the same checks. */
static void bad_offers_and_facts_are_refused(void **state) {
    (void)state;
    expect_offers_refused("gpu=[]", "offers: column 6: gpu: indexes are written [0,1], each up to 65535");
    expect_offers_refused("gpu=[0,", "offers: column 8: gpu: indexes are written [0,1], each up to 65535");
    expect_offers_refused("gpu=[0", "offers: column 7: gpu: indexes are written [0,1], each up to 65535");
    expect_offers_refused("gpu=[0,65536]", "offers: column 13: gpu: indexes are written [0,1], each up to 65535");
    expect_offers_refused("gpu=[0]x", "offers: column 8: gpu: 'x' after the indexes");
    expect_offers_refused("gpu=[1,1]", "offers: gpu: index 1 stands twice");
    expect_offers_refused("mem=1G memory=1G", "offers: mem stands twice");
    expect_offers_refused("slots=1.5", "offers: slots: not a whole number");
    expect_offers_refused("cpu", "offers: column 4: '=' and a value are to follow cpu");
    expect_offers_refused("cpu=1|mem=1", "offers: column 6: '|' belongs into a need");
    expect_facts_refused("os=", "facts: column 4: os: a value is missing");
    expect_facts_refused("os=a os=b", "facts: os stands twice");
    const struct jq_fact fact = {JQ_STR("Bad/name"), JQ_STR("x")};
    const struct jq_fact empty = {JQ_STR("os"), JQ_STR("")};
    const struct jq_offer odd = {
        .name = JQ_STR("gpu"), .amount = 1, .indexes = (const uint16_t[]){0}, .index_count = 1};
    struct jq_facts facts;
    struct jq_offers offers;
    assert_int_equal(jq_facts_build(&fact, 1, &facts, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_facts_build(&empty, 1, &facts, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_offers_build(&odd, 1, &offers, NULL), JQ_ERR_INVALID);
}

/* Sixty-four offers and facts are a worker's limit. */
static void counts_of_offers_and_facts_are_bounded(void **state) {
    (void)state;
    struct jq_fact items[JQ_FACTS_COUNT_MAX + 1];
    char names[JQ_FACTS_COUNT_MAX + 1][8];
    for (size_t i = 0; i <= JQ_FACTS_COUNT_MAX; i++) {
        assert_true(snprintf(names[i], sizeof names[i], "f%zu", i) > 0);
        items[i] = (struct jq_fact){jq_str_of(names[i]), JQ_STR("with blanks")};
    }
    struct jq_facts facts = {0};
    assert_int_equal(jq_facts_build(items, JQ_FACTS_COUNT_MAX + 1, &facts, NULL), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_facts_build(items, JQ_FACTS_COUNT_MAX, &facts, NULL), JQ_OK);
    assert_int_equal(facts.count, JQ_FACTS_COUNT_MAX);
    assert_true(jq_str_equal(jq_facts_find(&facts, JQ_STR("f63"))->text, JQ_STR("with blanks")));
    jq_facts_fini(&facts);
}

/* Versions compare by runs of digits, and so do plain numbers; trailing ".0" means nothing. */
static void values_compare_by_runs_of_digits(void **state) {
    (void)state;
    static const char *const rising[] = {
        "0.9",       "0.20.2",    "0.21",  "1",    "1.0.1", "1.1",
        "2rc1",      "8",         "16",    "26.3", "26.10", "340282366920938463463374607431768211456",
        "debian-11", "debian-12", "linux",
    };
    const size_t count = sizeof rising / sizeof rising[0];
    for (size_t i = 0; i < count; i++)
        for (size_t j = 0; j < count; j++) {
            const int order = jq_need_value_compare(jq_str_of(rising[i]), jq_str_of(rising[j]));
            assert_int_equal((order > 0) - (order < 0), (i > j) - (i < j));
        }
    assert_int_equal(jq_need_value_compare(JQ_STR("1"), JQ_STR("1.0.0")), 0);
    assert_int_equal(jq_need_value_compare(JQ_STR("26.03"), JQ_STR("26.3")), 0);
    assert_int_equal(jq_need_value_compare(JQ_STR("0"), JQ_STR("0.0")), 0);
    assert_int_not_equal(jq_need_value_compare(JQ_STR("10"), JQ_STR("1")), 0);
    assert_int_not_equal(jq_need_value_compare(JQ_STR(".0"), JQ_STR("")), 0);
}

/* A glob matches the whole text, and a hostile one takes no more than its share of steps. */
static void globs_match_whole_texts_in_bounded_time(void **state) {
    (void)state;
    static const struct {
        const char *pattern;
        const char *text;
        bool match;
    } cases[] = {
        {"*", "", true},
        {"", "", true},
        {"", "a", false},
        {"?", "", false},
        {"a*b*c", "axxbyyc", true},
        {"a*b*c", "axxbyy", false},
        {"lab?", "lab1", true},
        {"lab?", "lab12", false},
        {"*.step", "a.step", true},
        {"*ab", "aab", true},
        {"**a**", "xay", true},
        {"a", "A", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(jq_glob_match(jq_str_of(cases[i].pattern), jq_str_of(cases[i].text)), cases[i].match);
    char *const hostile = repeat("a*", 500);
    char *const text = repeat("a", 255);
    struct jq_str pattern = jq_str_of(hostile);
    pattern.data++, pattern.size--;
    assert_false(jq_glob_match(pattern, jq_str_of(text)));
    free(hostile);
    free(text);
}

static const struct {
    const char *need;
    bool holds;
} holding_cases[] = {
    {"", true},
    {"cpu=4", true},
    {"cpu=4.001", false},
    {"mem=8G", true},
    {"memory=9G", false},
    {"gpu=2", true},
    {"gpu=3", false},
    {"tape=1", false},
    {"tape=0", true},
    {"slots=4", true},
    {"freecad", true},
    {"os", true},
    {"tape", false},
    {"!tape", true},
    {"!os", false},
    {"seat", false}, /* offered, but none of it */
    {"!seat", true},
    {"os==linux", true},
    {"os!=linux", false},
    {"os!=bsd", true},
    {"zone!=lab1", false}, /* no such fact */
    {"zone==lab1", false},
    {"zone<z", false},
    {"zone~*", false},
    {"cpu>=1", false}, /* an offer is no fact */
    {"freecad.version>=0.20 freecad.version<1.1", true},
    {"freecad.version>0.20.2", false},
    {"freecad.version<=0.20.2", true},
    {"freecad.version~0.20.*", true},
    {"cpu=4 tape", false},
    {"tape | cpu=4", true},
    {"tape | cpu=5", false},
};

/* Tests ask facts, reservations ask totals; a missing fact makes every test false, the negative one too. */
static void terms_hold_for_facts_and_totals(void **state) {
    (void)state;
    struct jq_offers totals = offers_of("cpu=4 mem=8G gpu=[0,1] freecad=1 slots=4 seat=0");
    struct jq_facts facts = facts_of("os=linux freecad.version=0.20.2");
    for (size_t i = 0; i < sizeof holding_cases / sizeof holding_cases[0]; i++) {
        struct jq_need need = need_of(holding_cases[i].need);
        const bool holds = jq_need_first_holding(&need, &facts, &totals) < need.count;
        if (holds != holding_cases[i].holds)
            fail_msg("'%s' should %s", holding_cases[i].need, holding_cases[i].holds ? "hold" : "not hold");
        jq_need_fini(&need);
    }
    jq_offers_fini(&totals);
    jq_facts_fini(&facts);
}

/* Alternatives are ordered: the first that holds is taken. */
static void the_first_alternative_that_holds_counts(void **state) {
    (void)state;
    struct jq_offers totals = offers_of("cpu=8");
    struct jq_facts facts = {0};
    struct jq_need need = need_of("gpu=1 | cpu=8 | cpu=1");
    assert_int_equal(jq_need_first_holding(&need, &facts, &totals), 1);
    assert_int_equal(jq_need_group_amount(&need.groups[1], JQ_STR("cpu")), 8000);
    assert_int_equal(jq_need_group_amount(&need.groups[0], JQ_STR("cpu")), 0);
    jq_need_fini(&need);
    jq_offers_fini(&totals);
}

static void expect_merged(const char *task, const char *handler, const char *effective) {
    char out[4096];
    struct jq_need a = need_of(task);
    struct jq_need b = need_of(handler);
    struct jq_need merged;
    assert_int_equal(jq_need_merge(&a, &b, &merged), JQ_OK);
    jq_need_fini(&a); /* The merged need borrows nothing. */
    jq_need_fini(&b);
    jq_need_format(&merged, out, sizeof out);
    assert_string_equal(out, effective);
    jq_need_fini(&merged);
}

/* The task's word counts; the handler fills in what the task does not mention; everyone takes a slot. */
static void a_handlers_terms_fill_in_what_the_task_leaves_open(void **state) {
    (void)state;
    expect_merged("", "", "slots=1");
    expect_merged("", "cpu=1 mem=1G freecad=1", "cpu=1 freecad=1 mem=1G slots=1");
    expect_merged("mem=2G", "cpu=1 mem=1G", "cpu=1 mem=2G slots=1");
    expect_merged("slots=2", "cpu=1 slots=4", "cpu=1 slots=2");
    expect_merged("", "slots=4", "slots=4");
    expect_merged("v>=2", "v<1 v>0 cpu=1", "cpu=1 slots=1 v>=2");
    expect_merged("gpu=1 | cpu=8", "cpu=1 mem=1G", "cpu=1 gpu=1 mem=1G slots=1|cpu=8 mem=1G slots=1");
    expect_merged("a | b", "x | y", "a slots=1 x|a slots=1 y|b slots=1 x|b slots=1 y");
    expect_merged("cpu=1", "cpu=2 | cpu=3", "cpu=1 slots=1");
}

/* Sixteen alternatives of a task and two of a handler fit; a hostile product is refused, not computed. */
static void a_merge_is_bounded(void **state) {
    (void)state;
    struct jq_need wide = need_of("a|b|c|d|e|f|g|h|i|j|k|l|m|n|o|p");
    struct jq_need two = need_of("x|y");
    struct jq_need three = need_of("x|y|z");
    struct jq_need merged = {0};
    assert_int_equal(jq_need_merge(&wide, &two, &merged), JQ_OK);
    assert_int_equal(merged.count, JQ_NEED_MERGED_GROUPS_MAX);
    jq_need_fini(&merged);
    assert_int_equal(jq_need_merge(&wide, &three, &merged), JQ_ERR_TOO_BIG);
    assert_int_equal(jq_need_merge(NULL, NULL, &merged), JQ_OK);
    jq_need_fini(&merged);
    jq_need_fini(&wide);
    jq_need_fini(&two);
    jq_need_fini(&three);
}

/* Wants add up the weights of the terms that hold, and never exclude. */
static void wants_score_by_weight(void **state) {
    (void)state;
    struct jq_offers totals = offers_of("cpu=4 gpu=1");
    struct jq_facts facts = facts_of("zone=lab1 uri=a:b");
    struct jq_want want;
    char out[128];
    assert_int_equal(jq_want_parse(JQ_STR(" zone==lab1:10  gpu:-3 cpu=8:50 uri==a:b:100 !tape:0"), &want, NULL), JQ_OK);
    assert_int_equal(jq_want_score(&want, &facts, &totals), 107);
    jq_want_format(&want, out, sizeof out);
    assert_string_equal(out, "zone==lab1:10 gpu:-3 cpu=8:50 uri==a:b:100 !tape:0");
    jq_want_fini(&want);
    assert_int_equal(jq_want_parse(JQ_STR(""), &want, NULL), JQ_OK);
    assert_int_equal(jq_want_score(&want, &facts, &totals), 0);
    jq_want_fini(&want);
    jq_offers_fini(&totals);
    jq_facts_fini(&facts);
}

/* A bad preference is named by its column. */
static void bad_wants_are_refused(void **state) {
    (void)state;
    static const struct {
        const char *text;
        const char *message;
    } cases[] = {
        {"a", "want: column 1: a preference is written term:weight"},
        {"a:1 :5", "want: column 5: a preference is written term:weight"},
        {"a:101", "want: column 3: the weight is not a number from -100 to 100"},
        {"a:", "want: column 3: the weight is not a number from -100 to 100"},
        {"a:-", "want: column 3: the weight is not a number from -100 to 100"},
        {"a:1x", "want: column 3: the weight is not a number from -100 to 100"},
        {"a:1|b:1", "want: column 4: a want has no alternatives"},
        {"A:1", "want: column 1: a name was expected, not 'A'"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jq_want want;
        struct jq_error error = {0};
        assert_int_not_equal(jq_want_parse(jq_str_of(cases[i].text), &want, &error), JQ_OK);
        assert_string_equal(error.message, cases[i].message);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_needs_have_one_canonical_text),
        cmocka_unit_test(refusals_name_the_column_and_the_reason),
        cmocka_unit_test(a_nul_byte_is_refused),
        cmocka_unit_test(bounds_are_exact),
        cmocka_unit_test(every_task_takes_a_slot),
        cmocka_unit_test(quantities_are_exact),
        cmocka_unit_test(canonical_text_is_a_fixed_point),
        cmocka_unit_test(formatting_never_writes_past_its_buffer),
        cmocka_unit_test(offers_are_counted_and_sorted),
        cmocka_unit_test(bad_offers_and_facts_are_refused),
        cmocka_unit_test(counts_of_offers_and_facts_are_bounded),
        cmocka_unit_test(values_compare_by_runs_of_digits),
        cmocka_unit_test(globs_match_whole_texts_in_bounded_time),
        cmocka_unit_test(terms_hold_for_facts_and_totals),
        cmocka_unit_test(the_first_alternative_that_holds_counts),
        cmocka_unit_test(a_handlers_terms_fill_in_what_the_task_leaves_open),
        cmocka_unit_test(a_merge_is_bounded),
        cmocka_unit_test(wants_score_by_weight),
        cmocka_unit_test(bad_wants_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
