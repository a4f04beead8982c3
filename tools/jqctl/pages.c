#include "tools/jqctl/pages.h"

#include <inttypes.h>

struct asking {
    const struct jqctl_pages *pages;
    uint64_t after;
};

static void fill_after(struct jq_pack *pack, void *ctx) {
    const struct asking *asking = ctx;
    jq_pack_field_uint(pack, asking->pages->message, asking->pages->after_place, asking->after);
    if (asking->pages->limit > 0)
        jq_pack_field_uint(pack, asking->pages->message, asking->pages->limit_place, asking->pages->limit);
}

static int list_page(struct jqctl *ctl, struct asking *asking, struct jqctl_list *list) {
    struct jq_flight flight;
    const char *op = asking->pages->op;
    const size_t fields = asking->pages->limit > 0 ? 2 : 1;
    const int code = jqctl_call(ctl, &flight, asking->pages->rows, op, fields, fill_after, asking);
    if (code != JQCTL_DONE)
        return code;
    const struct jq_view rows = jq_view_get(flight.view.body, asking->pages->rows);
    for (size_t i = 0; i < jq_view_count(rows); i++)
        jqctl_list_row(list, jq_view_at(rows, i));
    asking->after = jq_view_uint(flight.view.body, "next", 0);
    jq_flight_end(&flight);
    return JQCTL_DONE;
}

int jqctl_pages_list(struct jqctl *ctl, const struct jqctl_pages *pages) {
    struct asking asking = {.pages = pages};
    struct jqctl_list list;
    int code = jqctl_connect(ctl);
    if (code != JQCTL_DONE)
        return code;
    jqctl_list_begin(&list, ctl, pages->columns, pages->kind);
    do {
        code = list_page(ctl, &asking, &list);
    } while (code == JQCTL_DONE && asking.after != 0);
    if (code != JQCTL_DONE && list.total == 0)
        jqctl_list_drop(&list);
    else
        jqctl_list_end(&list, NULL, NULL);
    return code;
}

int jqctl_pages_drain(struct jqctl *ctl, const char *what, const char *op, const char *done) {
    uint64_t total = 0, count = 0;
    do {
        struct jq_flight flight;
        const int code = jqctl_call(ctl, &flight, what, op, 0, NULL, NULL);
        if (code != JQCTL_DONE)
            return code;
        count = jq_view_uint(flight.view.body, "count", 0);
        total += count;
        jq_flight_end(&flight);
    } while (count > 0);
    jqctl_note("%s: %" PRIu64, done, total);
    return JQCTL_DONE;
}
