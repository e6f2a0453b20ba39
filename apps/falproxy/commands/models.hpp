// models.hpp: `falproxy models`: what the configured models take.
#pragma once

#include "commands/command_line.hpp"
#include "commands/surroundings.hpp"

namespace falproxy::app {

/// With `--edits`: which of them edit images and through which input, and why the others do not.
/// Returns ExitStatus::fault where a document cannot be had, not_understood for wrong settings.
[[nodiscard]] int run_models(const CommandLine& line, const Surroundings& surroundings);

}  // namespace falproxy::app
