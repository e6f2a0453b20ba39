// value.hpp: the text of one variable on its way into a setting.
#pragma once

#include <chrono>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/enum_names.hpp"
#include "base/text.hpp"
#include "falproxy/settings.hpp"

namespace falproxy::inline v0 {

/// Each reader sets `into` or adds a fault and leaves it. No fault quotes the text: it may hold a
/// key that stands in the wrong place.
class SettingValue {
 public:
  /// `place`: file, line and variable of the faults.
  SettingValue(std::string_view text, SettingsFault place, std::vector<SettingsFault>& faults)
      : raw_(text), text_(trim(text)), place_(std::move(place)), faults_(faults) {}

  [[nodiscard]] std::string_view text() const noexcept {
    return text_;
  }  ///< without blanks around it
  [[nodiscard]] std::string_view raw() const noexcept { return raw_; }
  void fault(std::string message, std::string mend);
  /// How many there are so far, those of other variables included.
  [[nodiscard]] std::size_t faults() const noexcept { return faults_.size(); }
  /// A piece of it, whose faults begin with `name`. `text` must outlive it.
  [[nodiscard]] SettingValue part(std::string_view name, std::string_view text) const;

  void boolean(bool& into);

  template <std::integral T>
  void whole_number(T& into, std::int64_t least, std::int64_t most) {
    if (const auto number = number_between(least, most)) into = static_cast<T>(*number);
  }

  template <class Rep, class Period>
  void duration(std::chrono::duration<Rep, Period>& into, std::int64_t least, std::int64_t most) {
    if (const auto number = number_between(least, most))
      into = std::chrono::duration<Rep, Period>(*number);
  }

  /// Bytes, or a number with kB, MB, GB (1000) or KiB, MiB, GiB (1024).
  void bytes(std::size_t& into);

  template <class T, std::size_t n>
  void choice(T& into, const NamedValue<T> (&words)[n]) {
    std::vector<std::string_view> names;
    for (const NamedValue<T>& word : words) names.push_back(word.name);
    if (const std::optional<std::size_t> index = one_of(names)) into = words[*index].value;
  }

  /// An http(s) address without query; the slash at its end is taken off.
  void address(std::string& into);
  /// Without blanks and control characters.
  void word(std::string& into);
  /// An address to listen on: a name, an IPv4 or IPv6 address, or '*'. Brackets are taken off.
  void host(std::string& into);

 private:
  [[nodiscard]] std::optional<std::int64_t> number_between(std::int64_t least, std::int64_t most);
  [[nodiscard]] std::optional<std::size_t> one_of(std::span<const std::string_view> words);

  std::string_view raw_;
  std::string_view text_;
  SettingsFault place_;
  /// What it is called where it is written.
  [[nodiscard]] std::string_view called() const noexcept {
    return subject_.empty() ? std::string_view(place_.variable) : subject_;
  }
  std::string subject_ = {};  // of a piece: its name
  std::vector<SettingsFault>& faults_;
};

}  // namespace falproxy::inline v0
