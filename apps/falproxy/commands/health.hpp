// health.hpp: `falproxy health`: does the server on this machine answer? For a container's health
// check.
#pragma once

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"

namespace falproxy::app {

/// Asks GET /health at the configured PORT. Returns ExitStatus::done, ::fault (no answer, or not
/// 200), or ::not_understood (the settings are wrong).
[[nodiscard]] int run_health(const CommandLine& line, const Surroundings& surroundings);

}  // namespace falproxy::app
