#include "fal/told_progress.hpp"

#include <algorithm>
#include <cstdint>

#include "base/text.hpp"

namespace falproxy::inline v0::fal {
namespace {

// diffusers, and most others, give the bar of their steps no name. With two words it is "Sampling
// steps" or "Generating video".
constexpr std::string_view words_of_work[] = {
    "progress",  "step",  "steps",  "sampling",   "denoising",  "diffusion", "inference",
    "rendering", "frame", "frames", "generating", "generation", "video"};
constexpr std::size_t longest_line = 1024, longest_bar = 512;
// Loops of less are of something else, and numbers beyond are of bytes.
constexpr std::int64_t fewest_steps = 4, most_steps = 10'000;

// Without what it begins with and that `belongs`.
template <class Predicate>
std::string_view take_while(std::string_view& text, Predicate belongs) noexcept {
  const auto end = std::ranges::find_if_not(text, belongs);
  const std::string_view taken = text.substr(0, static_cast<std::size_t>(end - text.begin()));
  text.remove_prefix(taken.size());
  return taken;
}

void take_blanks(std::string_view& text) noexcept {
  take_while(text, [](char c) { return is_blank(c); });
}

bool take(std::string_view& text, char c) noexcept {
  if (!text.starts_with(c)) return false;
  text.remove_prefix(1);
  return true;
}

std::optional<std::int64_t> take_number(std::string_view& text) noexcept {
  const std::string_view digits = take_while(text, [](char c) { return is_digit(c); });
  if (digits.empty() || digits.size() > 6) return std::nullopt;
  std::int64_t number = 0;
  for (const char c : digits) number = number * 10 + (c - '0');
  return number;
}

// "Sampling steps: " goes. False: it is the name of something else.
bool take_name(std::string_view& text) noexcept {
  const std::size_t all = text.size();
  for (int words = 0; !text.empty() && is_alpha(text.front()); ++words) {
    const std::string_view word = take_while(text, [](char c) { return is_alpha(c); });
    const bool is_of_work = std::ranges::any_of(
        words_of_work, [&](std::string_view known) { return equal_ignoring_case(word, known); });
    if (!is_of_work || words == 2) return false;
    take_blanks(text);
  }
  take(text, ':');
  take_blanks(text);
  return text.size() < all;
}

std::optional<int> share(std::int64_t done, std::int64_t all) noexcept {
  if (done < 1 || done >= all) return std::nullopt;
  return std::max(static_cast<int>(done * 100 / all), 1);
}

// What stands behind the "14" of "14/28".
std::optional<int> share_of(std::int64_t done, std::string_view rest) noexcept {
  if (!take(rest, '/')) return std::nullopt;
  const std::optional<std::int64_t> all = take_number(rest);
  if (!all || *all < fewest_steps || *all > most_steps) return std::nullopt;
  if (!rest.empty() && !is_blank(rest.front())) return std::nullopt;
  return share(done, *all);
}

// What stands behind the percentage of a bar: "|#####     | 14/28 [00:07<00:07]".
std::optional<int> share_of_bar(std::string_view rest) noexcept {
  const std::size_t end = rest.substr(0, longest_bar).find('|', 1);
  if (end == std::string_view::npos) return std::nullopt;
  rest.remove_prefix(end + 1);
  take_blanks(rest);
  const std::optional<std::int64_t> done = take_number(rest);
  return done ? share_of(*done, rest) : std::nullopt;
}

// A bar is painted over itself, so that one message may have many of its lines.
std::string_view last_line(std::string_view message) noexcept {
  const bool is_cut = message.size() > longest_line;
  if (is_cut) message.remove_prefix(message.size() - longest_line);
  message = trim(message);
  const std::size_t end = message.find_last_of("\r\n");
  if (end != std::string_view::npos) return message.substr(end + 1);
  return is_cut ? std::string_view() : message;
}

}  // namespace

HttpRequest with_logs(HttpRequest request) {
  request.url += request.url.find('?') == std::string::npos ? "?logs=1" : "&logs=1";
  return request;
}

std::optional<int> percent_of_line(std::string_view line) noexcept {
  line = trim(last_line(line));
  const bool is_named = !line.empty() && !is_digit(line.front());
  if (is_named && !take_name(line)) return std::nullopt;
  const std::optional<std::int64_t> number = take_number(line);
  if (!number) return std::nullopt;
  if (take(line, '.')) {
    take_while(line, [](char c) { return is_digit(c); });
    if (!line.starts_with('%')) return std::nullopt;
  }
  if (!take(line, '%')) {
    const std::size_t blank = line.find(' ');
    const bool is_alone = blank == std::string_view::npos || line.substr(blank).starts_with(" [");
    return is_named || is_alone ? share_of(*number, line) : std::nullopt;
  }
  if (line.starts_with('|')) return share_of_bar(line);
  const bool ends = line.empty() || !is_alnum(line.front());
  return is_named && ends ? share(*number, 100) : std::nullopt;
}

}  // namespace falproxy::inline v0::fal
