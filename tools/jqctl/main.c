/* main.c - jqctl: reads its command line and runs the command. */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

#include "common/message.h"
#include "common/version.h"
#include "tools/jqctl/jqctl.h"

static int print_help(const struct jqctl_args *args) {
    struct jq_buf buf;
    jq_buf_init(&buf, 1 << 20);
    jqctl_help(args->noun, args->command, &buf);
    jqctl_write(jq_buf_bytes(&buf));
    jq_buf_fini(&buf);
    return JQCTL_DONE;
}

static int run(int argc, const char *const *argv) {
    struct jqctl ctl = {.client = NULL};
    struct jq_error error;
    if (jqctl_args_parse(argc, argv, &ctl.args, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "%s", error.message);
    if (ctl.args.help)
        return print_help(&ctl.args);
    if (ctl.args.version) {
        (void)printf("jqctl %s\n", JQ_VERSION);
        return JQCTL_DONE;
    }
    const int code = jqctl_prepare(&ctl);
    return code == JQCTL_DONE ? ctl.args.command->run(&ctl) : code;
}

/* Pieces of files come and go: taken from the system for each alone, their memory would cost more than sending them. */
static void keep_memory(void) {
    (void)mallopt(M_MMAP_THRESHOLD, JQ_LARGE_FRAME_SIZE_MAX + 64 * 1024);
    (void)mallopt(M_TRIM_THRESHOLD, 16 * 1024 * 1024);
}

int main(int argc, char **argv) {
    keep_memory();
    const int code = jqctl_finish(run(argc, (const char *const *)argv));
    /* Threads of the transport still run: nothing may be taken from under them. */
    (void)fflush(stderr);
    _Exit(code);
}
