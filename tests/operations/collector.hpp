// collector.hpp: takes traces as a collector does (OTLP/HTTP, JSON), and finds fault with whatever
// the schema does not know.
#pragma once

#include <cstdint>
#include <map>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

#include "falproxy/json.hpp"
#include "http/loopback_server.hpp"

namespace falproxy::test {

struct SeenSpan {
  std::string trace, id, parent, state, name;
  std::int64_t kind = 0, began = 0, ended = 0;  ///< times in nanoseconds since 1970
  std::map<std::string, Json> attributes;       ///< the value alone, whatever its type
  std::map<std::string, Json> resource;         ///< as `attributes`
  bool failed = false;

  /// The attribute as text; empty: it has none.
  [[nodiscard]] std::string text(const std::string& attribute) const;
  [[nodiscard]] std::int64_t integer(const std::string& attribute) const;
};

/// Answers 200, unless told otherwise.
class Collector {
 public:
  Collector();

  [[nodiscard]] std::string url(std::string_view path = "") const { return server_.url(path); }
  /// Those that came so far.
  [[nodiscard]] std::vector<SeenSpan> spans() const;
  /// Waits until a span of that name has come; its whole trace is there then, but for what ends
  /// later than it.
  [[nodiscard]] std::vector<SeenSpan> trace_with(const std::string& name) const;
  /// What was wrong with what came.
  [[nodiscard]] std::vector<std::string> faults() const;
  /// Heads and bodies as they came.
  [[nodiscard]] std::vector<std::string> requests() const;
  /// What the next exports are answered, before 200: whole answers, without their bodies' lengths.
  void answer_first(std::vector<std::string> answers);

 private:
  void take(const std::string& request);

  mutable std::mutex mutex_;
  std::vector<SeenSpan> spans_;
  std::vector<std::string> faults_, requests_, answers_;
  falproxy_test::LoopbackServer server_;  // the last: its threads use the others
};

/// One line a span, children below their parents in the order in which they began:
/// `name (kind)`; spans whose parent is not among them come first.
[[nodiscard]] std::string drawn(const std::vector<SeenSpan>& spans);

}  // namespace falproxy::test
