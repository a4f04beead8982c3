/* prepare.c - what jqctl finds out before it does anything: configuration, terminal, common options. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "common/conf.h"
#include "common/text.h"
#include "tools/jqctl/jqctl.h"

enum { PATH_SIZE = 1024, COLUMNS_MIN = 40, COLUMNS_MAX = 1000, COLUMNS_DEFAULT = 80 };

#define SYSTEM_CONF "/etc/jqmesh/jqctl.conf"

/* ---- configuration ------------------------------------------------------------------------------------------------------ */

static const struct jq_conf_key server_keys[] = {
    {"url", JQ_CONF_STRING, JQ_CONF_FIELD(struct jqctl_settings, url, char *), "", 0, 0, NULL, NULL,
     "Request sockets of one broker, between commas: tcp://HOST:PORT or ipc:///PATH; empty for the default."},
    {"token_file", JQ_CONF_PATH, JQ_CONF_FIELD(struct jqctl_settings, token_file, char *), "", 0, 0, NULL, NULL,
     "A file with the token to show to it, readable by its owner alone."},
};

static const struct jq_conf_section sections[] = {
    {.name = "server", .help = "The broker to talk to.", .keys = server_keys, .key_count = 2},
};

static const struct jq_conf_schema schema = {
    .program = "jqctl", .help = "Shows and steers a jqmesh broker.", .sections = sections, .section_count = 1};

/* The file of this user. False: there is no home. */
static bool own_conf(char path[PATH_SIZE]) {
    const char *base = getenv("XDG_CONFIG_HOME");
    const char *home = getenv("HOME");
    int size = 0;
    if (base && base[0] == '/')
        size = snprintf(path, PATH_SIZE, "%s/jqmesh/jqctl.conf", base);
    else if (home && home[0] == '/')
        size = snprintf(path, PATH_SIZE, "%s/.config/jqmesh/jqctl.conf", home);
    return size > 0 && size < PATH_SIZE;
}

/* The first of these that is there. NULL: none. */
static const char *conf_file(const struct jqctl *ctl, char path[PATH_SIZE]) {
    const char *given = jqctl_value(&ctl->args, "config");
    if (given)
        return given;
    if (own_conf(path) && access(path, F_OK) == 0)
        return path;
    return access(SYSTEM_CONF, F_OK) == 0 ? SYSTEM_CONF : NULL;
}

static int load_settings(struct jqctl *ctl) {
    char path[PATH_SIZE];
    struct jq_error error;
    const char *file = conf_file(ctl, path);
    enum jq_err err = jq_conf_init(&schema, &ctl->settings, &error);
    if (err == JQ_OK && file)
        err = jq_conf_read_file(&schema, &ctl->settings, file, &error);
    return err == JQ_OK ? JQCTL_DONE : jqctl_fail(EX_CONFIG, "%s", error.message);
}

/* ---- the terminal ------------------------------------------------------------------------------------------------------- */

static unsigned columns_of_terminal(void) {
    struct winsize size = {.ws_col = 0};
    const char *environment = getenv("COLUMNS");
    uint64_t columns = 0;
    if (environment && jq_text_parse_uint(jq_str_of(environment), COLUMNS_MAX, &columns, NULL) == JQ_OK && columns > 0)
        return columns < COLUMNS_MIN ? COLUMNS_MIN : (unsigned)columns;
    if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0)
        return COLUMNS_DEFAULT;
    return size.ws_col < COLUMNS_MIN ? COLUMNS_MIN : size.ws_col;
}

static void look_at_terminal(struct jqctl_terminal *terminal) {
    const char *no_color = getenv("NO_COLOR");
    const char *term = getenv("TERM");
    terminal->out = isatty(STDOUT_FILENO) == 1;
    terminal->err = isatty(STDERR_FILENO) == 1;
    terminal->colour = terminal->out && !(no_color && no_color[0]) && !(term && strcmp(term, "dumb") == 0);
    terminal->columns = terminal->out ? columns_of_terminal() : 0;
}

int jqctl_prepare(struct jqctl *ctl) {
    ctl->json = jqctl_given(&ctl->args, "json");
    ctl->timeout_ms = -1;
    look_at_terminal(&ctl->terminal);
    const int code = jqctl_option_duration(ctl, "timeout", &ctl->timeout_ms);
    return code == JQCTL_DONE ? load_settings(ctl) : code;
}
