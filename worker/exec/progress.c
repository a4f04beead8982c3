#include "worker/exec/progress.h"

#include <stdlib.h>

static const char prefix[] = "jq:progress ";
enum { PREFIX_SIZE = sizeof(prefix) - 1 };

static void take_line(struct jq_exec_progress *progress) {
    char *end = NULL;
    const char *at = progress->line + PREFIX_SIZE;
    progress->line[progress->size] = '\0';
    double fraction = strtod(at, &end);
    if (end == at) {
        return;
    }
    if (*end == '%') {
        fraction /= 100;
        end++;
    }
    if (!(fraction >= 0 && fraction <= 1) || (*end != '\0' && *end != ' ')) {
        return; /* NaN is refused here, too */
    }
    progress->told = true;
    progress->permille = (int32_t)(fraction * 1000);
    end += *end == ' ' ? 1 : 0;
    memcpy(progress->text, end, strlen(end) + 1);
}

/* As many bytes of the line as there are: what cannot become such a line is not looked at byte by byte. */
static void take_part(struct jq_exec_progress *progress, struct jq_bytes part) {
    if (progress->skips) {
        return;
    }
    if (part.size > JQ_PROGRESS_LINE_MAX - progress->size) {
        progress->skips = true;
        return;
    }
    memcpy(progress->line + progress->size, part.data, part.size);
    progress->size += part.size;
    const size_t seen = progress->size < PREFIX_SIZE ? progress->size : PREFIX_SIZE;
    progress->skips = memcmp(progress->line, prefix, seen) != 0;
}

void jq_exec_progress_feed(struct jq_exec_progress *progress, struct jq_bytes bytes) {
    while (bytes.size > 0) {
        const uint8_t *end = memchr(bytes.data, '\n', bytes.size);
        const size_t size = end != NULL ? (size_t)(end - bytes.data) : bytes.size;
        take_part(progress, (struct jq_bytes){bytes.data, size});
        if (end == NULL) {
            return;
        }
        if (!progress->skips && progress->size > PREFIX_SIZE) {
            take_line(progress);
        }
        progress->size = 0;
        progress->skips = false;
        bytes.data += size + 1;
        bytes.size -= size + 1;
    }
}
