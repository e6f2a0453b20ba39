// real_surroundings.hpp: the machine's clock, network, disk and environment for the commands.
#pragma once

#include "commands/surroundings.hpp"
#include "falproxy/openssl_codecs.hpp"
#include "falproxy/system_clock.hpp"
#include "falproxy/thread_executor.hpp"

namespace falproxy::app {

/// Must outlive what surroundings() returns.
class RealSurroundings {
 public:
  [[nodiscard]] Surroundings surroundings(std::istream& in, std::ostream& out, std::ostream& err);

 private:
  SystemClock clock_;
  ThreadExecutor executor_;
  OpensslCodecs codecs_;
};

}  // namespace falproxy::app
