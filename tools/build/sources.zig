//! Finds C sources by walking folders at configure time, so that a new file needs no edit of build.zig.

const std = @import("std");

/// Paths relative to the build root, sorted so that the build does not depend on the order of the directory.
pub const Paths = []const []const u8;

pub const Filter = struct {
    suffix: []const u8 = ".c",
    /// Base names must start with this.
    prefix: []const u8 = "",
    /// Paths (relative to the build root) that start with one of these are left out.
    without: Paths = &.{},
    without_base_prefix: ?[]const u8 = null,
    /// False: only the folder's own files.
    deep: bool = true,
};

/// All files below `folder` that pass `filter`; none if the folder does not exist.
pub fn find(b: *std.Build, folder: []const u8, filter: Filter) Paths {
    return findFallible(b, folder, filter) catch |err| std.process.fatal("cannot walk {s}: {t}", .{ folder, err });
}

fn findFallible(b: *std.Build, folder: []const u8, filter: Filter) !Paths {
    const io = b.graph.io;
    var dir = b.build_root.handle.openDir(io, folder, .{ .iterate = true }) catch |err| switch (err) {
        error.FileNotFound => return &.{},
        else => return err,
    };
    defer dir.close(io);

    var paths: std.ArrayList([]const u8) = .empty;
    var walker = try dir.walk(b.allocator);
    defer walker.deinit();
    while (try walker.next(io)) |entry| {
        if (entry.kind != .file) continue;
        if (!filter.deep and entry.depth() > 1) continue;
        const path = b.pathJoin(&.{ folder, entry.path });
        if (passes(path, filter)) try paths.append(b.allocator, path);
    }
    std.mem.sort([]const u8, paths.items, {}, lessThan);
    return paths.items;
}

fn passes(path: []const u8, filter: Filter) bool {
    const base = std.fs.path.basename(path);
    if (base[0] == '.') return false; // Editors leave such files behind.
    if (!std.mem.endsWith(u8, base, filter.suffix)) return false;
    if (!std.mem.startsWith(u8, base, filter.prefix)) return false;
    if (filter.without_base_prefix) |prefix| {
        if (std.mem.startsWith(u8, base, prefix)) return false;
    }
    for (filter.without) |start| {
        if (std.mem.startsWith(u8, path, start)) return false;
    }
    return true;
}

fn lessThan(_: void, a: []const u8, b: []const u8) bool {
    return std.mem.lessThan(u8, a, b);
}

/// The paths of both lists.
pub fn join(b: *std.Build, first: Paths, second: Paths) Paths {
    return std.mem.concat(b.allocator, []const u8, &.{ first, second }) catch @panic("OOM");
}

pub fn exists(b: *std.Build, path: []const u8) bool {
    b.build_root.handle.access(b.graph.io, path, .{}) catch return false;
    return true;
}

/// The text of a file, empty if it cannot be read.
pub fn read(b: *std.Build, path: []const u8) []const u8 {
    return b.build_root.handle.readFileAlloc(b.graph.io, path, b.allocator, .unlimited) catch "";
}

/// `path` and all that it includes of this tree, directly or not; of a header of tests/lib also the source beside it.
pub fn closure(b: *std.Build, path: []const u8) Paths {
    var found: std.ArrayList([]const u8) = .empty;
    found.append(b.allocator, path) catch @panic("OOM");
    var next: usize = 0;
    while (next < found.items.len) : (next += 1) {
        var lines = std.mem.splitScalar(u8, read(b, found.items[next]), '\n');
        while (lines.next()) |line| {
            const name = included(line) orelse continue;
            addOnce(b, &found, name);
            if (std.mem.startsWith(u8, name, "tests/lib/") and std.mem.endsWith(u8, name, ".h")) {
                addOnce(b, &found, b.fmt("{s}.c", .{name[0 .. name.len - 2]}));
            }
        }
    }
    return found.items;
}

/// `#include "NAME"` -> NAME.
fn included(line: []const u8) ?[]const u8 {
    if (!std.mem.startsWith(u8, line, "#include \"")) return null;
    const rest = line["#include \"".len..];
    return rest[0 .. std.mem.indexOfScalar(u8, rest, '"') orelse return null];
}

fn addOnce(b: *std.Build, list: *std.ArrayList([]const u8), path: []const u8) void {
    for (list.items) |known| {
        if (std.mem.eql(u8, known, path)) return;
    }
    list.append(b.allocator, path) catch @panic("OOM");
}

/// "tests/unit/test_heap.c" -> "test_heap".
pub fn stem(path: []const u8) []const u8 {
    return std.fs.path.stem(path);
}
