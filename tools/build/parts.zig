//! The parts of the house: a static library for each folder, the programs made of them, and what is installed.

const std = @import("std");
const kit_zig = @import("kit.zig");
const sources = @import("sources.zig");

const Kit = kit_zig.Kit;
const Part = kit_zig.Part;

/// System libraries, and what each is there for.
pub const system = struct {
    pub const nng = "nng"; // Transport: REQ/REP, PUB/SUB, SURVEYOR/RESPONDENT over ipc and tcp.
    pub const msgpack = "msgpackc"; // Encoding of messages and records.
    pub const pthread = "pthread"; // Threads of shells, transport and libjq.
    pub const jansson = "jansson"; // JSON documents of people and handlers.
    pub const inih = "inih"; // Configuration files.
    pub const nettle = "nettle"; // SHA-256 of access tokens, blobs and what a cached result answers.
    pub const systemd = "systemd"; // sd_notify, watchdog, socket activation, journald.
    pub const microhttpd = "microhttpd"; // Health, metrics and dashboard over HTTP.
    pub const seccomp = "seccomp"; // Sandbox of the worker's children.
    pub const zstd = "zstd"; // Compression of blobs and of sealed journal segments.
    pub const cmocka = "cmocka"; // Tests only.

    /// "-lnng", .. for whoever links by hand.
    pub const flags = blk: {
        const names = @typeInfo(@This()).@"struct".decls;
        var list: [names.len - 1][]const u8 = undefined;
        var count = 0;
        for (names) |decl| {
            if (std.mem.eql(u8, decl.name, "flags")) continue;
            list[count] = "-l" ++ @field(@This(), decl.name);
            count += 1;
        }
        break :blk list;
    };
};

const libjq_folder = "common/libjq";
pub const examples_folder = libjq_folder ++ "/examples";

pub const Parts = struct {
    kit: Kit,
    common: Part,
    client: Part,
    /// The client library that is installed: common and client in one archive.
    libjq: Part,
    core: Part,
    record: Part,
    journal: Part,
    blob: Part,
    broker_shell: Part,
    agent: Part,
    exec: Part,
    pool: Part,
    freecad: Part,
    worker_shell: Part,
    jqctl: Part,

    pub fn init(kit: Kit) Parts {
        const b = kit.b;
        const common_files = sources.find(b, "common", .{ .without = &.{libjq_folder} });
        const client_files = sources.find(b, libjq_folder, .{ .without = &.{examples_folder} });
        const client_system: sources.Paths = &.{ system.nng, system.msgpack, system.nettle, system.pthread };
        return .{
            .kit = kit,
            .common = kit.library("jqcommon", common_files, &.{
                system.nng,    system.msgpack, system.pthread, system.inih, system.jansson,
                system.nettle, system.systemd,
            }),
            .client = kit.library("jqclient", client_files, client_system),
            .libjq = kit.library("jq", sources.join(b, common_files, client_files), client_system),
            .core = folder(kit, "jqcore", "broker/core", &.{system.nettle}),
            .record = kit.library("jqrecord", recordFiles(b), &.{}),
            .journal = folder(kit, "jqjournal", "broker/journal", &.{system.zstd}),
            .blob = folder(kit, "jqblob", "broker/blob", &.{system.zstd}),
            .broker_shell = kit.library("jqbrokershell", shellFiles(b, "broker"), &.{ system.systemd, system.microhttpd }),
            .agent = folder(kit, "jqagent", "worker/agent", &.{}),
            .exec = folder(kit, "jqexec", "worker/exec", &.{system.seccomp}),
            .pool = folder(kit, "jqpool", "worker/pool", &.{}),
            .freecad = folder(kit, "jqfreecad", "worker/freecad", &.{}),
            .worker_shell = kit.library("jqworkershell", shellFiles(b, "worker"), &.{system.systemd}),
            .jqctl = folder(kit, "jqctlparts", "tools/jqctl", &.{}),
        };
    }

    pub fn broker(parts: Parts) []const Part {
        return parts.list(&.{
            parts.broker_shell, parts.blob, parts.record, parts.journal, parts.core, parts.common,
        });
    }

    pub fn worker(parts: Parts) []const Part {
        return parts.list(&.{
            parts.worker_shell, parts.exec,   parts.pool,   parts.freecad,
            parts.agent,        parts.client, parts.common,
        });
    }

    pub fn control(parts: Parts) []const Part {
        return parts.list(&.{
            parts.jqctl,   parts.client, parts.blob,   parts.record,
            parts.journal, parts.core,   parts.common,
        });
    }

    /// Everything but main(): what tests may use. `core` stands in for the core.
    pub fn allWithCore(parts: Parts, core: Part) []const Part {
        return parts.list(&.{
            parts.broker_shell, parts.worker_shell, parts.jqctl,  parts.exec,    parts.pool, parts.freecad,
            parts.agent,        parts.blob,         parts.record, parts.journal, core,       parts.client,
            parts.common,
        });
    }

    pub fn list(parts: Parts, some: []const Part) []const Part {
        return parts.kit.b.allocator.dupe(Part, some) catch @panic("OOM");
    }
};

