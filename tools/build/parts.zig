//! The parts of the house: a static library for each folder, the programs made of them, and what is installed.

const std = @import("std");
const kit_zig = @import("kit.zig");
const sources = @import("sources.zig");

const Kit = kit_zig.Kit;
const Compile = std.Build.Step.Compile;

/// System libraries, and what each is there for.
pub const system = struct {
    pub const nng = "nng"; // Transport: REQ/REP, PUB/SUB, SURVEYOR/RESPONDENT over ipc and tcp.
    pub const msgpack = "msgpackc"; // Encoding of messages and records.
    pub const pthread = "pthread"; // Threads of shells, transport and libjq.
    pub const inih = "inih"; // Configuration files.
    pub const systemd = "systemd"; // sd_notify, watchdog, socket activation, journald.
    pub const microhttpd = "microhttpd"; // Health, metrics and dashboard over HTTP.
    pub const seccomp = "seccomp"; // Sandbox of the worker's children.
    pub const zstd = "zstd"; // Compression of blobs and of sealed journal segments.
    pub const cmocka = "cmocka"; // Tests only.
};

const libjq_folder = "common/libjq";
const examples_folder = libjq_folder ++ "/examples";
const guard_prefix = "common/transport/guard";

pub const Parts = struct {
    kit: Kit,
    common: *Compile,
    /// The client library, whole: also holds all of common, so that a client links one archive.
    libjq: *Compile,
    client: *Compile,
    core: *Compile,
    record: *Compile,
    journal: *Compile,
    blob: *Compile,
    broker_shell: *Compile,
    agent: *Compile,
    exec: *Compile,
    pool: *Compile,
    freecad: *Compile,
    worker_shell: *Compile,
    jqctl: *Compile,
    /// Interposes libc calls of old NNG: linked into the two daemons only.
    guard: sources.Paths,

    pub fn init(kit: Kit) Parts {
        const b = kit.b;
        const common_files = sources.find(b, "common", .{ .without = &.{ libjq_folder, guard_prefix } });
        const client_files = sources.find(b, libjq_folder, .{ .without = &.{examples_folder} });
        const client_system = [_][]const u8{ system.nng, system.msgpack, system.pthread };
        return .{
            .kit = kit,
            .common = kit.library("jqcommon", common_files, .{
                .system = &(client_system ++ .{ system.inih, system.systemd }),
            }),
            .client = kit.library("jqclient", client_files, .{ .system = &client_system }),
            .libjq = kit.library("jq", sources.join(b, common_files, client_files), .{ .system = &client_system }),
            .core = folderLibrary(kit, "jqcore", "broker/core", &.{}),
            .record = kit.library("jqrecord", sources.find(b, "broker", .{
                .prefix = "record",
                .without = &.{ "broker/core/", "broker/journal/", "broker/blob/", "broker/shell/" },
            }), .{}),
            .journal = folderLibrary(kit, "jqjournal", "broker/journal", &.{system.zstd}),
            .blob = folderLibrary(kit, "jqblob", "broker/blob", &.{system.zstd}),
            .broker_shell = folderLibrary(kit, "jqbrokershell", "broker/shell", &.{
                system.nng, system.pthread, system.systemd, system.microhttpd,
            }),
            .agent = folderLibrary(kit, "jqagent", "worker/agent", &.{}),
            .exec = folderLibrary(kit, "jqexec", "worker/exec", &.{system.seccomp}),
            .pool = folderLibrary(kit, "jqpool", "worker/pool", &.{}),
            .freecad = folderLibrary(kit, "jqfreecad", "worker/freecad", &.{}),
            .worker_shell = folderLibrary(kit, "jqworkershell", "worker/shell", &.{
                system.nng, system.pthread, system.systemd,
            }),
            .jqctl = folderLibrary(kit, "jqctlparts", "tools/jqctl", &.{}),
            .guard = sources.find(b, "common/transport", .{ .prefix = "guard" }),
        };
    }

    /// Everything but main() and the guard: what tests may use.
    pub fn all(parts: Parts) []const *Compile {
        return parts.list(&.{
            parts.broker_shell, parts.worker_shell, parts.jqctl,  parts.exec,    parts.pool,   parts.freecad,
            parts.agent,        parts.blob,         parts.record, parts.journal, parts.core,   parts.client,
            parts.common,
        });
    }

    pub fn list(parts: Parts, libraries: []const *Compile) []const *Compile {
        return parts.kit.b.allocator.dupe(*Compile, libraries) catch @panic("OOM");
    }
};

fn folderLibrary(kit: Kit, name: []const u8, folder: []const u8, system_libraries: sources.Paths) *Compile {
    const files = sources.find(kit.b, folder, .{ .without_base_prefix = "main." });
    return kit.library(name, files, .{ .system = system_libraries });
}

/// Adds to the install step: jqbroker, jqworker, jqctl, libjq.a, jq.h and the data files that they need at run time.
pub fn install(parts: Parts) void {
    const b = parts.kit.b;
    const guard = parts.guard;
    program(parts, "jqbroker", "broker/main.c", guard, &.{
        parts.broker_shell, parts.blob, parts.record, parts.journal, parts.core, parts.common,
    });
    program(parts, "jqworker", "worker/main.c", guard, &.{
        parts.worker_shell, parts.exec, parts.pool, parts.freecad, parts.agent, parts.client, parts.common,
    });
    program(parts, "jqctl", "tools/jqctl/main.c", &.{}, &.{
        parts.jqctl, parts.client, parts.blob, parts.record, parts.journal, parts.core, parts.common,
    });
    b.installArtifact(parts.libjq);
    if (sources.exists(b, libjq_folder ++ "/jq.h")) {
        b.getInstallStep().dependOn(&b.addInstallHeaderFile(b.path(libjq_folder ++ "/jq.h"), "jq.h").step);
    }
    // The Python that runs inside FreeCAD and in warm processes.
    for ([_][]const u8{ "freecad", "pool" }) |name| {
        const folder = b.fmt("worker/{s}", .{name});
        for (sources.find(b, folder, .{ .suffix = ".py" })) |path| {
            b.installFile(path, b.fmt("share/jqmesh/{s}", .{path["worker/".len..]}));
        }
    }
}

fn program(
    parts: Parts,
    name: []const u8,
    main_path: []const u8,
    more: sources.Paths,
    libraries: []const *Compile,
) void {
    const b = parts.kit.b;
    if (!sources.exists(b, main_path)) return;
    const files = sources.join(b, &.{main_path}, more);
    b.installArtifact(parts.kit.executable(name, files, .{ .libraries = libraries }));
}
