// otel_settings.hpp: OpenTelemetry's own variables: where traces go, and what is in them.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/clock.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::app {

/// Which requests have a trace.
struct Sampling {
  bool by_parent = true;  ///< a request with a traceparent is traced if its sender traces it
  double ratio = 1;       ///< of the others, from 0 to 1
  bool operator==(const Sampling&) const = default;
};

struct OtelSettings {
  std::string endpoint = {};  ///< that spans are posted to; empty: there are no traces
  /// Names and values; they may hold a key of the collector's.
  std::vector<std::pair<std::string, std::string>> headers = {};
  Milliseconds timeout{10'000};  ///< for one batch, repeats included
  /// Of this program; `service.name` is among them.
  std::vector<std::pair<std::string, std::string>> resource = {};
  Sampling sampling = {};
  bool capture_content = false;  ///< prompts, too
  std::size_t queue_spans = 2048;
  std::size_t batch_spans = 512;
  Milliseconds delay{5'000};  ///< after which a batch goes out that is not full
  bool operator==(const OtelSettings&) const = default;
};

/// `value`: of a variable; empty if it is not set. As the specification wants it, a value that
/// cannot be used is passed over, with a warning whose `variable` says which.
[[nodiscard]] OtelSettings read_otel_settings(
    const std::function<std::string(std::string_view)>& value,
    std::vector<SettingsFault>& warnings);

}  // namespace falproxy::app
