// chat_router.hpp: the wire of fal's router for chat models, as far as it is looked at on the way:
// requests and answers pass byte for byte.
//
// Pure. Sources: OpenAI's and OpenRouter's API references, fal's documentation of
// openrouter/router/openai/v1.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <optional>
#include <string>
#include <string_view>

#include "falproxy/money.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0::router {

using falproxy::printed_by_falproxy;
using falproxy::operator<<;

/// fal's app for chat models, and what stands behind it in its addresses.
inline constexpr std::string_view app = "openrouter/router";
/// Below FAL_RUN_URL: "/openrouter/router/openai/v1/chat/completions".
inline constexpr std::string_view path = "/openrouter/router/openai/v1/";

/// The member `model` of a body, and where its value stands.
struct NamedModel {
  std::string name;       ///< without escapes
  std::size_t begin = 0;  ///< of the value, with its quotes
  std::size_t end = 0;    ///< one past it
  bool operator==(const NamedModel&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const NamedModel& model);

/// The `model` at the top of a JSON object; none: there is none. One that is null has an empty
/// name. Nothing else is parsed but for quotes and brackets. Errors: invalid_json (no object, or
/// two of that name, so that two readers could see two models), invalid_type (no string),
/// invalid_value (longer than 256 bytes).
[[nodiscard]] Result<std::optional<NamedModel>> find_model(std::string_view body);
/// `body`, which is an object, with another name in that place; if it has none, at its begin.
[[nodiscard]] std::string with_model(std::string_view body, const std::optional<NamedModel>& place,
                                     std::string_view name);

/// Reads `usage.cost` out of an answer as it comes; holds a few bytes of it.
class CostReader {
 public:
  /// `is_stream`: server-sent events, whose data are JSON texts; else one JSON text.
  explicit CostReader(bool is_stream) : is_stream_(is_stream) {}
  /// The next bytes of the answer.
  void feed(std::string_view bytes);
  /// The last one that came; none: none did.
  [[nodiscard]] std::optional<Usd> cost() const noexcept { return cost_; }

 private:
  void read(char c);
  void read_structure(char c);
  void end_number();

  const bool is_stream_;
  enum class Line { begin, data, other };
  Line line_ = Line::begin;
  std::string line_start_;
  bool in_string_ = false, escaped_ = false;
  std::string text_;       // the string that was read last, as far as it may be a name of ours
  std::string key_;        // of the member whose value comes
  std::string outer_key_;  // of the member at the top that is being read
  std::string number_;
  int depth_ = 0;
  int usage_depth_ = 0;  // of the members of `usage`; 0: not in it
  std::optional<Usd> cost_;
};

/// A failure of the router's or of the model's, `{"error":{...}}` or `{"detail":...}`, with
/// OpenAI's four keys and a code that is text.
[[nodiscard]] std::string write_error(int status, std::string_view body);

}  // namespace falproxy::inline v0::router
