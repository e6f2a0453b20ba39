// check.hpp: `falproxy check`: settings, documents and keys, with the mend for each fault.
#pragma once

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"

namespace falproxy::app {

/// Costs nothing at fal: documents are fetched, and each key asks for the status of a request that
/// does not exist. Returns ExitStatus::done or ExitStatus::fault.
[[nodiscard]] int run_check(const CommandLine& line, const Surroundings& surroundings);

}  // namespace falproxy::app
