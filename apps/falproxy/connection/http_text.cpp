#include "connection/http_text.hpp"

#include <array>

#include "base/digits.hpp"
#include "base/fmt.hpp"

namespace falproxy::app {

void append_date(std::string& out, std::time_t now) {
  constexpr std::array days = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
  constexpr std::array months = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                 "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  std::tm utc{};
  gmtime_r(&now, &utc);
  out.append("Date: ").append(days[static_cast<std::size_t>(utc.tm_wday)]).append(", ");
  append_digits(out, utc.tm_mday, 2);
  out.append(" ").append(months[static_cast<std::size_t>(utc.tm_mon)]).append(" ");
  append_digits(out, utc.tm_year + 1900, 4);
  out.append(" ");
  append_time_of_day(out, utc);
  out.append(" GMT\r\n");
}

void append_field(std::string& out, std::string_view name, std::string_view value) {
  out.append(name).append(": ").append(value).append("\r\n");
}

std::string chunk(std::string_view bytes) {
  return fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes);
}

}  // namespace falproxy::app
