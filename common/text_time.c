/* The time of text.h, in a file of its own: what must stay pure links the rest without the C library's calendar. */
#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "common/text.h"

/* Within the years 0 to 9999, and so representable in every step below. */
static bool is_date(int64_t wall_ms) {
    return wall_ms >= INT64_C(-62167219200000) && wall_ms <= INT64_C(253402300799999);
}

char *jq_text_format_time(int64_t wall_ms, char place[JQ_TIME_TEXT_SIZE]) {
    struct tm utc;
    const int64_t part_ms = ((wall_ms % 1000) + 1000) % 1000;
    const time_t seconds = is_date(wall_ms) ? (time_t)((wall_ms - part_ms) / 1000) : 0;
    if (!is_date(wall_ms) || !gmtime_r(&seconds, &utc)) {
        snprintf(place, JQ_TIME_TEXT_SIZE, "%" PRId64, wall_ms);
        return place;
    }
    const size_t size = strftime(place, JQ_TIME_TEXT_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
    snprintf(place + size, JQ_TIME_TEXT_SIZE - size, ".%03uZ", (unsigned)part_ms);
    return place;
}
