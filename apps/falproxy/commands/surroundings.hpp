// surroundings.hpp: what the commands have of the outside world.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>

#include "configuration.hpp"
#include "falproxy/catalog.hpp"
#include "falproxy/clock.hpp"
#include "falproxy/codecs.hpp"
#include "falproxy/executor.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"
#include "falproxy/transport.hpp"

namespace falproxy::app {

/// main.cpp gives the real ones, tests their own.
struct Surroundings {
  Environment environment;
  std::istream& in;
  std::ostream& out;  ///< what was asked for
  std::ostream& err;  ///< why it is not to be had, and warnings
  Clock& clock;
  Executor& executor;
  const Codecs& codecs;
  /// To fal. Errors: invalid_settings (certificates that cannot be read).
  std::function<Result<std::unique_ptr<Transport>>(const Settings&, const Proxies&)> transport;
  /// The documents kept on disk; empty, or null: none.
  std::function<std::unique_ptr<DocumentStore>(const Settings&)> store = {};
  /// Reads a line from `in` without showing it; null: as any other.
  std::function<bool(std::string&)> read_secret = {};
};

/// The machine's clock, network, disk and environment. Must outlive what surroundings() returns.
class RealSurroundings {
 public:
  [[nodiscard]] Surroundings surroundings(std::istream& in, std::ostream& out, std::ostream& err);

 private:
  SystemClock clock_;
  ThreadExecutor executor_;
  OpensslCodecs codecs_;
};

}  // namespace falproxy::app
