// secret.hpp: a key that does not print itself.
#pragma once

#include <string>
#include <string_view>
#include <utility>

namespace falproxy::inline v0 {

/// Holds a key. There is no way to stream or format it; whoever needs the text says so with
/// reveal().
class Secret {
 public:
  Secret() = default;
  /// Takes the key as it is; nothing is trimmed.
  explicit Secret(std::string text) noexcept : text_(std::move(text)) {}

  /// The key itself: for request headers only, never for a log or an answer.
  [[nodiscard]] std::string_view reveal() const noexcept { return text_; }
  /// No key was given: matches() is then never true.
  [[nodiscard]] bool empty() const noexcept { return text_.empty(); }

  /// Takes the same time for every `candidate` of one length, whatever its bytes are.
  [[nodiscard]] bool matches(std::string_view candidate) const noexcept;

  /// Not constant in time: for values that falproxy holds itself, such as a reload's.
  bool operator==(const Secret&) const = default;

 private:
  std::string text_;
};

/// True if `text` holds what without_secret() would replace.
[[nodiscard]] bool shows_secret(std::string_view text, const Secret& secret) noexcept;
/// `text` with "[key]" for every occurrence of the secret, and of what stands before or after its
/// first colon alone, if that has at least eight characters.
[[nodiscard]] std::string without_secret(std::string text, const Secret& secret);

}  // namespace falproxy::inline v0
