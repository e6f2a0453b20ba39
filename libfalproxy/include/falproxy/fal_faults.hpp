// fal_faults.hpp: what may go wrong with a request to a FalDesk, as data. Of falproxy::testing.
#pragma once

#include <chrono>
#include <cstddef>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/http.hpp"
#include "falproxy/print.hpp"

namespace falproxy::inline v0::testing {

/// What a request is for.
enum class Step {
  any,
  submit,  ///< POST {queue}/{id}
  status,
  status_stream,
  result,
  cancel,
  run,           ///< POST {run}/{id}
  model_stream,  ///< POST {run}/{id}/stream
  document,
  upload_initiate,
  upload,  ///< PUT of the bytes
  media,
  pricing,   ///< GET {api}/models/pricing
  models,    ///< GET {api}/models
  sign,      ///< POST {api}/storage/files/sign
  estimate,  ///< POST {api}/models/pricing/estimate
  bills,     ///< GET {api}/models/billing-events
  balance,   ///< GET {api}/account/billing
  history,   ///< GET {api}/models/requests/by-endpoint
  forget,    ///< DELETE {api}/models/requests/{id}/payloads
};
/// As written above.
[[nodiscard]] std::string_view name_of(Step value) noexcept;

/// What becomes of the connection.
enum class Wire {
  none,
  reset_unread,   ///< reset after the head of the request, before its body is read
  close_unread,   ///< closed there
  ignore_expect,  ///< `Expect: 100-continue` is never answered; the body is read when it comes
  reset,          ///< reset in place of the answer
  close,          ///< closed in place of the answer
  silence,        ///< no answer, and the connection stays
  stream_dies,    ///< of a stream: reset after its first event
  stream_ends,    ///< of a stream: ended as if all were well after its first event
  stream_stalls,  ///< of a stream: not a byte after its first event
};
/// As written above.
[[nodiscard]] std::string_view name_of(Wire value) noexcept;

/// An answer in place of the desk's own.
struct Answer {
  int status = 500;                               ///< of HTTP
  std::string body = {};                          ///< sent as it is
  std::string content_type = "application/json";  ///< of the body
  HttpHeaders headers = {};  ///< more of them; `{elsewhere}` begins the address of that host
  bool from_fal = true;      ///< with x-fal-request-id, which the ingress does not send
  bool operator==(const Answer&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Answer& answer);

/// What is different about a job whose submit the fault struck.
struct JobChange {
  std::optional<Milliseconds> queue_time = std::nullopt;  ///< none: the desk's
  std::optional<Milliseconds> job_time = std::nullopt;    ///< none: the desk's
  std::string error = {};                                 ///< it ends COMPLETED with this text
  std::string error_type = {};                            ///< beside it
  std::optional<Answer> result = std::nullopt;            ///< in place of the result
  bool ignores_cancel = false;    ///< a cancel is accepted, but the job goes on
  bool elsewhere_status = false;  ///< its address names a host that nobody should call
  bool elsewhere_result = false;  ///< as elsewhere_status
  bool elsewhere_cancel = false;  ///< as elsewhere_status
  bool elsewhere_images = false;  ///< as elsewhere_status
  bool operator==(const JobChange&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const JobChange& change);

/// One thing that goes wrong. A request is met by the first fault that fits it.
struct Fault {
  std::string name = {};  ///< for the account book

  // Whom it strikes.
  Step step = Step::any;      ///< any: every step
  std::string key = {};       ///< empty: everybody's
  std::string endpoint = {};  ///< empty: all
  std::string prompt = {};    ///< a part of the job's prompt; empty: whatever it is

  // How often.
  int skip = 0;         ///< the first so many that fit are spared
  int times = -1;       ///< at most so many are struck; -1: no limit
  double chance = 1.0;  ///< of each that fits

  // What happens.
  std::optional<Answer> answer = std::nullopt;  ///< given at once: the request does nothing
  Wire wire = Wire::none;                       ///< how the connection fares
  bool processed =
      true;  ///< with Wire::reset, close and silence: the request does its work all the same
  Milliseconds delay{0};                                ///< before the answer
  std::size_t drip_bytes = 0;                           ///< each drip_tick; 0: as fast as it goes
  Milliseconds drip_tick{10};                           ///< between drips
  std::optional<std::size_t> cut_after = std::nullopt;  ///< bytes of the body; then it is reset
  JobChange job = {};                                   ///< with Step::submit, run and model_stream
  bool elsewhere_upload = false;  ///< with Step::upload_initiate: the upload address is elsewhere

  /// A fault by its name, such as "rate_limited"; docs/falsim.md lists them. None: no such name.
  [[nodiscard]] static std::optional<Fault> preset(std::string_view name);
  /// In alphabetical order.
  [[nodiscard]] static std::vector<std::string> preset_names();
  bool operator==(const Fault&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Fault& fault);

}  // namespace falproxy::inline v0::testing
