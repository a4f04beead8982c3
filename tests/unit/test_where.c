#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "common/where.h"

static struct jq_where parsed(const char *text) {
    struct jq_where where;
    struct jq_error error = {0};
    if (jq_where_parse(jq_str_of(text), &where, &error) != JQ_OK)
        fail_msg("%s: %s", text, error.message);
    return where;
}

static struct jq_where_subject dead_letter(void) {
    return (struct jq_where_subject){.id = 17,
                                     .state = JQ_STATE_DEAD,
                                     .outcome = JQ_OUTCOME_CRASH_LIMIT,
                                     .priority = 5,
                                     .attempts = 3,
                                     .age_ms = 2 * 3600 * 1000,
                                     .queue = JQ_STR("cad"),
                                     .handler = JQ_STR("cad.step2stl"),
                                     .error = JQ_STR("in OCC: no such file")};
}

static bool matches(const char *text, const struct jq_where_subject *subject) {
    const struct jq_where where = parsed(text);
    return jq_where_match(&where, subject);
}

/* What an operator writes means what it says: every field, every op, on one dead letter. */
static void terms_mean_what_they_say(void **state) {
    (void)state;
    static const struct {
        const char *text;
        bool holds;
    } rows[] = {
        {"queue=cad state=dead age>1h error~OCC handler=cad.*", true},
        {"id=17", true},
        {"id!=17", false},
        {"id>17", false},
        {"id>=17 id<=17", true},
        {"id<18", true},
        {"id=1-17", false},
        {"queue=cad", true},
        {"queue=ca", false},
        {"queue=mail,cad", true},
        {"queue!=mail,cad", false},
        {"queue~c?d", true},
        {"queue!~c*", false},
        {"handler=mail,cad.*", true},
        {"handler=cad", false},
        {"state=ready,dead", true},
        {"state!=dead", false},
        {"state!=ready", true},
        {"outcome=crash_limit", true},
        {"outcome!=timeout,crash_limit", false},
        {"priority=normal", true},
        {"priority>=high", false},
        {"attempts>2", true},
        {"attempts<3", false},
        {"age>2h", false},
        {"age>=2h", true},
        {"age<1d", true},
        {"error~occ", false},
        {"error~\"no such\"", true},
        {"error=OCC", false},
        {"error=\"in OCC: no such file\"", true},
        {"error!~*file", false},
        {"worker=\"\"", true},
        {"worker!=w1", true},
        {"worker=w1", false},
        {"group=\"\" flow!=3", true},
        {"event=task.*", false},
        {"  queue=cad\tstate=dead ", true},
        {"queue=cad state=ready", false},
    };
    const struct jq_where_subject letter = dead_letter();
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (matches(rows[i].text, &letter) != rows[i].holds)
            fail_msg("%s: %s", rows[i].text, rows[i].holds ? "should hold" : "should not hold");
    }
}

