// explain.hpp: `falproxy explain`: what a request becomes, without a job.
#pragma once

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"

namespace falproxy::app {

/// Returns ExitStatus::fault where the request would be refused, not_understood for wrong settings
/// or files that cannot be read. With `--schema` or `--endpoint` the three settings that are needed
/// may be absent.
[[nodiscard]] int run_explain(const CommandLine& line, const Surroundings& surroundings);

}  // namespace falproxy::app
