//! Tests, benchmarks and lint: what is built for them, and how they run.

const std = @import("std");
const kit_zig = @import("kit.zig");
const parts_zig = @import("parts.zig");
const sources = @import("sources.zig");

const Part = kit_zig.Part;
const Parts = parts_zig.Parts;
const Compile = std.Build.Step.Compile;
const Run = std.Build.Step.Run;

/// Executables for tests that are not installed but that scripts start go here, below the prefix.
const test_bin = std.Build.InstallDir{ .custom = "tests" };

pub const Checks = struct {
    b: *std.Build,
    parts: Parts,
    testlib: Part,

    pub fn init(parts: Parts) Checks {
        const b = parts.kit.b;
        const testlib_files = sources.find(b, "tests/lib", .{});
        return .{
            .b = b,
            .parts = parts,
            .testlib = parts.kit.library("jqtestlib", testlib_files, &.{parts_zig.system.cmocka}),
        };
    }

    /// Unit and scenario tests, the short run of the simulator, and the examples of libjq (built).
    pub fn addTest(checks: Checks) void {
        const b = checks.b;
        const step = b.step("test", "Run unit and scenario tests and a short simulation (-- NAME.. runs only those named)");
        const run = checks.runner();
        for ([_][]const u8{ "tests/unit", "tests/scenario" }) |folder| {
            for (sources.find(b, folder, .{ .prefix = "test_" })) |path| {
                if (wanted(b, path)) run.addArtifactArg(checks.testExecutable(path));
            }
        }
        if (wanted(b, "jqsim")) {
            if (checks.simulator("jqsim", checks.parts.core)) |sim| run.addArtifactArg(sim);
        }
        if (b.args == null) checks.addExamples(&run.step);
        step.dependOn(&run.step);
    }

    fn testExecutable(checks: Checks, path: []const u8) *Compile {
        return checks.parts.kit.executable(sources.stem(path), &.{path}, checks.neededBy(path));
    }

    /// What a test reaches by its includes, so that a broken worker does not keep a test of the broker from running.
    fn neededBy(checks: Checks, path: []const u8) []const Part {
        const b = checks.b;
        var needed: []const Part = checks.parts.list(&.{checks.testlib});
        const houses = [_]struct { folder: []const u8, parts: []const Part }{
            .{ .folder = "broker/", .parts = checks.parts.broker() },
            .{ .folder = "worker/", .parts = checks.parts.worker() },
            .{ .folder = "tools/", .parts = checks.parts.control() },
            .{ .folder = "common/libjq/", .parts = checks.parts.list(&.{checks.parts.client}) },
            .{ .folder = "", .parts = checks.parts.list(&.{checks.parts.common}) },
        };
        const reached = sources.closure(b, path);
        for (houses) |house| {
            if (anyStartsWith(reached, house.folder)) {
                needed = std.mem.concat(b.allocator, Part, &.{ needed, house.parts }) catch @panic("OOM");
            }
        }
        return needed;
    }

    fn simulator(checks: Checks, name: []const u8, core: Part) ?*Compile {
        const files = sources.find(checks.b, "tests/sim", .{});
        if (files.len == 0) return null;
        return checks.parts.kit.executable(name, files, checks.everythingWithCore(core));
    }

    /// The core with the bugs of broker/core/canary.h in it; the simulator says which one sings.
    fn canaryCore(checks: Checks) Part {
        const files = sources.find(checks.b, "broker/core", .{});
        return checks.parts.kit.libraryWith("jqcore-canary", files, &.{}, &.{"-DJQ_CANARIES"});
    }

    pub fn addSimulator(checks: Checks) void {
        const b = checks.b;
        const sim_step = b.step("sim", "Run the simulator (-- --seed N --steps M, or --swarm MINUTES: fresh seeds on all cores)");
        const canary_step = b.step("sim-canary", "Run the simulator on a core with planted bugs, each of which it must catch");
        if (checks.simulator("jqsim", checks.parts.core)) |sim| {
            const run = b.addRunArtifact(sim);
            passArgs(run);
            sim_step.dependOn(&run.step);
        }
        if (checks.simulator("jqsim-canary", checks.canaryCore())) |sim| {
            const run = checks.runner(); // Counts what it prints.
            run.addArgs(&.{ "--timeout", "600", "--loud" });
            run.addArtifactArg(sim);
            canary_step.dependOn(&run.step);
        }
    }

    /// End-to-end tests: real processes, driven by Python.
    pub fn addE2e(checks: Checks) void {
        const b = checks.b;
        const step = b.step("e2e", "Run end-to-end tests with real processes (-- NAME.. runs only those named)");
        const run = checks.runner();
        checks.setPlaces(run, step);
        checks.addHelpers(&run.step, "tests/e2e", "");
        for (sources.find(b, "tests/e2e", .{ .prefix = "test_", .suffix = ".py" })) |path| {
            if (wanted(b, path)) run.addFileArg(b.path(path));
        }
        step.dependOn(&run.step);
    }

    pub fn addBench(checks: Checks) void {
        const b = checks.b;
        const step = b.step("bench", "Measure and print the figures, with this machine's fdatasync and echo rates");
        if (checks.addScript(step, "tests/bench/run.py")) |run| {
            checks.addHelpers(&run.step, "tests/bench", "bench_");
        }
    }

    pub fn addDemo(checks: Checks) void {
        const step = checks.b.step("demo", "Real CAD work through a durable broker (-- --keep leaves it running)");
        _ = checks.addScript(step, "tools/demo/demo.py");
    }

    pub fn addFmt(checks: Checks) void {
        const b = checks.b;
        const step = b.step("fmt", "Format all C and Zig sources in place");
        step.dependOn(&pythonScript(b, "tools/lint/format.py").step);
        step.dependOn(&b.addFmt(.{ .paths = &.{ "build.zig", "tools/build" } }).step);
    }

    pub fn addLint(checks: Checks) void {
        const b = checks.b;
        const step = b.step("lint", "Check format, layers, banned calls, lengths, pure symbols; run clang-tidy and cppcheck");
        const run = pythonScript(b, "tools/lint/run.py");
        for ([_]Part{ checks.parts.common, checks.parts.core, checks.parts.agent }) |part| {
            run.addArtifactArg(part.library);
        }
        step.dependOn(&run.step);
        step.dependOn(&b.addFmt(.{ .paths = &.{ "build.zig", "tools/build" }, .check = true }).step);
    }

    pub fn addSanitize(checks: Checks) void {
        const b = checks.b;
        const step = b.step("sanitize", "Run the tests under gcc's address, undefined and thread sanitizers (-- NAME..)");
        const run = pythonScript(b, "tools/build/sanitize.py");
        run.addArg(b.cache_root.join(b.allocator, &.{"sanitize"}) catch @panic("OOM"));
        run.addArgs(&parts_zig.system.flags);
        passArgs(run);
        step.dependOn(&run.step);
    }

    pub fn addFuzz(checks: Checks) void {
        const b = checks.b;
        const step = b.step("fuzz", "Fuzz the readers of hostile input by clang's libFuzzer (-- --seconds N, --merge, --survey, NAME..)");
        const run = pythonScript(b, "tools/build/fuzz.py");
        run.addArg(b.cache_root.join(b.allocator, &.{"fuzz"}) catch @panic("OOM"));
        run.addArgs(&parts_zig.system.flags);
        passArgs(run);
        step.dependOn(&run.step);
    }

    pub fn addCoverage(checks: Checks) void {
        const b = checks.b;
        const step = b.step("coverage", "What tests reach of core, record, journal and agent, against tests/coverage.txt (-- --show, NAME..)");
        const run = pythonScript(b, "tools/build/coverage.py");
        run.addArg(b.cache_root.join(b.allocator, &.{"coverage"}) catch @panic("OOM"));
        run.addArgs(&parts_zig.system.flags);
        passArgs(run);
        step.dependOn(&run.step);
    }

    pub fn addTorture(checks: Checks) void {
        const step = checks.b.step("torture", "Torture real processes: kills, power cuts, cut wires, crowds (-- --seconds N, --minutes N, NAME..)");
        _ = checks.addScript(step, "tests/torture/run.py");
    }

    pub fn addModel(checks: Checks) void {
        const b = checks.b;
        const step = b.step("model", "Check the model of leases exhaustively with spin (-- --full: minutes, some GiB)");
        const run = pythonScript(b, "tests/model/run.py");
        passArgs(run);
        step.dependOn(&run.step);
    }

    /// Makes the step run a Python script; null and a step that fails if there is no such script.
    fn addScript(checks: Checks, step: *std.Build.Step, path: []const u8) ?*Run {
        const b = checks.b;
        if (!sources.exists(b, path)) {
            step.dependOn(&b.addFail(b.fmt("{s} does not exist yet", .{path})).step);
            return null;
        }
        const run = pythonScript(b, path);
        checks.setPlaces(run, step);
        passArgs(run);
        return run;
    }

    /// What a script that starts our programs needs: everything installed, and where it is.
    fn setPlaces(checks: Checks, run: *Run, step: *std.Build.Step) void {
        const b = checks.b;
        run.setEnvironmentVariable("JQ_PREFIX", b.install_prefix);
        run.setEnvironmentVariable("JQ_BIN", b.getInstallPath(.bin, ""));
        run.setEnvironmentVariable("JQ_TEST_BIN", b.getInstallPath(test_bin, ""));
        run.step.dependOn(b.getInstallStep());
        checks.addExamples(&run.step);
        step.dependOn(&run.step);
    }

    /// The examples of libjq link what any client would, and nothing else.
    fn addExamples(checks: Checks, step: *std.Build.Step) void {
        const b = checks.b;
        const client = checks.parts.list(&.{checks.parts.libjq});
        for (sources.find(b, parts_zig.examples_folder, .{})) |path| {
            checks.addHelper(step, b.fmt("example_{s}", .{sources.stem(path)}), &.{path}, client);
        }
    }

    /// Small programs that scripts start: the loads of the benchmark (bench_*.c), helpers of e2e tests (*.c).
    fn addHelpers(checks: Checks, step: *std.Build.Step, folder: []const u8, prefix: []const u8) void {
        const b = checks.b;
        const shared = if (prefix.len == 0) &.{} else sources.find(b, folder, .{ .without_base_prefix = prefix });
        for (sources.find(b, folder, .{ .prefix = prefix })) |path| {
            checks.addHelper(step, sources.stem(path), sources.join(b, &.{path}, shared), checks.everything());
        }
    }

    fn addHelper(checks: Checks, step: *std.Build.Step, name: []const u8, files: sources.Paths, linked: []const Part) void {
        const exe = checks.parts.kit.executable(name, files, linked);
        const place = checks.b.addInstallArtifact(exe, .{ .dest_dir = .{ .override = test_bin } });
        step.dependOn(&place.step);
    }

    fn runner(checks: Checks) *Run {
        return pythonScript(checks.b, "tools/build/run_tests.py");
    }

    fn everything(checks: Checks) []const Part {
        return checks.everythingWithCore(checks.parts.core);
    }

    fn everythingWithCore(checks: Checks, core: Part) []const Part {
        const lists = [_][]const Part{ &.{checks.testlib}, checks.parts.allWithCore(core) };
        return std.mem.concat(checks.b.allocator, Part, &lists) catch @panic("OOM");
    }
};

fn anyStartsWith(paths: sources.Paths, start: []const u8) bool {
    for (paths) |path| {
        if (std.mem.startsWith(u8, path, start)) return true;
    }
    return false;
}

/// True if no test was named on the command line, or one whose name is part of `path`.
fn wanted(b: *std.Build, path: []const u8) bool {
    const args = b.args orelse return true;
    for (args) |arg| {
        if (std.mem.indexOf(u8, path, arg) != null) return true;
    }
    return args.len == 0;
}

pub fn pythonScript(b: *std.Build, path: []const u8) *Run {
    const run = b.addSystemCommand(&.{"python3"});
    run.setName(path);
    run.addFileArg(b.path(path));
    run.setCwd(b.path("."));
    run.stdio = .inherit;
    return run;
}

fn passArgs(run: *Run) void {
    if (run.step.owner.args) |args| run.addArgs(args);
}
