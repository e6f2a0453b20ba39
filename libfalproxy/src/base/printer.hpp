// printer.hpp: what the operator<< of falproxy's values share: Name{member: value, ...}.
#pragma once

#include <chrono>
#include <concepts>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <vector>

#include "base/fmt.hpp"

namespace falproxy::inline v0 {

/// Writes `text` in quotes, without line breaks and other controls, and no more of it than a line
/// can carry.
void print_quoted(std::ostream& out, std::string_view text);

/// Writes the members that say something: what is false, empty or absent is left out. Numbers and
/// enums are always there.
class Printer {
 public:
  Printer(std::ostream& out, std::string_view type) : out_(out) { out_ << type << '{'; }

  template <class T>
  Printer& operator()(std::string_view member, const T& value) {
    if (is_silent(value)) return *this;
    out_ << (first_ ? "" : ", ") << member << ": ";
    first_ = false;
    show(value);
    return *this;
  }

  std::ostream& end() { return out_ << '}'; }

 private:
  template <class T>
  static bool is_silent(const T& value) {
    if constexpr (std::same_as<T, bool>) {
      return !value;
    } else if constexpr (requires { value.empty(); }) {
      return value.empty();
    } else if constexpr (requires { value == nullptr; }) {
      return value == nullptr;
    } else if constexpr (requires { value == std::nullopt; }) {
      return value == std::nullopt;
    } else {
      return false;
    }
  }

  void show(bool value) { out_ << (value ? "true" : "false"); }
  void show(std::string_view text) { print_quoted(out_, text); }
  void show(const std::string& text) { print_quoted(out_, text); }
  // By fmt, since a stream may group digits or write them in hex.
  template <class T>
    requires(std::integral<T> || std::floating_point<T>) && (!std::same_as<T, bool>)
  void show(const T& number) {
    out_ << fmt::format("{}", number);
  }
  template <class Rep, class Period>
  void show(std::chrono::duration<Rep, Period> time) {
    const auto whole = std::chrono::duration_cast<std::chrono::milliseconds>(time);
    if (whole == time) {
      out_ << fmt::format("{} ms", whole.count());
    } else {
      out_ << fmt::format("{} us",
                          std::chrono::duration_cast<std::chrono::microseconds>(time).count());
    }
  }
  // In seconds of Unix time.
  template <class Duration>
  void show(std::chrono::time_point<std::chrono::system_clock, Duration> time) {
    out_ << fmt::format("{} s",
                        std::chrono::floor<std::chrono::seconds>(time.time_since_epoch()).count());
  }
  template <class T>
  void show(const std::optional<T>& value) {
    show(*value);
  }
  template <class T>
  void show(const std::shared_ptr<T>& value) {
    show(*value);
  }
  template <class A, class B>
  void show(const std::pair<A, B>& both) {
    show(both.first);
    out_ << ": ";
    show(both.second);
  }
  template <class T>
  void show(const std::vector<T>& values) {
    show_all(values);
  }
  template <class K, class V>
  void show(const std::map<K, V>& values) {
    show_all(values);
  }
  template <class T>
  void show(const T& value) {
    out_ << value;
  }

  template <class Range>
  void show_all(const Range& values) {
    out_ << '[';
    bool first = true;
    for (const auto& value : values) {
      if (!std::exchange(first, false)) out_ << ", ";
      show(value);
    }
    out_ << ']';
  }

  std::ostream& out_;
  bool first_ = true;
};

}  // namespace falproxy::inline v0
