// visit.hpp: one request, as far as its method, path and key tell what it is.
#pragma once

#include <string>
#include <string_view>

#include "falproxy/fal_desk.hpp"

namespace falproxy::inline v0::testing {

/// What a path asks for. The views point into the request.
struct Route {
  Step step = Step::any;             ///< any: no address of falsim's
  std::string_view endpoint = {};    ///< of submits and runs
  std::string_view app = {};         ///< of status, result and cancel
  std::string_view request_id = {};  ///< of those
  bool wrong_method = false;
};

/// `run`: by the address of fal.run.
[[nodiscard]] Route route(const DeskRequest& request, bool run);

struct Visit {
  ExchangeId exchange = 0;
  const DeskRequest& request;
  Route route;
  std::string key;     ///< `id:secret`; empty: none, or not in fal's form
  std::string origin;  ///< of the main address, as this client calls it
};

}  // namespace falproxy::inline v0::testing