/* Who slips is told which term, where it stands, and what would do instead. */
static void slips_are_told_with_term_and_place(void **state) {
    (void)state;
    static const struct {
        const char *text, *message;
    } rows[] = {
        {"", "where: no term; everything is priority>=0"},
        {"   ", "where: no term; everything is priority>=0"},
        {"dead", "where: column 1: 'dead': not of the form FIELD=VALUE; the ops are = != ~ !~ < > <= >="},
        {"queue=cad =dead", "where: column 11: '=dead': not of the form FIELD=VALUE; the ops are = != ~ !~ < > <= >="},
        {"queue=cad stat=dead", "where: column 11: 'stat=dead': no such field; there are id queue state handler "
                                "priority group key age error attempts worker flow outcome event"},
        {"state=deaf", "where: column 1: 'state=deaf': no such state"},
        {"state=none", "where: column 1: 'state=none': no such state"},
        {"state=", "where: column 1: 'state=': a word is missing"},
        {"state~d*", "where: column 1: 'state~d*': the ops of this field are = !="},
        {"outcome=bad", "where: column 1: 'outcome=bad': no such outcome"},
        {"queue<cad", "where: column 1: 'queue<cad': the ops of this field are = != ~ !~"},
        {"age=1h", "where: column 1: 'age=1h': the ops of this field are < > <= >="},
        {"age>soon", NULL},
        {"id=0", NULL},
        {"id=x", NULL},
        {"attempts>-1", NULL},
        {"priority>10", "where: column 1: 'priority>10': not a priority: 0 to 9, urgent, high, normal, low or "
                        "background"},
        {"key~a", "where: column 1: 'key~a': the ops of this field are ="},
        {"error~\"no such", "where: column 1: 'error~\"no such': a quote is missing"},
        {"error~\"a\"b", "where: column 1: 'error~\"a\"': a blank must follow the closing quote"},
        {"queue=a\x1b[31m \x01=b", "where: column 14: '?=b': not of the form FIELD=VALUE; the ops are = != ~ !~ < > "
                                   "<= >="},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct jq_where where;
        struct jq_error error = {0};
        if (jq_where_parse(jq_str_of(rows[i].text), &where, &error) != JQ_ERR_INVALID)
            fail_msg("%s: taken", rows[i].text);
        if (rows[i].message)
            assert_string_equal(error.message, rows[i].message);
        else
            assert_non_null(strstr(error.message, "where: column 1: '"));
    }
}

/* A selection is bounded, in bytes and in terms: it comes from outside. */
static void a_selection_is_bounded(void **state) {
    (void)state;
    char text[JQ_WHERE_SIZE_MAX + 2];
    struct jq_where where;
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    assert_int_equal(jq_where_parse(jq_str_of(text), &where, NULL), JQ_ERR_TOO_BIG);
    memcpy(text, "error~", 6);
    text[JQ_WHERE_SIZE_MAX] = '\0';
    assert_int_equal(jq_where_parse(jq_str_of(text), &where, NULL), JQ_OK);
    size_t at = 0;
    for (int i = 0; i < JQ_WHERE_TERMS_MAX + 1; i++) {
        memcpy(text + at, "id>1 ", 5);
        at += 5;
    }
    assert_int_equal(jq_where_parse((struct jq_str){text, at}, &where, NULL), JQ_ERR_INVALID);
    assert_int_equal(jq_where_parse((struct jq_str){text, at - 5}, &where, NULL), JQ_OK);
    assert_int_equal(where.count, JQ_WHERE_TERMS_MAX);
}

/* What an index may use is narrowed by the terms, and never below what they allow. */
static void terms_narrow_what_is_looked_at(void **state) {
    (void)state;
    uint64_t from, last;
    struct jq_str name;
    struct jq_where where = parsed("id>=10 id<20 state=dead,ready state!=ready queue=cad key=\"a,b*\"");
    jq_where_ids(&where, &from, &last);
    assert_int_equal(from, 10);
    assert_int_equal(last, 19);
    assert_int_equal(jq_where_states(&where), 1U << JQ_STATE_DEAD);
    assert_true(jq_where_exact(&where, JQ_WHERE_QUEUE, &name));
    assert_true(jq_str_equal(name, JQ_STR("cad")));
    assert_true(jq_where_exact(&where, JQ_WHERE_KEY, &name));
    assert_true(jq_str_equal(name, JQ_STR("a,b*")));
    assert_true(jq_where_names(&where, JQ_WHERE_STATE));
    assert_false(jq_where_names(&where, JQ_WHERE_AGE));
    where = parsed("queue=cad,mail id!=7");
    assert_false(jq_where_exact(&where, JQ_WHERE_QUEUE, &name));
    jq_where_ids(&where, &from, &last);
    assert_int_equal(from, 0);
    assert_true(last == UINT64_MAX);
    assert_true(jq_where_states(&where) == UINT32_MAX);
    where = parsed("queue=c*");
    assert_false(jq_where_exact(&where, JQ_WHERE_QUEUE, &name));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(terms_mean_what_they_say),
        cmocka_unit_test(slips_are_told_with_term_and_place),
        cmocka_unit_test(a_selection_is_bounded),
        cmocka_unit_test(terms_narrow_what_is_looked_at),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
