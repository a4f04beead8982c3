/* zone_file.h - the time zones of this machine: files of the IANA data base, by name.
 *
 * They lie in $TZDIR, else in /usr/share/zoneinfo. "UTC" is always there. Names are checked before anything is opened: no name
 * leads out of that folder but by a link that is in it.
 *
 * Errors: JQ_ERR_INVALID for what is no name, JQ_ERR_NOT_FOUND, JQ_ERR_IO, and those of jq_zone_parse().
 */
#ifndef JQ_COMMON_ZONE_FILE_H
#define JQ_COMMON_ZONE_FILE_H

#include "common/zone.h"

enum { JQ_ZONE_NAME_SIZE_MAX = 64 };

enum jq_err jq_zone_read(struct jq_str name, struct jq_zone **ret_zone, struct jq_error *reterr);

#endif
