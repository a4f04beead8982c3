#include "broker/shell/cli.h"

#include <stdio.h>
#include <stdlib.h>

#include "broker/shell/print_settings.h"
#include "common/log.h"
#include "common/tokens.h"
#include "common/version.h"

enum { TEXT_SIZE_MAX = 256 * 1024 };

static const char help_more[] = "\nOnly jqbroker:\n"
                                "  --data-dir DIR    the same as --set broker.data_dir=DIR\n"
                                "  --print-config    print the settings as they are after file and --set, and exit\n";

/* The arguments with our own ones taken out or turned into what common/conf.h knows. */
struct words {
    const char **items;
    int count;
    bool print;
    bool missing; /* a value, at the end */
};

/* A copy that lives as long as the process. */
static const char *data_dir_assignment(const char *dir) {
    static const char key[] = "broker.data_dir=";
    const size_t size = sizeof(key) + strlen(dir);
    char *text = malloc(size);
    JQ_CHECK(text != NULL);
    (void)snprintf(text, size, "%s%s", key, dir);
    return text;
}

static void take_word(struct words *words, int argc, const char *const *argv, int *index) {
    static const char data_dir[] = "--data-dir";
    const char *word = argv[*index];
    if (strcmp(word, "--print-config") == 0) {
        words->print = true;
        return;
    }
    const bool joined = strncmp(word, "--data-dir=", sizeof(data_dir)) == 0;
    if (!joined && strcmp(word, data_dir) != 0) {
        words->items[words->count++] = word;
        return;
    }
    words->missing = !joined && *index + 1 == argc;
    if (words->missing)
        return;
    words->items[words->count++] = "--set";
    words->items[words->count++] = data_dir_assignment(joined ? word + sizeof(data_dir) : argv[++*index]);
}

static struct words words_of(int argc, const char *const *argv) {
    struct words words = {.items = calloc(2 * (size_t)argc + 1, sizeof(char *))};
    JQ_CHECK(words.items != NULL);
    for (int i = 0; i < argc; i++)
        take_word(&words, argc, argv, &i);
    return words;
}

static enum jq_exit complain(const char *message, enum jq_exit status) {
    (void)fprintf(stderr, "jqbroker: %s\n", message);
    return status;
}

static enum jq_exit print(const struct jq_buf *text) {
    const bool whole = !text->failed && fwrite(text->data, 1, text->size, stdout) == text->size && fflush(stdout) == 0;
    return whole ? JQ_EXIT_OK : complain("cannot write to standard output", JQ_EXIT_IO);
}

/* Help, version and sample need no settings. */
static enum jq_exit print_action(enum jq_conf_action action) {
    struct jq_buf text;
    jq_buf_init(&text, TEXT_SIZE_MAX);
    if (action == JQ_CONF_VERSION) {
        jq_buf_append_text(&text, JQ_STR("jqbroker " JQ_VERSION "\n"));
    } else if (action == JQ_CONF_SAMPLE) {
        jq_conf_append_sample(&jq_broker_schema, &text);
    } else {
        jq_conf_append_help(&jq_broker_schema, &text);
        jq_buf_append_text(&text, jq_str_of(help_more));
    }
    const enum jq_exit status = print(&text);
    jq_buf_fini(&text);
    return status;
}

static enum jq_exit print_settings(const struct jq_broker_settings *settings) {
    struct jq_buf text;
    jq_buf_init(&text, TEXT_SIZE_MAX);
    jq_settings_append(&jq_broker_schema, settings, &text);
    const enum jq_exit status = print(&text);
    jq_buf_fini(&text);
    return status;
}

/* ---- --check ---- */

static void append_urls(struct jq_buf *text, const char *what, const struct jq_conf_list *urls) {
    jq_buf_append_format(text, "  %-10s", what);
    for (size_t i = 0; i < urls->count; i++)
        jq_buf_append_format(text, " %s", urls->items[i]);
    jq_buf_append_format(text, urls->count > 0 ? "\n" : " none\n");
}

/* False: there is none that is good, and *reterr says why. */
static bool append_tokens(struct jq_buf *text, const struct jq_broker_settings *settings, struct jq_error *reterr) {
    struct jq_tokens tokens = {.count = 0};
    if (settings->auth == JQ_AUTH_OFF) {
        jq_buf_append_format(text, "  %-10s off\n", "auth");
        return true;
    }
    if (jq_tokens_read(settings->tokens_file, &tokens, reterr) != JQ_OK)
        return false;
    jq_buf_append_format(text, "  %-10s %zu tokens in %s\n", "auth", tokens.count, settings->tokens_file);
    jq_tokens_fini(&tokens);
    return true;
}

/* What was read, and what a broker would do by it. */
static enum jq_exit print_check(const struct jq_conf_args *args, const struct jq_broker_settings *settings) {
    struct jq_buf text;
    struct jq_error error;
    enum jq_exit status = JQ_EXIT_CONFIG;
    const char *file = jq_conf_file(args, JQ_BROKER_CONF_FILE);
    jq_buf_init(&text, TEXT_SIZE_MAX);
    jq_buf_append_format(&text, "jqbroker: the settings are good: %s\n",
                         file != NULL ? file : "the defaults, and --set; there is no " JQ_BROKER_CONF_FILE);
    jq_buf_append_format(&text, "  %-10s %s\n", "data", settings->data_dir);
    append_urls(&text, "requests", &settings->request_urls);
    append_urls(&text, "notices", &settings->notice_urls);
    append_urls(&text, "surveys", &settings->survey_urls);
    jq_buf_append_format(&text, "  %-10s %s\n", "http",
                         settings->http_address[0] != '\0' ? settings->http_address : "none");
    if (append_tokens(&text, settings, &error))
        status = print(&text);
    else
        (void)fprintf(stderr, "jqbroker: [broker] tokens_file: %s\n", error.message);
    jq_buf_fini(&text);
    return status;
}

static void open_log(const struct jq_broker_settings *settings) {
    const struct jq_log_config config = {
        .level = (enum jq_log_level)settings->log_level, .target = JQ_LOG_TARGET_AUTO, .name = "jqbroker"};
    jq_log_open(&config);
}

/* True: go on. */
static bool load(const struct words *words, struct jq_broker_settings *settings, enum jq_exit *ret_status) {
    struct jq_conf_args args;
    struct jq_error error;
    if (jq_conf_args_parse(words->count, words->items, &args, &error) != JQ_OK) {
        *ret_status = complain(error.message, JQ_EXIT_USAGE);
        return false;
    }
    if (args.action != JQ_CONF_RUN && args.action != JQ_CONF_CHECK) {
        *ret_status = print_action(args.action);
        return false;
    }
    if (jq_broker_settings_load(&args, settings, &error) != JQ_OK) {
        *ret_status = complain(error.message, JQ_EXIT_CONFIG);
        return false;
    }
    *ret_status = words->print                   ? print_settings(settings)
                  : args.action == JQ_CONF_CHECK ? print_check(&args, settings)
                                                 : JQ_EXIT_OK;
    return args.action == JQ_CONF_RUN && !words->print;
}

bool jq_cli_settings(int argc, const char *const *argv, struct jq_broker_settings *settings, enum jq_exit *ret_status) {
    const struct words words = words_of(argc, argv);
    bool go_on = false;
    if (words.missing)
        *ret_status = complain("--data-dir: a value is missing", JQ_EXIT_USAGE);
    else
        go_on = load(&words, settings, ret_status);
    free(words.items);
    if (go_on)
        open_log(settings);
    return go_on;
}
