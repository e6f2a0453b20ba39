// In place of demo.cpp if falproxy is built without falsim.
#include "commands/commands.hpp"
#include "process.hpp"

namespace falproxy::app {

int demo(const CommandLine&) {
  write_to_stderr(
      "falproxy demo: this falproxy was built without its stand-in for fal.ai. Build it from the "
      "sources: sh cmake/demo.sh, or cmake with -DFALPROXY_DEMO=ON.\n");
  return ExitStatus::not_understood;
}

}  // namespace falproxy::app
