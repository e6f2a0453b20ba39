// planner.hpp: what the server would make of a request, asked of the same ImageGateway that serves.
#pragma once

#include <memory>

#include "commands/documents.hpp"
#include "falproxy/gateway.hpp"

namespace falproxy::app {

/// Fetches documents where need be; submits nothing.
class Planner {
 public:
  Planner(const Surroundings& surroundings, const Settings& settings, Documents& documents);
  [[nodiscard]] Result<translate::FalPlan> plan(const openai::ImageRequest& request);

 private:
  Documents& documents_;
  KeyRing keys_;
  ImageGateway gateway_;
};

}  // namespace falproxy::app
