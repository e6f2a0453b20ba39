// falsim.hpp: the stand-in for fal.ai of falproxy::testing on loopback: queue, fal.run, model
// documents, storage and media.
//
//   falproxy::Result<falsim::Falsim> sim = falsim::Falsim::start({.job_time =
//   std::chrono::milliseconds(200)}); settings.fal_queue_url = sim->queue_url();
//   ... make requests ...
//   sim->stats().submits == 1
//
// It runs on one thread of its own, on free ports of 127.0.0.1, and makes real PNG, JPEG and WebP
// files of the size that was asked for.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/fal_desk.hpp"
#include "falproxy/result.hpp"

namespace falsim {

using falproxy::Milliseconds;
using falproxy::testing::Answer;
using FalsimOptions = falproxy::testing::DeskOptions;
using FalsimStats = falproxy::testing::DeskStats;
using falproxy::testing::Fault;
using falproxy::testing::JobChange;
using falproxy::testing::SeenSubmit;
using falproxy::testing::SeenUpload;
using falproxy::testing::Step;
using falproxy::testing::Validation;
using falproxy::testing::Wire;

/// How falsim speaks, and what is wrong with its certificate.
enum class Tls {
  none,         ///< plain http
  valid,        ///< for localhost, 127.0.0.1 and ::1, signed by Falsim::authority_pem()
  expired,      ///< the same, since yesterday
  wrong_host,   ///< signed by the authority, for another name
  self_signed,  ///< for the right names, signed by nobody
};

/// Where falsim listens.
struct Listening {
  Tls tls = Tls::none;
  std::string host = "127.0.0.1";
  std::uint16_t port = 0;      ///< queue, documents, storage and media; 0: a free one
  std::uint16_t run_port = 0;  ///< fal.run; 0: a free one
};

/// A running stand-in. Every function may be called from any thread. It stops when it is destroyed.
class Falsim {
 public:
  /// Errors: as FalDesk::create(), and invalid_settings (an address that cannot be had).
  [[nodiscard]] static falproxy::Result<Falsim> start(FalsimOptions options = {},
                                                      const Listening& listening = {});
  Falsim(Falsim&&) noexcept;
  Falsim& operator=(Falsim&&) noexcept;
  ~Falsim();

  [[nodiscard]] const std::string& url() const noexcept;  ///< `http://127.0.0.1:PORT`
  [[nodiscard]] const std::string& queue_url() const noexcept { return url(); }
  [[nodiscard]] const std::string& run_url() const noexcept;
  [[nodiscard]] std::string schema_url() const;
  [[nodiscard]] const std::string& rest_url() const noexcept { return url(); }
  [[nodiscard]] std::string api_url() const { return url() + "/v1"; }
  [[nodiscard]] const std::string& media_hosts() const noexcept { return url(); }
  /// The host that nobody should call; faults put it into answers.
  [[nodiscard]] const std::string& elsewhere_url() const noexcept;
  /// The authority to trust; for SSL_CERT_FILE. Empty with Tls::none.
  [[nodiscard]] const std::string& authority_pem() const noexcept;
  /// The six addresses as lines of a .env file.
  [[nodiscard]] std::string env() const;

  // As FalDesk has them.
  [[nodiscard]] std::vector<std::string> endpoints() const { return desk().endpoints(); }
  [[nodiscard]] std::optional<std::string> document(std::string_view endpoint) const {
    return desk().document(endpoint);
  }
  [[nodiscard]] FalsimStats stats() const { return desk().stats(); }
  void reset_stats() { desk().reset_stats(); }
  [[nodiscard]] std::vector<SeenSubmit> submits() const { return desk().submits(); }
  [[nodiscard]] std::optional<SeenUpload> upload(std::string_view file_url) const {
    return desk().upload(file_url);
  }
  void add_fault(Fault fault) { desk().add_fault(std::move(fault)); }
  void clear_faults() { desk().clear_faults(); }
  void set_times(Milliseconds queue_time, Milliseconds job_time) {
    desk().set_times(queue_time, job_time);
  }
  /// Looks at the account book until `satisfied` or until `within` has passed; returns whether it
  /// was.
  [[nodiscard]] bool wait_for(const std::function<bool(const FalsimStats&)>& satisfied,
                              Milliseconds within = Milliseconds(10'000)) const;

 private:
  struct Impl;
  explicit Falsim(std::unique_ptr<Impl> impl) noexcept;
  [[nodiscard]] falproxy::testing::FalDesk& desk() const noexcept;
  std::unique_ptr<Impl> impl_;
};

}  // namespace falsim
