#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "common/conf.h"

struct queue {
    struct jq_conf_item item;
    int64_t weight;
};

struct settings {
    char *name;
    char *dir;
    bool loud;
    int64_t count;
    int64_t size_bytes;
    int64_t wait_ms;
    int64_t mode;
    int64_t durability;
    struct jq_conf_list urls;
    struct jq_conf_list command;
    struct jq_conf_items queues;
};

static enum jq_err no_x(struct jq_str value, struct jq_error *reterr) {
    return memchr(value.data, 'x', value.size) == NULL ? JQ_OK : jq_fail(reterr, JQ_ERR_INVALID, "an x in it");
}

static const char *const durabilities[] = {"memory", "write", "fsync", NULL};

#define FIELD(member, type) JQ_CONF_FIELD(struct settings, member, type)
static const struct jq_conf_key main_keys[] = {
    {"name", JQ_CONF_STRING, FIELD(name, char *), "anna", 0, 0, NULL, no_x, "Its name."},
    {"dir", JQ_CONF_PATH, FIELD(dir, char *), "/tmp", 0, 0, NULL, NULL, "Its folder."},
    {"loud", JQ_CONF_BOOL, FIELD(loud, bool), "no", 0, 0, NULL, NULL, "Whether it sings."},
    {"urls", JQ_CONF_LIST, FIELD(urls, struct jq_conf_list), "a, b", 1, 3, NULL, NULL, "Where it listens."},
    {"command", JQ_CONF_WORDS, FIELD(command, struct jq_conf_list), "", 0, 0, NULL, NULL, "What it runs."},
};
static const struct jq_conf_key limit_keys[] = {
    {"count", JQ_CONF_INT, FIELD(count, int64_t), "3", -5, 10, NULL, NULL, "How many."},
    {"size", JQ_CONF_SIZE, FIELD(size_bytes, int64_t), "64M", 1024, INT64_MAX, NULL, NULL, "How large."},
    {"wait", JQ_CONF_DURATION, FIELD(wait_ms, int64_t), "2s", 1, 60000, NULL, NULL, "How long."},
    {"mode", JQ_CONF_MODE, FIELD(mode, int64_t), "0660", 0, 0, NULL, NULL, "For whom."},
    {"durability", JQ_CONF_ENUM, FIELD(durability, int64_t), "fsync", 0, 0, durabilities, NULL, "How sure."},
};
static const struct jq_conf_key queue_keys[] = {
    {"weight", JQ_CONF_INT, JQ_CONF_FIELD(struct queue, weight, int64_t), "1", 1, 9, NULL, NULL, "Its share."},
};
static const struct jq_conf_section sections[] = {
    {.name = "main", .help = "The whole.", .keys = main_keys, .key_count = 5},
    {.name = "limits", .help = "The bounds.", .keys = limit_keys, .key_count = 5},
    {.name = "queue",
     .help = "One queue.",
     .keys = queue_keys,
     .key_count = 1,
     .offset = JQ_CONF_FIELD(struct settings, queues, struct jq_conf_items),
     .item_size = sizeof(struct queue),
     .count_max = 3,
     .example = "cad"},
};
static const struct jq_conf_schema schema = {"singer", "A program that sings.", sections, 3};

static int set_up(void **state) {
    struct settings *const settings = calloc(1, sizeof *settings);
    if (settings == NULL || jq_conf_init(&schema, settings, NULL) != JQ_OK)
        return -1;
    *state = settings;
    return 0;
}

static int tear_down(void **state) {
    jq_conf_fini(&schema, *state);
    free(*state);
    return 0;
}

static const struct queue *queue_of(const struct settings *settings, const char *name) {
    return jq_conf_find_item(&settings->queues, sizeof(struct queue), jq_str_of(name));
}

static void expect_read(struct settings *settings, const char *text) {
    struct jq_error error = {0};
    if (jq_conf_read_text(&schema, settings, "a.conf", jq_str_of(text), &error) != JQ_OK)
        fail_msg("refused: %s", error.message);
}

