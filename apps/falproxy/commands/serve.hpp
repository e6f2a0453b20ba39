// serve.hpp: `falproxy serve`.
#pragma once

#include "commands/command_line.hpp"
#include "falproxy/clock.hpp"
#include "service.hpp"
#include "signals.hpp"

namespace falproxy::app {

/// Serves until SIGTERM or SIGINT; SIGHUP reads the configuration again. Returns the exit status.
[[nodiscard]] int serve(const CommandLine& line);

/// Stops within `grace`; a second signal ends the process at once.
void stop_or_be_ended(Service& service, const Signals& signals, Seconds grace);

}  // namespace falproxy::app
