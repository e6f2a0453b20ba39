// falsim_process.hpp: the installed program falsim, started for a test, on free ports of this
// machine. Of falproxy::testing.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "falproxy/fal.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::testing {

/// fal.ai's stand-in on sockets, for programs that are tested as a whole. It ends with this object.
class FalsimProcess {
 public:
  /// `program`: a path, or a name that is looked for in PATH; `arguments`: as `falsim --help` lists
  /// them. Returns when it listens. Errors: invalid_settings (it cannot be started, or ends; with
  /// what it said).
  [[nodiscard]] static Result<FalsimProcess> start(const std::string& program = "falsim",
                                                   const std::vector<std::string>& arguments = {});
  /// `other` is left without a process: it may only be destroyed or assigned to.
  FalsimProcess(FalsimProcess&& other) noexcept;
  /// Ends the process that this one held.
  FalsimProcess& operator=(FalsimProcess&& other) noexcept;
  ~FalsimProcess();

  /// For ClientOptions::fal, or Runner::Options.
  [[nodiscard]] const fal::Addresses& addresses() const noexcept;
  /// For ClientOptions::media_hosts.
  [[nodiscard]] const std::string& media_hosts() const noexcept;

 private:
  struct Impl;
  explicit FalsimProcess(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace falproxy::inline v0::testing
