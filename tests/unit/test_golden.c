/* Journals of every format that ever was (tests/golden, made by make.py there) are read by this version: from the repository's root.
 *
 * If this fails after a change, the change makes journals unreadable that brokers have out there, or lets them mean something else: the digest
 * of an old state is written in old prologues, too. Give what is new a form that leaves the old one as it was. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "broker/journal/archive.h"
#include "tools/jqctl/journal.h"

#define GOLDEN "tests/golden"

struct reading {
    struct jqctl_fold fold;
    uint64_t counts[256]; /* of records, by type */
};

static bool read_record(void *ctx, const struct jqctl_walked *walked) {
    struct reading *reading = ctx;
    reading->counts[walked->type]++;
    if (walked->fault)
        fail_msg("LSN %" PRIu64 ": %s", walked->lsn, walked->fault->message);
    return jqctl_fold_record(&reading->fold, walked);
}

static uint64_t count_of_type(const struct reading *reading, const char *name) {
    for (unsigned type = 0; type < 256; type++)
        if (strcmp(jq_record_type_name((uint8_t)type), name) == 0)
            return reading->counts[type];
    fail_msg("no record is called %s any more", name);
    return 0;
}

static uint64_t found(const struct reading *reading, const struct jq_journal_verdict *verdict, const char *name) {
    struct jq_server_row now;
    jq_core_status(reading->fold.core, &now);
    const struct {
        const char *name;
        uint64_t value;
    } rows[] = {
        {"digest", now.digest},
        {"waiting", now.waiting},
        {"blocked", now.blocked},
        {"scheduled", now.scheduled},
        {"ready", now.ready},
        {"running", now.running},
        {"dead", now.dead},
        {"tasks_finished", now.tasks_finished},
        {"keys", now.keys},
        {"records", verdict->record_count},
        {"first_lsn", verdict->first_lsn},
        {"end_lsn", verdict->end_lsn},
    };
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (strcmp(rows[i].name, name) == 0)
            return rows[i].value;
    fail_msg("what is '%s'?", name);
    return 0;
}

/* Each line: a name and a number, of a type "type NAME NUMBER"; the digest in hex. */
static void compare(const char *dir, const struct reading *reading, const struct jq_journal_verdict *verdict) {
    char path[512], line[128], name[64], number[32];
    (void)snprintf(path, sizeof(path), "%s/expected", dir);
    FILE *file = fopen(path, "r");
    assert_non_null(file);
    size_t lines = 0;
    for (; fgets(line, sizeof(line), file) != NULL; lines++) {
        const bool type = sscanf(line, "type %63s %31s", name, number) == 2;
        if (!type)
            assert_int_equal(sscanf(line, "%63s %31s", name, number), 2);
        const uint64_t value = type ? count_of_type(reading, name) : found(reading, verdict, name);
        const uint64_t expected = strtoull(number, NULL, strcmp(name, "digest") == 0 ? 16 : 10);
        if (value != expected)
            fail_msg("%s: %s is %" PRIu64 " (%" PRIx64 "), expected %s", dir, name, value, value, number);
    }
    assert_true(lines > 12);
    fclose(file);
}

static void read_one(const char *dir) {
    struct reading *reading = calloc(1, sizeof(*reading));
    struct jq_archive_disk *archive = NULL;
    struct jq_journal_verdict verdict;
    assert_true(reading != NULL && jqctl_fold_init(&reading->fold));
    assert_int_equal(jq_archive_disk_new(jq_disk_posix(), NULL, &archive, NULL), JQ_OK);
    assert_int_equal(jqctl_journal_walk_dir(jq_archive_disk(archive), dir, read_record, reading, &verdict), 0);
    assert_false(reading->fold.failed);
    assert_int_equal(jq_core_digest(reading->fold.core), jq_core_digest_slow(reading->fold.core));
    compare(dir, reading, &verdict);
    jq_archive_disk_free(archive);
    jqctl_fold_fini(&reading->fold);
    free(reading);
}

/* Every golden journal is whole, holds the records that it held when it was made, and they make the state that they made then. */
static void every_golden_journal_is_what_it_was(void **state) {
    (void)state;
    DIR *stream = opendir(GOLDEN);
    size_t count = 0;
    if (stream == NULL)
        fail_msg("%s cannot be opened: run me from the repository's root", GOLDEN);
    for (const struct dirent *entry = readdir(stream); entry != NULL; entry = readdir(stream)) {
        char dir[320];
        if (entry->d_name[0] != 'v')
            continue;
        (void)snprintf(dir, sizeof(dir), GOLDEN "/%s", entry->d_name);
        read_one(dir);
        count++;
    }
    closedir(stream);
    assert_true(count >= 2);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(every_golden_journal_is_what_it_was)};
    return cmocka_run_group_tests_name("golden", tests, NULL, NULL);
}
