/* journal_dump_blob.h - what `journal dump` shows of blobs. */
#ifndef JQ_TOOLS_JQCTL_JOURNAL_DUMP_BLOB_H
#define JQ_TOOLS_JQCTL_JOURNAL_DUMP_BLOB_H

#include "broker/core/record.h"
#include "tools/jqctl/made.h"

/* The fields of a record of a blob; of others nothing. */
void jqctl_dump_blob(struct jqctl_made *made, const struct jq_record *record);
/* The files of a task: how many of each kind. */
void jqctl_dump_files(struct jqctl_made *made, struct jq_bytes files);

#endif
