/* bar.c - a progress bar on stderr. */
#include "tools/jqctl/bar.h"

#include <stdio.h>

#include "tools/jqctl/columns.h"
#include "tools/jqctl/when.h"

enum { CELLS = 24, TEXT_WIDTH_MAX = 40, LINE_SIZE_MAX = 1024 };

void jqctl_bar_init(struct jqctl_bar *bar, const struct jqctl *ctl) {
    *bar = (struct jqctl_bar){.shown = ctl->terminal.err, .begun_ms = jq_flight_now_ms()};
}

void jqctl_bar_draw(struct jqctl_bar *bar, int permille, struct jq_str text) {
    struct jq_buf line;
    char span[JQCTL_SPAN_TEXT_SIZE];
    const int64_t took_ms = jq_flight_now_ms() - bar->begun_ms;
    if (!bar->shown)
        return;
    jq_buf_init(&line, LINE_SIZE_MAX);
    jq_buf_append_format(&line, "\r\033[K[");
    for (int i = 0; i < CELLS; i++)
        jq_buf_append_u8(&line, permille >= 0 && i * 1000 < permille * CELLS ? '#' : '.');
    jq_buf_append_format(&line, "] ");
    if (permille >= 0)
        jq_buf_append_format(&line, "%3d %%  ", permille / 10);
    jq_buf_append_format(&line, "%s  ", jqctl_span_format(took_ms - took_ms % 1000, span));
    jqctl_append_safe(&line, (struct jq_str){text.data, text.size < TEXT_WIDTH_MAX ? text.size : TEXT_WIDTH_MAX},
                      false);
    (void)fwrite(line.data, 1, line.size, stderr);
    (void)fflush(stderr);
    jq_buf_fini(&line);
    bar->drawn = true;
}

void jqctl_bar_wipe(struct jqctl_bar *bar) {
    if (!bar->drawn)
        return;
    (void)fputs("\r\033[K", stderr);
    (void)fflush(stderr);
    bar->drawn = false;
}
