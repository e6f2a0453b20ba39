// traced_transport.hpp: each exchange of a request with fal as a span of its trace.
#pragma once

#include <mutex>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/fal.hpp"
#include "falproxy/transport.hpp"
#include "tracing/tracer.hpp"

namespace falproxy::app {

/// Thread-safe. What runs outside of a trace goes through as it is. `traceparent` goes to fal's
/// queue and to fal.run alone: a CDN, a storage, a bucket and whoever is called back are told of no
/// trace. Of those, a span has no path either, unless OTEL_CAPTURE_CONTENT is set: it may open a
/// file for anybody.
class TracedTransport final : public Transport {
 public:
  /// `inner` and `tracer` outlive it.
  TracedTransport(Transport& inner, Tracer& tracer, const fal::Addresses& fal);
  [[nodiscard]] Result<Done, TransportError> send(const HttpRequest& request, TimePoint deadline,
                                                  std::stop_token stop,
                                                  ResponseSink& sink) override;
  void reload(const fal::Addresses& fal);

 private:
  [[nodiscard]] bool is_told(const std::string& origin) const;

  Transport& inner_;
  Tracer& tracer_;
  mutable std::mutex mutex_;
  std::vector<std::string> told_;  // origins
};

}  // namespace falproxy::app
