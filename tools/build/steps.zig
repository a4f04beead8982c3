//! The steps of `zig build`, in the order in which `--help` lists them.

const std = @import("std");
const Checks = @import("checks.zig").Checks;
const Kit = @import("kit.zig").Kit;
const parts_zig = @import("parts.zig");

pub fn declare(b: *std.Build) void {
    const parts = parts_zig.Parts.init(Kit.init(b));
    parts_zig.install(parts);

    const checks = Checks.init(parts);
    checks.addTest();
    checks.addE2e();
    checks.addSimulator();
    checks.addBench();
    checks.addDemo();
    checks.addFmt();
    checks.addLint();
    checks.addSanitize();
    checks.addCoverage();
    checks.addFuzz();
    checks.addModel();
    checks.addTorture();
}