/* The settings are new for every text that is refused: what an error leaves behind is only good for fini. */
static void expect_refused(const char *text, const char *message) {
    struct settings settings = {0};
    struct jq_error error = {0};
    assert_int_equal(jq_conf_init(&schema, &settings, NULL), JQ_OK);
    assert_int_not_equal(jq_conf_read_text(&schema, &settings, "a.conf", jq_str_of(text), &error), JQ_OK);
    assert_string_equal(error.message, message);
    jq_conf_fini(&schema, &settings);
}

/* Without a file every key has the default of its table. */
static void defaults_come_from_the_table(void **state) {
    const struct settings *const settings = *state;
    assert_string_equal(settings->name, "anna");
    assert_int_equal(settings->size_bytes, 64 * 1024 * 1024);
    assert_int_equal(settings->wait_ms, 2000);
    assert_int_equal(settings->mode, 0660);
    assert_int_equal(settings->durability, 2);
    assert_int_equal(settings->urls.count, 2);
    assert_string_equal(settings->urls.items[1], "b");
    assert_int_equal(settings->queues.count, 0);
}

/* A file may indent, comment, repeat named sections, continue lines, and come from another system's editor. */
static void a_file_sets_every_type(void **state) {
    struct settings *const settings = *state;
    expect_read(settings, "\xef\xbb\xbf# first\r\n"
                          "[main] ; the whole\r\n"
                          "  name =  Maria Anna ; inline\r\n"
                          "  dir=\r\n"
                          "; nothing\n"
                          "loud = yes\n"
                          "urls = tcp://h:1,ipc:///x  c\n"
                          "command = /bin/echo \"a  b\" 'c\"d' \\\n"
                          "    e=\"\\\"\\\\\\n\" \\\n"
                          "    f\n"
                          "[limits]\n"
                          "count = -5\nsize = 2G\nwait = 1m\nmode = 600\ndurability = write\n"
                          "[queue cad.step]\nweight = 2\n"
                          "[queue  b ]\nweight: 9");
    assert_string_equal(settings->name, "Maria Anna");
    assert_string_equal(settings->dir, "");
    assert_true(settings->loud);
    assert_int_equal(settings->urls.count, 3);
    assert_string_equal(settings->urls.items[1], "ipc:///x");
    assert_int_equal(settings->command.count, 5);
    assert_string_equal(settings->command.items[1], "a  b");
    assert_string_equal(settings->command.items[2], "c\"d");
    assert_string_equal(settings->command.items[3], "e=\"\\\\n");
    assert_string_equal(settings->command.items[4], "f");
    assert_int_equal(settings->count, -5);
    assert_int_equal(settings->size_bytes, INT64_C(2) << 30);
    assert_int_equal(settings->wait_ms, 60000);
    assert_int_equal(settings->mode, 0600);
    assert_int_equal(settings->durability, 1);
    assert_int_equal(queue_of(settings, "cad.step")->weight, 2);
    assert_int_equal(queue_of(settings, "b")->weight, 9);
    assert_string_equal(queue_of(settings, "b")->item.origin, "a.conf:19");
}

/* A key or section that nobody knows stops the program, with the place and what was probably meant. */
static void unknown_words_are_refused_with_a_suggestion(void **state) {
    (void)state;
    expect_refused("[main]\n\nnmae = x\n", "a.conf:3: [main] nmae: unknown key, did you mean 'name'?");
    expect_refused("[limits]\nloud = yes\n", "a.conf:2: [limits] loud: unknown key, did you mean that of [main]?");
    expect_refused("[main]\nzzzzzz = 1\n", "a.conf:2: [main] zzzzzz: unknown key");
    expect_refused("[limit]\n", "a.conf:1: [limit]: unknown section, did you mean [limits]?");
    expect_refused("[zzzzzz]\n", "a.conf:1: [zzzzzz]: unknown section");
    expect_refused("name = x\n", "a.conf:1: a key before the first section");
    expect_refused("[main]\n= x\n", "a.conf:2: [main] : unknown key");
}

