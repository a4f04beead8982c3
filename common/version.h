/* version.h - the version of jqmesh, as programs, metrics and the protocol's hello tell it. The same as in build.zig.zon. */
#ifndef JQ_COMMON_VERSION_H
#define JQ_COMMON_VERSION_H

#define JQ_VERSION "0.1.0"

#endif
