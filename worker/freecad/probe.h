/* probe.h - what a FreeCAD installation is, as facts for placement: found out by running probe.py inside it, and remembered.
 *
 *     freecad.version=0.20.2 freecad.occ=7.6.3 freecad.python=3.11.2 freecad.module.part=yes freecad.module.path=yes ...
 *
 * Remembered in state_dir/freecad-facts, as two lines: inode, size, seconds and nanoseconds of the program's last change, and its path;
 * then the facts. What was remembered of another program, or of this one before it changed, is not used.
 */
#ifndef JQ_WORKER_FREECAD_PROBE_H
#define JQ_WORKER_FREECAD_PROBE_H

#include "common/err.h"
#include "worker/exec/host.h"

#include <stdint.h>

enum { JQ_FREECAD_FACTS_SIZE_MAX = 4096 };

/* Called once: with the facts, a text that jq_facts_parse() takes; or with NULL and why there are none, in one line. */
typedef void jq_freecad_on_facts(void *ctx, const char *facts, const char *why, int64_t now_ms);

/* Texts are borrowed for the call. */
struct jq_freecad_probe {
    const char *const *command; /* as in struct jq_zygote_config */
    const char *script;         /* absolute path of probe.py */
    const char *state_dir;
    int64_t limit_ms; /* how long it may take; 0: 60000 */
    jq_freecad_on_facts *on_facts;
    void *ctx;
};

/* Calls on_facts before it returns if they are remembered, else from jq_exec_host_run(). If it fails, on_facts is not called. `ctx` must
 * live until then, or until the host was freed. */
enum jq_err jq_freecad_probe(struct jq_exec_host *host, const struct jq_freecad_probe *probe, int64_t now_ms,
                             struct jq_error *reterr);

#endif