/* A value that its type or bounds refuse names file, line, key and reason. */
static void bad_values_are_refused_with_their_place(void **state) {
    (void)state;
    expect_refused("[main]\nname = fox\n", "a.conf:2: [main] name: an x in it");
    expect_refused("[main]\ndir = tmp\n", "a.conf:2: [main] dir: 'tmp' is not an absolute path");
    expect_refused("[main]\nloud = maybe\n", "a.conf:2: [main] loud: 'maybe' is neither yes nor no");
    expect_refused("[main]\nurls =\n", "a.conf:2: [main] urls: 0 words, must be from 1 to 3");
    expect_refused("[main]\nurls = a b c d\n", "a.conf:2: [main] urls: 4 words, must be from 1 to 3");
    expect_refused("[main]\ncommand = a \"b\n", "a.conf:2: [main] command: a quote is not closed");
    expect_refused("[limits]\ncount = 11\n", "a.conf:2: [limits] count: must be from -5 to 10");
    expect_refused("[limits]\nsize = 1023\n", "a.conf:2: [limits] size: must be at least 1K");
    expect_refused("[limits]\nwait = 2m\n", "a.conf:2: [limits] wait: must be from 1ms to 1m");
    expect_refused("[limits]\nmode = 9\n", "a.conf:2: [limits] mode: '9' is not an octal number");
    expect_refused("[limits]\nmode = 17777\n", "a.conf:2: [limits] mode: '17777' is above 7777");
    expect_refused("[limits]\ndurability = disk\n",
                   "a.conf:2: [limits] durability: 'disk' is not one of: memory, write, fsync");
    expect_refused("[main]\nname = a\tb\x01\n", "a.conf:2: [main] name: byte 0x01 cannot be part of a value");
    expect_refused("[main]\nname = a\nname = b\n", "a.conf:3: [main] name: set twice");
    expect_refused("[queue a]\nweight = 2\n[queue b]\nweight = 1\n[queue a]\nweight = 2\n",
                   "a.conf:6: [queue a] weight: set twice");
}

/* The reason of a value that spans lines is reported where the value begins. */
static void a_continued_value_is_reported_where_it_begins(void **state) {
    (void)state;
    expect_refused("[main]\nurls = a \\\n  b \\\n  c \\\n  d\nloud = yes\n",
                   "a.conf:2: [main] urls: 4 words, must be from 1 to 3");
}

/* What is no line of a configuration is refused at its line, even if a later line is wrong as well. */
static void what_is_no_configuration_is_refused(void **state) {
    (void)state;
    expect_refused("[main]\nname\n", "a.conf:2: neither a [section] nor a key = value nor a comment");
    expect_refused("[main]\nname\nloud = maybe\n", "a.conf:2: neither a [section] nor a key = value nor a comment");
    expect_refused("[main\n", "a.conf:1: ']' is missing");
    expect_refused("[main] x\n", "a.conf:1: only a comment may follow ']'");
    expect_refused("[main x]\n", "a.conf:1: [main x]: [main] takes no name");
    expect_refused("[queue]\n", "a.conf:1: [queue]: a name is missing: [queue NAME]");
    expect_refused("[queue A/b]\n", "a.conf:1: [queue A/b]: a name is 1 to 64 of a-z 0-9 _ . -");
    expect_refused("[queue a]\nweight=1\n[queue b]\nweight=1\n[queue c]\nweight=1\n[queue d]\nweight=1\n",
                   "a.conf:7: [queue d]: more than 3 of them");
}

/* Lines that inih would silently break in two are refused; names above its own limit of 49 bytes are not cut. */
static void limits_of_the_ini_library_do_not_show(void **state) {
    struct settings *const settings = *state;
    char text[1024];
    const char name[] = "a123456789a123456789a123456789a123456789a123456789a123456789a123";
    assert_true(snprintf(text, sizeof text, "[queue %s]\nweight = 4\n", name) > 0);
    expect_read(settings, text);
    assert_int_equal(queue_of(settings, name)->weight, 4);
    assert_true(snprintf(text, sizeof text, "[main]\nname = %0183d\n", 0) > 0);
    expect_read(settings, text);
    assert_int_equal(strlen(settings->name), 183);
    assert_true(snprintf(text, sizeof text, "[main]\nname = %0184d\n", 0) > 0);
    expect_refused(text, "a.conf:2: a line of more than 190 bytes: end it with a backslash and go on in the next one");
    struct jq_error error = {0};
    assert_int_equal(jq_conf_read_text(&schema, settings, "a.conf", (struct jq_str){"[main]\nname = a\0b", 18}, &error),
                     JQ_ERR_INVALID);
    assert_string_equal(error.message, "a.conf:2: a NUL byte");
}

