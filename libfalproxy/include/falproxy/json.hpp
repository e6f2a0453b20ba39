// json.hpp: an immutable JSON value that does not show which JSON library is behind it.
//
// falproxy uses it for a JSON value that travels between rooms or to the caller: native fields,
// defaults, enums, fal's inputs and outputs. Copying is cheap (the tree is shared); any number of
// threads may read the same value.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "falproxy/print.hpp"
#include "falproxy/result.hpp"

namespace falproxy::inline v0 {

/// What a text may hold at most before Json::parse refuses it; the defaults are those for request
/// bodies.
struct JsonLimits {
  std::size_t max_depth = 64;        ///< nested arrays and objects
  std::size_t max_values = 100'000;  ///< values of every kind, members of objects included
  bool unique_names = false;         ///< a name that stands twice in one object is an error
};

/// The integers that Json takes: no bool, and no character.
template <class T>
concept JsonInteger = std::integral<T> && !std::same_as<T, bool> && !std::same_as<T, char> &&
                      !std::same_as<T, wchar_t> && !std::same_as<T, char8_t> &&
                      !std::same_as<T, char16_t> && !std::same_as<T, char32_t>;

/// One value. Immutable, cheap to copy (a pointer), safe to read from any number of threads.
class Json {
 public:
  /// The types of JSON, its numbers told apart.
  enum class Kind {
    null,     ///< `null`; what a default-made Json is
    boolean,  ///< `true`, `false`
    integer,  ///< written without a point or exponent, within 64 bits
    number,   ///< any other; finite, kept as a double
    string,   ///< UTF-8
    array,    ///< in order
    object    ///< members by name; their order is not kept
  };

  Json() noexcept;  ///< null
  /// @{
  /// Implicit, so that C++ values are literals: `Json::object({{"seed", 7}, {"sizes",
  /// Json::array({"1K", "2K"})}})`. As boolean(), integer(), number() and string(). A character is
  /// no value.
  Json(std::nullptr_t) noexcept;                         // NOLINT(google-explicit-constructor)
  Json(const char* text) : Json(string(text)) {}         // NOLINT(google-explicit-constructor)
  Json(std::string_view text) : Json(string(text)) {}    // NOLINT(google-explicit-constructor)
  Json(const std::string& text) : Json(string(text)) {}  // NOLINT(google-explicit-constructor)
  template <std::same_as<bool> T>
  Json(T value) : Json(boolean(value)) {}  // NOLINT(google-explicit-constructor)
  template <JsonInteger T>
  Json(T value)  // NOLINT(google-explicit-constructor)
      : Json(std::is_signed_v<T> ? integer(static_cast<std::int64_t>(value))
                                 : unsigned_integer(static_cast<std::uint64_t>(value))) {}
  template <std::floating_point T>
  Json(T value)  // NOLINT(google-explicit-constructor)
      : Json(number(static_cast<double>(value))) {}
  /// @}
  /// `true` or `false`.
  [[nodiscard]] static Json boolean(bool value);
  /// Kept exactly, beyond 2^53 too.
  [[nodiscard]] static Json integer(std::int64_t value);
  [[nodiscard]] static Json number(double value);  ///< not finite: null
  /// `value` should be UTF-8; dump() mends what is not.
  [[nodiscard]] static Json string(std::string_view value);
  /// Copies the elements.
  [[nodiscard]] static Json array(const std::vector<Json>& elements);
  /// Later members of the same name win.
  [[nodiscard]] static Json object(const std::vector<std::pair<std::string, Json>>& members);

  /// Reads one JSON text (RFC 8259, UTF-8). Of duplicate names the last wins, unless `unique_names`
  /// is set. Errors: invalid_json, with the byte position and what was expected, or the limit that
  /// was passed; `field` is the name that stands twice.
  [[nodiscard]] static Result<Json> parse(std::string_view text, JsonLimits limits = {});

  /// The JSON type; `integer` and `number` are told apart by how they were written.
  [[nodiscard]] Kind kind() const noexcept;
  /// Also what at() gives if there is nothing.
  [[nodiscard]] bool is_null() const noexcept { return kind() == Kind::null; }
  /// as_string() then has a value.
  [[nodiscard]] bool is_string() const noexcept { return kind() == Kind::string; }
  /// size() and at() then mean its elements.
  [[nodiscard]] bool is_array() const noexcept { return kind() == Kind::array; }
  /// find() and keys() then mean its members.
  [[nodiscard]] bool is_object() const noexcept { return kind() == Kind::object; }
  /// An integer or a number.
  [[nodiscard]] bool is_numeric() const noexcept;

  /// None for anything but `true` and `false`: no number or string is taken for one.
  [[nodiscard]] std::optional<bool> as_boolean() const noexcept;
  /// A number with no fraction that fits, written with or without a point (`2`, `2.0`).
  [[nodiscard]] std::optional<std::int64_t> as_integer() const noexcept;
  /// Of an integer the nearest double; none for anything that is not numeric.
  [[nodiscard]] std::optional<double> as_number() const noexcept;
  /// The view lives as long as any Json that shares the tree.
  [[nodiscard]] std::optional<std::string_view> as_string() const noexcept;

  /// Elements of an array or members of an object; 0 for all else.
  [[nodiscard]] std::size_t size() const noexcept;
  /// Element `index` of an array; null when there is none.
  [[nodiscard]] Json at(std::size_t index) const noexcept;
  /// The member `key` of an object; none when there is none, or this is no object. A member that is
  /// null is found.
  [[nodiscard]] std::optional<Json> find(std::string_view key) const noexcept;
  /// As at().
  [[nodiscard]] Json operator[](std::size_t index) const noexcept { return at(index); }
  /// The member `key`; null if find() finds none.
  [[nodiscard]] Json operator[](std::string_view key) const noexcept;

  /// For `for`: the elements of an array, in order; of all else none.
  [[nodiscard]] std::vector<Json> elements() const;
  /// For `for (const auto& [name, value] : json.members())`: an object's members, sorted bytewise
  /// by name; of all else none. A name lives as long as any Json that shares the tree.
  [[nodiscard]] std::vector<std::pair<std::string_view, Json>> members() const;
  /// The names of an object's members, sorted bytewise.
  [[nodiscard]] std::vector<std::string_view> keys() const;

  /// As JSON text; `indent` < 0: on one line. Invalid UTF-8 becomes U+FFFD. Same value, same bytes.
  [[nodiscard]] std::string dump(int indent = -1) const;

  /// Deep equality; 2 and 2.0 are equal.
  bool operator==(const Json& other) const noexcept;

  struct Access;  ///< for falproxy's own sources (src/json/access.hpp)

 private:
  static Json unsigned_integer(std::uint64_t value);
  struct Node {
    std::shared_ptr<const void> tree;
  };
  explicit Json(Node node) noexcept : node_(std::move(node.tree)) {}
  std::shared_ptr<const void> node_;  // an aliasing pointer into a shared tree; none: null
};
/// As written above.
[[nodiscard]] std::string_view name_of(Json::Kind kind) noexcept;
/// Json::dump().
std::ostream& operator<<(std::ostream& out, const Json& json);

}  // namespace falproxy::inline v0
