/* What a FreeCAD is, found out by a program, and remembered; with programs that only look like one. */
#include "common/clock.h"
#include "tests/lib/exec_bed.h"
#include "worker/freecad/probe.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct answer {
    unsigned count;
    bool found;
    char text[512];
};

static int set_up(void **state) {
    static struct exec_bed bed;
    bed = exec_bed_make("none");
    *state = &bed;
    return 0;
}

static int tear_down(void **state) {
    exec_bed_remove(*state);
    return 0;
}

static void take(void *ctx, const char *facts, const char *why, int64_t now_ms) {
    struct answer *answer = ctx;
    (void)now_ms;
    answer->count++;
    answer->found = facts != NULL;
    (void)snprintf(answer->text, sizeof(answer->text), "%s", facts != NULL ? facts : why);
}

/* A program that sends one result frame with `facts` and adds a line to `ran`. */
static void write_program(const struct exec_bed *bed, const char *facts) {
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/freecadcmd", bed->dir);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fprintf(file,
                        "#!/bin/sh\necho >> %s/ran\nf='{\"type\":\"result\",\"result\":\"%s\"}'\n"
                        "printf \"\\\\$(printf %%o ${#f})\\\\000\\\\000\\\\000%%s\" \"$f\" >&3\n",
                        bed->dir, facts) > 0);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(chmod(path, 0755), 0);
}

static off_t runs_of(const struct exec_bed *bed) {
    char path[128];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/ran", bed->dir);
    return stat(path, &status) == 0 ? status.st_size : 0;
}

static struct answer ask(struct exec_bed *bed, const char *program) {
    struct answer answer = {.count = 0};
    char path[128];
    (void)snprintf(path, sizeof(path), "%s%s", program[0] == '/' ? "" : bed->dir,
                   program[0] == '/' ? program : "/freecadcmd");
    const char *const command[] = {path, "{runner}", NULL};
    const struct jq_freecad_probe probe = {
        .command = command, .script = "/probe.py", .state_dir = bed->dir, .on_facts = take, .ctx = &answer};
    struct jq_error error;
    if (jq_freecad_probe(bed->host, &probe, jq_clock_boot_ms(), &error) != JQ_OK) {
        answer.count = 1;
        (void)snprintf(answer.text, sizeof(answer.text), "%s", error.message);
    }
    while (answer.count == 0) {
        exec_bed_serve(bed, 1000);
    }
    assert_int_equal(answer.count, 1);
    return answer;
}

/* The program is asked once; the answer serves later starts, until the program changes. */
static void facts_are_remembered_until_the_program_changes(void **state) {
    struct exec_bed *bed = *state;
    write_program(bed, "freecad.version=0.20.2 freecad.occ=7.6.3");
    struct answer answer = ask(bed, "freecadcmd");
    assert_string_equal(answer.text, "freecad.version=0.20.2 freecad.occ=7.6.3");
    assert_true(answer.found);
    answer = ask(bed, "freecadcmd");
    assert_string_equal(answer.text, "freecad.version=0.20.2 freecad.occ=7.6.3");
    assert_int_equal(runs_of(bed), 1);
    write_program(bed, "freecad.version=1.0");
    answer = ask(bed, "freecadcmd");
    assert_string_equal(answer.text, "freecad.version=1.0");
    assert_int_equal(runs_of(bed), 2);
}

/* What is remembered is checked like what is told: a damaged file is not used. */
static void damaged_memory_is_not_used(void **state) {
    struct exec_bed *bed = *state;
    char path[128];
    (void)snprintf(path, sizeof(path), "%s/freecad-facts", bed->dir);
    write_program(bed, "freecad.version=0.20.2");
    (void)ask(bed, "freecadcmd");
    struct stat status;
    assert_int_equal(stat(path, &status), 0);
    for (off_t size = status.st_size - 1; size > 0; size -= 7) {
        assert_int_equal(truncate(path, size), 0);
        assert_string_equal(ask(bed, "freecadcmd").text, "freecad.version=0.20.2");
    }
}

/* No FreeCAD, a broken one, one that talks nonsense: one line that says so, and nothing is remembered. */
static void missing_or_broken_freecad_is_named(void **state) {
    struct exec_bed *bed = *state;
    struct answer answer = ask(bed, "/no/such/freecadcmd");
    assert_false(answer.found);
    assert_string_equal(answer.text, "start /no/such/freecadcmd: execute: No such file or directory");
    answer = ask(bed, "/bin/false");
    assert_false(answer.found);
    assert_string_equal(answer.text, "FreeCAD does not run: exit 1");
    answer = ask(bed, "/bin/true");
    assert_string_equal(answer.text, "FreeCAD does not run: exit 0 without a result");
    write_program(bed, "Not Facts");
    answer = ask(bed, "freecadcmd");
    assert_false(answer.found);
    assert_non_null(strstr(answer.text, "FreeCAD told no facts: "));
    (void)ask(bed, "freecadcmd");
    assert_int_equal(runs_of(bed), 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(facts_are_remembered_until_the_program_changes, set_up, tear_down),
        cmocka_unit_test_setup_teardown(damaged_memory_is_not_used, set_up, tear_down),
        cmocka_unit_test_setup_teardown(missing_or_broken_freecad_is_named, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
