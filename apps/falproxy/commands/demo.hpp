// demo.hpp: `falproxy demo`: falproxy over the bundled stand-in for fal, and one picture made
// through it.
#pragma once

#include "commands/command_line.hpp"

namespace falproxy::app {

/// Writes demo.png into the working directory, and serves until Ctrl-C unless `line.once`. Returns
/// the exit status.
[[nodiscard]] int demo(const CommandLine& line);

}  // namespace falproxy::app
