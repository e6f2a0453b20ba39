#include "falproxy/fal.hpp"

namespace falproxy::inline v0::fal {

std::optional<std::string> EventStreamReader::next(std::string_view& bytes) {
  while (!bytes.empty() && !failed_) {
    if (skip_lf_) {
      skip_lf_ = false;
      if (bytes.front() == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const std::string_view line = bytes.substr(0, bytes.find('\n'));
    const std::string_view part = line.substr(0, line.find('\r'));
    if (part.size() > max_ - line_.size()) {
      failed_ = true;
      break;
    }
    line_.append(part);
    bytes.remove_prefix(part.size());
    if (bytes.empty()) break;
    skip_lf_ = bytes.front() == '\r';
    bytes.remove_prefix(1);
    if (std::optional<std::string> event = end_of_line()) return event;
  }
  return std::nullopt;
}

std::optional<std::string> EventStreamReader::end_of_line() {
  std::string_view line = line_;
  constexpr std::string_view byte_order_mark = "\xEF\xBB\xBF";
  if (at_start_ && line.starts_with(byte_order_mark)) line.remove_prefix(byte_order_mark.size());
  at_start_ = false;

  std::optional<std::string> event;
  if (line.empty()) {
    if (has_data_) event = std::move(data_);
    data_.clear();
    has_data_ = false;
  } else if (line == "data" || line.starts_with("data:")) {
    std::string_view value = line.substr(line.size() == 4 ? 4 : 5);
    if (value.starts_with(' ')) value.remove_prefix(1);
    if (value.size() + 1 > max_ - data_.size()) failed_ = true;
    if (has_data_) data_ += '\n';
    if (!failed_) data_.append(value);
    has_data_ = true;
  }
  line_.clear();
  return event;
}

}  // namespace falproxy::inline v0::fal
