/* bar.h - a progress bar on stderr, where that is a terminal. */
#ifndef JQ_TOOLS_JQCTL_BAR_H
#define JQ_TOOLS_JQCTL_BAR_H

#include "tools/jqctl/jqctl.h"

struct jqctl_bar {
    bool shown;       /* stderr is a terminal */
    bool drawn;       /* there is something to wipe out */
    int64_t begun_ms; /* mono clock */
};

void jqctl_bar_init(struct jqctl_bar *bar, const struct jqctl *ctl);
/* `permille` < 0: not known. `text` may be empty; it is made safe. */
void jqctl_bar_draw(struct jqctl_bar *bar, int permille, struct jq_str text);
/* Wipes it out: before anything else is printed. */
void jqctl_bar_wipe(struct jqctl_bar *bar);

#endif
