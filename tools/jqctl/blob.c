/* blob.c - jqctl blob: what lies in the broker's store, to it and from it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tools/jqctl/files.h"
#include "tools/jqctl/pages.h"
#include "tools/jqctl/print.h"

static const struct jqctl_column blob_columns[] = {
    {"hash", "sha256", JQCTL_HASH, JQCTL_BOTH, NULL},      {"size", "size", JQCTL_SIZE, JQCTL_BOTH, NULL},
    {"refs", "files", JQCTL_COUNT, JQCTL_BOTH, NULL},      {"stored", "stored", JQCTL_FLAG, JQCTL_BOTH, NULL},
    {"idle_ms", "idle for", JQCTL_SPAN, JQCTL_BOTH, NULL},
};
static const struct jqctl_columns blob_row = JQCTL_COLUMNS(blob_columns);

enum { PAGE_ROWS = 200 };

int jqctl_blob_ls(struct jqctl *ctl) {
    const struct jqctl_pages pages = {.op = "blob.ls",
                                      .message = &jq_message_blob_ls,
                                      .after_place = JQ_AT_BLOB_LS_AFTER,
                                      .limit_place = JQ_AT_BLOB_LS_LIMIT,
                                      .limit = PAGE_ROWS,
                                      .rows = "blobs",
                                      .columns = &blob_row,
                                      .kind = "blob.list"};
    return jqctl_pages_list(ctl, &pages);
}

int jqctl_blob_put(struct jqctl *ctl) {
    int code = jqctl_connect(ctl);
    for (size_t i = 0; code == JQCTL_DONE && i < ctl->args.operand_count; i++) {
        char text[JQ_BLOB_TEXT_SIZE];
        struct jq_blob blob;
        code = jqctl_file_put(ctl, "put", ctl->args.operands[i], &blob);
        if (code == JQCTL_DONE)
            (void)printf("%s  %s\n", jq_blob_format(&blob, text), ctl->args.operands[i]);
    }
    return code;
}

static int print_file(const char *path) {
    char chunk[16384];
    size_t size = 0;
    FILE *file = fopen(path, "rbe");
    if (!file)
        return jqctl_fail(EX_IOERR, "%s: %s", path, strerror(errno));
    while ((size = fread(chunk, 1, sizeof(chunk), file)) > 0)
        jqctl_write((struct jq_bytes){(const uint8_t *)chunk, size});
    const bool bad = ferror(file) != 0;
    (void)fclose(file);
    return bad ? jqctl_fail(EX_IOERR, "%s: cannot be read", path) : JQCTL_DONE;
}

/* "-" is stdout. Nothing is printed before all of it is there and its sum is right. */
static int get_to_stdout(struct jqctl *ctl, const struct jq_blob *blob) {
    const char *parent = getenv("TMPDIR");
    char folder[512], path[sizeof(folder) + 8];
    struct jq_error error;
    (void)snprintf(folder, sizeof(folder), "%.480s/jqctl-XXXXXX", parent && parent[0] ? parent : "/tmp");
    if (!mkdtemp(folder))
        return jqctl_fail(EX_CANTCREAT, "%s: %s", folder, strerror(errno));
    (void)snprintf(path, sizeof(path), "%s/blob", folder);
    const int code =
        jq_blob_get_file(ctl->client, blob, path, &error) == JQ_OK ? print_file(path) : jqctl_fail_err("get", &error);
    (void)unlink(path);
    (void)rmdir(folder);
    return code;
}

int jqctl_blob_get(struct jqctl *ctl) {
    struct jq_blob blob;
    struct jq_error error;
    if (jq_blob_parse(ctl->args.operands[0], &blob, &error) != JQ_OK)
        return jqctl_fail(EX_USAGE, "%s", error.message);
    const int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    if (strcmp(ctl->args.operands[1], "-") == 0)
        return get_to_stdout(ctl, &blob);
    return jq_blob_get_file(ctl->client, &blob, ctl->args.operands[1], &error) == JQ_OK ? JQCTL_DONE
                                                                                        : jqctl_fail_err("get", &error);
}

int jqctl_blob_gc(struct jqctl *ctl) {
    return jqctl_pages_drain(ctl, "blobs", "blob.gc", "blobs dropped");
}