/// A library of all sources below `path` but a main.c.
fn folder(kit: Kit, name: []const u8, path: []const u8, system_libraries: sources.Paths) Part {
    return kit.library(name, sources.find(kit.b, path, .{ .without_base_prefix = "main." }), system_libraries);
}

/// broker/record*.c and broker/record/*.c.
fn recordFiles(b: *std.Build) sources.Paths {
    const beside = sources.find(b, "broker", .{ .prefix = "record", .deep = false });
    return sources.join(b, beside, sources.find(b, "broker/record", .{}));
}

/// The shell of broker or worker: its folder, and what lies beside main.c but is no record.
fn shellFiles(b: *std.Build, path: []const u8) sources.Paths {
    const beside = sources.find(b, path, .{
        .deep = false,
        .without_base_prefix = "main.",
        .without = &.{"broker/record"},
    });
    return sources.join(b, beside, sources.find(b, b.fmt("{s}/shell", .{path}), .{}));
}

/// Adds to the install step: jqbroker, jqworker, jqctl, libjq.a, jq.h and the data files that they need at run time.
pub fn install(parts: Parts) void {
    const b = parts.kit.b;
    installProgram(parts, "jqbroker", "broker/main.c", parts.broker());
    installProgram(parts, "jqworker", "worker/main.c", parts.worker());
    installProgram(parts, "jqctl", "tools/jqctl/main.c", parts.control());
    b.installArtifact(parts.libjq.library);
    const header = libjq_folder ++ "/jq.h";
    if (sources.exists(b, header)) {
        // One file for whoever includes it: our own headers stand inside it.
        const expand = b.addSystemCommand(&.{ "python3", "tools/build/one_header.py", header });
        expand.setCwd(b.path("."));
        expand.addFileInput(b.path("tools/build/one_header.py"));
        for ([_][]const u8{ header, "common/err.h", "common/types.h", "common/vocab.h" }) |path| {
            expand.addFileInput(b.path(path));
        }
        const whole = expand.captureStdOut(.{ .basename = "jq.h" });
        b.getInstallStep().dependOn(&b.addInstallHeaderFile(whole, "jq.h").step);
    }
    installPython(b, "freecad"); // What runs inside FreeCAD.
    installPython(b, "pool"); // What runs in a warm Python process.
}

fn installProgram(parts: Parts, name: []const u8, main: []const u8, linked: []const Part) void {
    const b = parts.kit.b;
    if (!sources.exists(b, main)) return;
    b.installArtifact(parts.kit.executable(name, &.{main}, linked));
}

fn installPython(b: *std.Build, name: []const u8) void {
    for (sources.find(b, b.fmt("worker/{s}", .{name}), .{ .suffix = ".py" })) |path| {
        b.installFile(path, b.fmt("share/jqmesh/{s}", .{path["worker/".len..]}));
    }
}
