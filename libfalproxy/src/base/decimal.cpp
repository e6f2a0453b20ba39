#include "base/decimal.hpp"

#include <cmath>
#include <locale>
#include <sstream>
#include <string>
#include <version>

#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

const char* skip_digits(const char* at, const char* last) noexcept {
  while (at != last && is_digit(*at)) ++at;
  return at;
}

// Where a number ends that begins at `first`; `first` itself if none does.
const char* end_of_number(const char* first, const char* last, std::chars_format format) noexcept {
  const char* const begin = first != last && *first == '-' ? first + 1 : first;
  const char* end = skip_digits(begin, last);
  bool any = end != begin;
  if (end != last && *end == '.') {
    const char* const behind = skip_digits(end + 1, last);
    any = any || behind != end + 1;
    end = behind;
  }
  if (!any) return first;
  if (format == std::chars_format::fixed || end == last || to_lower(*end) != 'e') return end;
  const char* power = end + 1;
  if (power != last && (*power == '+' || *power == '-')) ++power;
  const char* const behind = skip_digits(power, last);
  return behind == power ? end : behind;
}

}  // namespace

std::from_chars_result read_decimal_by_stream(const char* first, const char* last, double& value,
                                              std::chars_format format) {
  const char* const end = end_of_number(first, last, format);
  if (end == first) return {first, std::errc::invalid_argument};
  std::istringstream in(std::string(first, end));
  in.imbue(std::locale::classic());
  double number = 0;
  if (!(in >> number)) return {end, std::errc::result_out_of_range};
  value = number;
  return {end, std::errc()};
}

std::from_chars_result read_decimal(const char* first, const char* last, double& value,
                                    std::chars_format format) {
#ifdef __cpp_lib_to_chars
  double number = 0;
  const std::from_chars_result read = std::from_chars(first, last, number, format);
  if (read.ec != std::errc()) return read;
  if (!std::isfinite(number)) return {first, std::errc::invalid_argument};
  value = number;
  return read;
#else
  return read_decimal_by_stream(first, last, value, format);
#endif
}

}  // namespace falproxy::inline v0
