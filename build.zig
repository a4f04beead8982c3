//! The build of jqmesh, for Zig 0.16.0 exactly. `tools/dev STEP` installs what the build needs and then runs `zig build STEP`.
//!
//! Sources are found by walking folders (tools/build/sources.zig): a new .c file needs no edit here.
//! Flags and hardening stand in tools/build/kit.zig, what tests need in tools/build/checks.zig.

const std = @import("std");
const builtin = @import("builtin");

const zig_version = "0.16.0";

pub fn build(b: *std.Build) void {
    if (comptime !std.mem.eql(u8, builtin.zig_version_string, zig_version)) {
        std.debug.print("jqmesh is built by Zig " ++ zig_version ++ " exactly; this is Zig " ++
            builtin.zig_version_string ++ ". `tools/dev` fetches the right one.\n", .{});
        std.process.exit(1);
    } else {
        @import("tools/build/steps.zig").declare(b);
    }
}
