// served.hpp: a whole falproxy over falsim, on free ports of loopback.
#pragma once

#include <falsim/falsim.hpp>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "falproxy/json.hpp"
#include "falproxy/state_store.hpp"
#include "raw_client.hpp"
#include "service.hpp"
#include "serving/flag.hpp"

namespace falproxy::test {

inline constexpr std::string_view access_key = "test-access-key";
/// The body of a generation.
inline const std::string lighthouse = R"({"model":"flux","prompt":"a lighthouse"})";

class Served {
 public:
  /// `more`: settings that replace or add to those of the test. `state`: in place of the store in
  /// STATE_DIR.
  explicit Served(const app::Environment& more = {}, falsim::FalsimOptions sim_options = quick(),
                  std::unique_ptr<StateStore> state = nullptr);
  /// `depending`: settings that depend on the running falsim.
  Served(const app::Environment& more, falsim::Falsim running,
         const std::function<app::Environment(const falsim::Falsim&)>& depending);
  ~Served() { service.reset(); }

  /// falsim's, with jobs that take no time.
  [[nodiscard]] static falsim::FalsimOptions quick();
  /// Waits until every model has its document.
  void wait_for_documents() const;
  [[nodiscard]] std::uint16_t port() const { return service->port(); }
  [[nodiscard]] app::Environment environment(const app::Environment& more) const;

  /// With the access key.
  [[nodiscard]] Received post(std::string_view path, std::string_view body,
                              std::string_view fields = {}) const;
  [[nodiscard]] Received get(std::string_view path, std::string_view fields = {}) const;
  [[nodiscard]] std::string log() const;

  falsim::Falsim sim;
  std::unique_ptr<app::Service> service;

 private:
  void start(const app::Environment& more, std::unique_ptr<StateStore> state = nullptr);
  mutable std::mutex mutex_;
  std::string log_;
};

/// "Authorization: Bearer ...\r\n"
[[nodiscard]] std::string key_field(std::string_view key = access_key);

/// `path` with dots, digits for elements: "data.0.url". Null where there is nothing.
[[nodiscard]] Json at(std::string_view json, std::string_view path);
[[nodiscard]] std::string text_at(std::string_view json, std::string_view path);

}  // namespace falproxy::test