/* A section with a name stands for itself: it is there without a key of its own, with every default, and has its line for what is found
 * out later. */
static void a_section_without_keys_is_there(void **state) {
    struct settings *const settings = *state;
    expect_read(settings, "[main]\n\n[queue a]\n[queue b]\nweight = 2\n[queue a]\n");
    assert_int_equal(settings->queues.count, 2);
    assert_non_null(queue_of(settings, "a"));
    assert_string_equal(queue_of(settings, "a")->item.origin, "a.conf:3");
    assert_string_equal(queue_of(settings, "b")->item.origin, "a.conf:4");
}

/* The command line overrules the file, and can name items whose names have points. */
static void set_overrules_the_file(void **state) {
    struct settings *const settings = *state;
    expect_read(settings, "[main]\nname = a\n[queue cad.step]\nweight = 2\n");
    assert_int_equal(jq_conf_set(&schema, settings, JQ_STR("main.name=b=c"), NULL), JQ_OK);
    assert_int_equal(jq_conf_set(&schema, settings, JQ_STR("queue.cad.step.weight=3"), NULL), JQ_OK);
    assert_int_equal(jq_conf_set(&schema, settings, JQ_STR("queue new.weight = 7"), NULL), JQ_OK);
    assert_string_equal(settings->name, "b=c");
    assert_int_equal(queue_of(settings, "cad.step")->weight, 3);
    assert_int_equal(queue_of(settings, "new")->weight, 7);
    static const struct {
        const char *assignment;
        const char *message;
    } cases[] = {
        {"main.name", "--set main.name: SECTION.KEY=VALUE was expected"},
        {"name=x", "--set name=x: SECTION.KEY=VALUE was expected"},
        {"main.nme=b", "--set: [main] nme: unknown key, did you mean 'name'?"},
        {"queue.weight=1", "--set: [queue]: a name is missing: [queue NAME]"},
        {"limits.count=x", "--set: [limits] count: 'x': not a whole number"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct jq_error error = {0};
        assert_int_not_equal(jq_conf_set(&schema, settings, jq_str_of(cases[i].assignment), &error), JQ_OK);
        assert_string_equal(error.message, cases[i].message);
    }
}

static void write_file(const char *folder, const char *name, const char *text) {
    char path[256];
    assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    FILE *const file = fopen(path, "we");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void remove_file(const char *folder, const char *name) {
    char path[256];
    assert_true(snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path);
    assert_int_equal(unlink(path), 0);
}

/* A folder is read in the order of names, without hidden and other files; one thing is defined by one file only. */
static void a_folder_is_read_in_order_and_defines_nothing_twice(void **state) {
    struct settings *const settings = *state;
    char folder[] = "/tmp/jq-test-conf-XXXXXX";
    char expected[256];
    struct jq_error error = {0};
    assert_non_null(mkdtemp(folder));
    write_file(folder, "20.conf", "[main]\nname = second\n");
    write_file(folder, "10.conf", "[main]\nname = first\n[queue a]\nweight = 2\n");
    write_file(folder, ".hidden.conf", "garbage");
    write_file(folder, "readme.txt", "garbage");
    assert_int_equal(jq_conf_read_dir(&schema, settings, folder, NULL), JQ_OK);
    assert_string_equal(settings->name, "second");
    write_file(folder, "30.conf", "[queue a]\nweight = 3\n");
    assert_int_not_equal(jq_conf_read_file(&schema, settings, "/nonexistent.conf", &error), JQ_OK);
    jq_conf_fini(&schema, settings);
    assert_int_equal(jq_conf_init(&schema, settings, NULL), JQ_OK);
    assert_int_equal(jq_conf_read_dir(&schema, settings, folder, &error), JQ_ERR_INVALID);
    assert_true(snprintf(expected, sizeof expected, "%s/30.conf:1: [queue a]: stands in %s/10.conf:3 already", folder,
                         folder) > 0);
    assert_string_equal(error.message, expected);
    remove_file(folder, "10.conf");
    remove_file(folder, "20.conf");
    remove_file(folder, "30.conf");
    remove_file(folder, ".hidden.conf");
    remove_file(folder, "readme.txt");
    assert_int_equal(rmdir(folder), 0);
    assert_int_equal(jq_conf_read_dir(&schema, settings, folder, &error), JQ_ERR_NOT_FOUND);
}

/* Arguments are the same for both programs; a slip is a usage error, found before any file is read. */
static void arguments_are_parsed_and_slips_named(void **state) {
    struct settings *const settings = *state;
    struct jq_conf_args args;
    struct jq_error error = {0};
    const char *const good[] = {"p", "--set", "main.name=b", "--config=/dev/null", "--set=limits.count=7", "--check"};
    assert_int_equal(jq_conf_args_parse(6, good, &args, NULL), JQ_OK);
    assert_int_equal(args.action, JQ_CONF_CHECK);
    assert_string_equal(args.file, "/dev/null");
    jq_conf_fini(&schema, settings);
    assert_int_equal(jq_conf_load(&schema, &args, NULL, settings, NULL), JQ_OK);
    assert_string_equal(settings->name, "b");
    assert_int_equal(settings->count, 7);
    const char *const unknown[] = {"p", "--chek"};
    assert_int_equal(jq_conf_args_parse(2, unknown, &args, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "--chek: unknown argument, did you mean --check?");
    const char *const missing[] = {"p", "--set"};
    assert_int_equal(jq_conf_args_parse(2, missing, &args, &error), JQ_ERR_INVALID);
    assert_string_equal(error.message, "--set: a value is missing");
}

/* Help and sample are the table, written out. */
static void help_and_sample_come_from_the_table(void **state) {
    (void)state;
    struct jq_buf buf;
    jq_buf_init(&buf, 65536);
    jq_conf_append_help(&schema, &buf);
    jq_buf_append_u8(&buf, 0);
    assert_non_null(strstr((const char *)buf.data, "usage: singer [-c FILE]"));
    assert_non_null(strstr((const char *)buf.data, "  count = 3\n      How many. (number, -5 to 10)\n"));
    jq_buf_clear(&buf);
    jq_conf_append_sample(&schema, &buf);
    jq_buf_append_u8(&buf, 0);
    const char *const sample = (const char *)buf.data;
    assert_non_null(strstr(sample, "\n# The bounds.\n[limits]\n"));
    assert_non_null(strstr(sample, "\n# How sure.\n# (one of: memory, write, fsync)\n#durability = fsync\n"));
    assert_non_null(strstr(sample, "\n# How large.\n# (size, at least 1K)\n#size = 64M\n"));
    assert_non_null(strstr(sample, "\n# One queue.\n#[queue cad]\n"));
    jq_buf_fini(&buf);
}

/* The sample is a file that the parser takes, also with every '#' before a key or section removed. */
static void the_sample_is_a_good_file(void **state) {
    struct settings *const settings = *state;
    struct jq_buf buf;
    jq_buf_init(&buf, 65536);
    jq_conf_append_sample(&schema, &buf);
    assert_int_equal(jq_conf_read_text(&schema, settings, "sample", jq_buf_str(&buf), NULL), JQ_OK);
    for (size_t i = 0; i + 1 < buf.size; i++)
        if (buf.data[i] == '#' && buf.data[i + 1] != ' ' && buf.data[i + 1] != '\n')
            buf.data[i] = ' ';
    struct jq_error error = {0};
    if (jq_conf_read_text(&schema, settings, "sample", jq_buf_str(&buf), &error) != JQ_OK)
        fail_msg("%s", error.message);
    assert_int_equal(queue_of(settings, "cad")->weight, 1);
    jq_buf_fini(&buf);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void) {
    const struct CMUnitTest tests[] = {
        TEST(defaults_come_from_the_table),
        TEST(a_file_sets_every_type),
        TEST(unknown_words_are_refused_with_a_suggestion),
        TEST(bad_values_are_refused_with_their_place),
        TEST(a_continued_value_is_reported_where_it_begins),
        TEST(what_is_no_configuration_is_refused),
        TEST(limits_of_the_ini_library_do_not_show),
        TEST(a_section_without_keys_is_there),
        TEST(set_overrules_the_file),
        TEST(a_folder_is_read_in_order_and_defines_nothing_twice),
        TEST(arguments_are_parsed_and_slips_named),
        TEST(help_and_sample_come_from_the_table),
        TEST(the_sample_is_a_good_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
