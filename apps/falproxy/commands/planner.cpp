#include "commands/planner.hpp"

namespace falproxy::app {
namespace {

double no_jitter() { return 0.5; }

}  // namespace

Planner::Planner(const Surroundings& surroundings, const Settings& settings, Documents& documents)
    : documents_(documents),
      keys_(settings.ai_keys, key_ring_options(settings), no_jitter),
      gateway_({.transport = documents.transport(),
                .clock = surroundings.clock,
                .executor = surroundings.executor,
                .codecs = surroundings.codecs,
                .keys = keys_,
                .catalog = documents.catalog(),
                .random = no_jitter},
               gateway_options(settings)) {}

Result<translate::FalPlan> Planner::plan(const openai::ImageRequest& request) {
  return gateway_.plan(request, {.deadline = documents_.deadline()});
}

}  // namespace falproxy::app
