/* journal_dump_blob.h - what `journal dump` shows of blobs and of cached results. */
#ifndef JQ_TOOLS_JQCTL_JOURNAL_DUMP_BLOB_H
#define JQ_TOOLS_JQCTL_JOURNAL_DUMP_BLOB_H

#include "broker/core/record.h"
#include "tools/jqctl/made.h"

/* The fields of a record of a blob; of others nothing. */
void jqctl_dump_blob(struct jqctl_made *made, const struct jq_record *record);
/* The files of a task: how many of each kind. */
void jqctl_dump_files(struct jqctl_made *made, struct jq_bytes files);
/* The cache key of a task, if it has one. */
void jqctl_dump_cache_key(struct jqctl_made *made, struct jq_bytes key);
/* The name of a cached result, and its files. */
void jqctl_dump_cached(struct jqctl_made *made, const struct jq_record *record);

#endif
