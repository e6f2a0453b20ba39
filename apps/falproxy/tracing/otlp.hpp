// otlp.hpp: spans as OTLP/HTTP wants them in JSON (opentelemetry-proto 1.x, its JSON mapping).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "tracing/span.hpp"

namespace falproxy::app {

/// An ExportTraceServiceRequest of spans of one program.
[[nodiscard]] std::string to_otlp(std::span<const SpanRecord> spans,
                                  const std::vector<std::pair<std::string, std::string>>& resource);

/// How many spans an ExportTraceServiceResponse says were refused; 0 if it says nothing of that.
[[nodiscard]] std::uint64_t refused_spans(std::string_view response);

}  // namespace falproxy::app
