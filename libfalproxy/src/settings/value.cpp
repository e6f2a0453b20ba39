#include "settings/value.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <limits>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/http.hpp"
#include "falproxy/suggest.hpp"

namespace falproxy::inline v0 {

void SettingValue::fault(std::string message, std::string mend) {
  SettingsFault fault = place_;
  fault.message = subject_.empty() ? std::move(message) : fmt::format("{} {}", subject_, message);
  fault.mend = std::move(mend);
  faults_.push_back(std::move(fault));
}

SettingValue SettingValue::part(std::string_view name, std::string_view text) const {
  SettingValue piece(text, place_, faults_);
  piece.subject_ = std::string(name);
  return piece;
}

void SettingValue::boolean(bool& into) {
  for (const std::string_view yes : {"true", "1", "yes", "on"}) {
    if (equal_ignoring_case(text_, yes)) {
      into = true;
      return;
    }
  }
  for (const std::string_view no : {"false", "0", "no", "off"}) {
    if (equal_ignoring_case(text_, no)) {
      into = false;
      return;
    }
  }
  fault("is neither true nor false", "write true or false");
}

std::optional<std::int64_t> SettingValue::number_between(std::int64_t least, std::int64_t most) {
  std::int64_t number = 0;
  const char* const end = text_.data() + text_.size();
  const auto [stop, error] = std::from_chars(text_.data(), end, number);
  if (error == std::errc::invalid_argument || stop != end) {
    fault("is not a whole number", fmt::format("write a number from {} to {}", least, most));
    return std::nullopt;
  }
  if (error == std::errc::result_out_of_range || number < least || number > most) {
    fault("is out of range", fmt::format("write a number from {} to {}", least, most));
    return std::nullopt;
  }
  return number;
}

void SettingValue::bytes(std::size_t& into) {
  constexpr std::string_view mend =
      "write a number of bytes above 0, or one with kB, MB, GB, KiB, MiB or GiB";
  constexpr NamedValue<std::uint64_t> units[] = {{"", 1},
                                                 {"b", 1},
                                                 {"kb", 1000},
                                                 {"mb", 1000'000},
                                                 {"gb", 1000'000'000},
                                                 {"kib", 1u << 10},
                                                 {"mib", 1u << 20},
                                                 {"gib", 1u << 30}};
  std::uint64_t number = 0;
  const auto [stop, error] = std::from_chars(text_.data(), text_.data() + text_.size(), number);
  const std::string_view unit = trim(text_.substr(static_cast<std::size_t>(stop - text_.data())));
  const auto known = std::ranges::find_if(
      units, [&](const auto& row) { return equal_ignoring_case(row.name, unit); });
  if (error == std::errc::invalid_argument || known == std::end(units)) {
    fault("is not a size", std::string(mend));
    return;
  }
  constexpr std::uint64_t most = std::uint64_t{1} << 40;
  if (error == std::errc::result_out_of_range || number == 0 || number > most / known->value) {
    fault("is out of range", std::string(mend) + ", at most 1024 GiB");
    return;
  }
  into = static_cast<std::size_t>(number * known->value);
}

std::optional<std::size_t> SettingValue::one_of(std::span<const std::string_view> words) {
  for (std::size_t i = 0; i < words.size(); ++i) {
    if (equal_ignoring_case(text_, words[i])) return i;
  }
  const std::string_view near = nearest(text_, words);
  fault(fmt::format("is not one of {}", fmt::join(words, ", ")),
        fmt::format("write {}={}", called(), near.empty() ? words.front() : near));
  return std::nullopt;
}

void SettingValue::address(std::string& into) {
  std::string_view base = text_;
  while (base.ends_with('/')) base.remove_suffix(1);
  if (!Url::parse(base).has_value() || base.find('?') != std::string_view::npos) {
    fault("is not an http or https address",
          fmt::format("write it like {}=https://host[:port][/path], without '?'", called()));
    return;
  }
  into = std::string(base);
}

void SettingValue::word(std::string& into) {
  const bool plain = std::ranges::all_of(
      text_, [](char c) { return static_cast<unsigned char>(c) > ' ' && c != '\x7f'; });
  if (!plain) {
    fault("holds a blank or a control character", "leave it out");
    return;
  }
  into = std::string(text_);
}

void SettingValue::host(std::string& into) {
  std::string_view bare = text_;
  if (bare.starts_with('[') && bare.ends_with(']')) {
    bare.remove_prefix(1);
    bare.remove_suffix(1);
  }
  const bool plain = !bare.empty() && std::ranges::all_of(bare, [](char c) {
    return is_alnum(c) || std::string_view(".:-_%*").find(c) != std::string_view::npos;
  });
  if (!plain || (bare != "*" && bare.find('*') != std::string_view::npos)) {
    fault("is no address to listen on",
          fmt::format("write {0}=0.0.0.0, {0}=:: or {0}=*, or one address of this machine, without "
                      "http:// and without a port",
                      place_.variable));
    return;
  }
  into = std::string(bare);
}

}  // namespace falproxy::inline v0
