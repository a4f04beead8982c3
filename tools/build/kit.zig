//! How every C file of jqmesh is compiled and linked: flags, hardening, system libraries.

const std = @import("std");
const sources = @import("sources.zig");

const Compile = std.Build.Step.Compile;

pub const Kit = struct {
    b: *std.Build,
    target: std.Build.ResolvedTarget,
    optimize: std.builtin.OptimizeMode,
    flags: sources.Paths,

    /// The options that the user may give, and their defaults.
    pub fn init(b: *std.Build) Kit {
        const optimize = b.option(
            std.builtin.OptimizeMode,
            "optimize",
            "Debug, ReleaseSafe, ReleaseFast (default; JQ_CHECK stays on in every mode) or ReleaseSmall",
        ) orelse .ReleaseFast;
        return .{
            .b = b,
            .target = b.standardTargetOptions(.{ .default_target = .{ .cpu_model = .baseline } }),
            .optimize = optimize,
            .flags = compileFlags(b, optimize),
        };
    }

    fn module(kit: Kit) *std.Build.Module {
        const checked = kit.optimize == .Debug or kit.optimize == .ReleaseSafe;
        const mod = kit.b.createModule(.{
            .target = kit.target,
            .optimize = kit.optimize,
            .link_libc = true,
            .pic = true,
            .stack_protector = true,
            .strip = false,
            .sanitize_c = if (checked) .trap else .off,
        });
        mod.addIncludePath(kit.b.path("."));
        return mod;
    }

    /// A static library of `files`; an empty one if there are none yet.
    pub fn library(kit: Kit, name: []const u8, files: sources.Paths, system: sources.Paths) Part {
        return kit.libraryWith(name, files, system, &.{});
    }

    pub fn libraryWith(kit: Kit, name: []const u8, files: sources.Paths, system: sources.Paths, flags: sources.Paths) Part {
        const lib = kit.b.addLibrary(.{
            .name = name,
            .linkage = .static,
            .root_module = kit.module(),
            .use_llvm = true,
        });
        // Whoever links the archive brings the runtime of its own compiler.
        lib.bundle_compiler_rt = false;
        lib.bundle_ubsan_rt = false;
        lib.root_module.addCSourceFiles(.{
            .files = if (files.len > 0) files else &.{"tools/build/empty.c"},
            .flags = sources.join(kit.b, kit.flags, flags),
        });
        return .{ .library = lib, .system = system };
    }

    /// A hardened executable: position independent, all relocations done and read-only before main().
    pub fn executable(kit: Kit, name: []const u8, files: sources.Paths, parts: []const Part) *Compile {
        const exe = kit.b.addExecutable(.{
            .name = name,
            .root_module = kit.module(),
            .use_llvm = true,
            .use_lld = true,
        });
        exe.pie = true;
        exe.link_z_relro = true;
        exe.link_z_lazy = false;
        exe.root_module.addCSourceFiles(.{ .files = files, .flags = kit.flags });
        for (parts) |part| link(exe.root_module, part);
        return exe;
    }
};

/// A static library of ours, and the system libraries that whoever links it needs. They are not linked to the library
/// itself: Zig would put the .so files into the archive.
pub const Part = struct {
    library: *Compile,
    system: sources.Paths,
};

fn link(mod: *std.Build.Module, part: Part) void {
    mod.addObjectFile(part.library.getEmittedBin());
    // All of them lie where the compiler looks anyway (`--search-prefix` adds places); to ask pkg-config again for
    // each of some hundred executables would only cost time. Linking one twice does no harm.
    for (part.system) |name| mod.linkSystemLibrary(name, .{ .use_pkg_config = .no });
}

const warnings = [_][]const u8{
    "-std=gnu11", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wshadow", "-Wvla", "-Werror",
};

fn compileFlags(b: *std.Build, optimize: std.builtin.OptimizeMode) sources.Paths {
    // Fortify needs an optimising compiler.
    const hardening: sources.Paths = if (optimize == .Debug) &.{} else &.{
        "-U_FORTIFY_SOURCE", "-D_FORTIFY_SOURCE=2",
    };
    return sources.join(b, &warnings, sources.join(b, hardening, &.{"-UNDEBUG"}));
}
