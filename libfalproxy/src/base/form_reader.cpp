#include "falproxy/form_reader.hpp"

#include <algorithm>
#include <utility>

#include "base/field_parameters.hpp"
#include "base/text.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t longest_boundary = 70;  // RFC 2046, 5.1.1
constexpr std::size_t longest_padding = 64;   // blanks after a boundary

Error broken(std::string_view what) {
  return {ErrorKind::bad_request_framing,
          "The multipart form cannot be read: " + std::string(what) + "."};
}
Error too_much(std::string_view of_what, std::size_t limit) {
  return broken("it has more than " + std::to_string(limit) + " " + std::string(of_what));
}

bool has_controls(std::string_view text) noexcept {
  return std::ranges::any_of(text, [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return (byte < 0x20 && c != '\t') || byte == 0x7f;
  });
}

}  // namespace

FormReader::FormReader(std::string delimiter, FormSink& sink, const FormLimits& limits)
    : delimiter_(std::move(delimiter)), sink_(&sink), limits_(limits) {}

Result<FormReader> FormReader::create(std::string_view content_type, FormSink& sink,
                                      const FormLimits& limits) {
  const std::string_view type = content_type.substr(0, content_type.find(';'));
  std::optional<std::string> boundary;
  const bool read = for_each_parameter(
      content_type.substr(type.size()), [&](const std::string& name, std::string value) {
        if (name != "boundary") return true;
        return !std::exchange(boundary, std::move(value)).has_value();
      });
  if (!read || !boundary || boundary->empty() || boundary->size() > longest_boundary ||
      has_controls(*boundary)) {
    return broken("its Content-Type must name its boundary, once, with 1 to 70 characters");
  }
  return FormReader("\r\n--" + *boundary, sink, limits);
}

Result<Done> FormReader::read(std::string_view bytes) {
  while (!bytes.empty()) {
    Result<Done> step = Done{};
    switch (state_) {
      case State::preamble:
      case State::content:
        step = search(bytes);
        break;
      case State::after_boundary:
        step = end_boundary(bytes);
        break;
      case State::head:
        step = read_head(bytes);
        break;
      case State::epilogue:
        step = emit(bytes);
        bytes = {};
        break;
    }
    if (!step) return step;
  }
  return Done{};
}

Result<Done> FormReader::finish() const {
  if (state_ != State::epilogue) return broken("it ends before its last boundary");
  return Done{};
}

// Hands on what comes before the next delimiter. A CR begins the delimiter and stands nowhere else
// in it, so where a match fails no other can have begun: each byte is looked at twice at most.
Result<Done> FormReader::search(std::string_view& bytes) {
  std::size_t at = 0;
  std::size_t begin = 0;  // of what may be the delimiter
  while (true) {
    while (at < bytes.size() && matched_ < delimiter_.size() && bytes[at] == delimiter_[matched_]) {
      ++at;
      ++matched_;
    }
    if (matched_ == delimiter_.size() || at == bytes.size()) break;
    if (matched_ > at) {  // it began in an earlier piece
      const std::size_t earlier = matched_ - at;
      const auto held = std::string_view(delimiter_).substr(0, earlier).substr(never_came_);
      if (Result<Done> step = emit(held); !step) return step;
    }
    never_came_ = 0;
    matched_ = 0;
    begin = at = std::min(bytes.find('\r', at), bytes.size());
    if (at == bytes.size()) break;
  }
  if (Result<Done> step = emit(bytes.substr(0, begin)); !step) return step;
  bytes.remove_prefix(at);
  if (matched_ == delimiter_.size()) {
    matched_ = never_came_ = 0;
    line_.clear();
    state_ = State::after_boundary;
  }
  return Done{};
}

// After a boundary: "--" is the end; blanks and CR LF begin a part.
Result<Done> FormReader::end_boundary(std::string_view& bytes) {
  line_ += bytes.front();
  bytes.remove_prefix(1);
  if (line_ == "--") {
    state_ = State::epilogue;
    around_ = 0;
  } else if (line_.back() == '\n') {
    if (!line_.ends_with("\r\n") || !trim(line_).empty())
      return broken("a boundary's line does not end in CR LF");
    line_.clear();
    state_ = State::head;
  } else if (line_.size() > longest_padding) {
    return broken("a boundary is followed by something else");
  }
  return Done{};
}

Result<Done> FormReader::read_head(std::string_view& bytes) {
  const std::size_t lf = bytes.find('\n');
  const std::string_view piece = bytes.substr(0, lf == std::string_view::npos ? lf : lf + 1);
  bytes.remove_prefix(piece.size());
  head_bytes_ += piece.size();
  if (head_bytes_ > limits_.max_head_bytes)
    return too_much("bytes in the head of a part", limits_.max_head_bytes);
  line_.append(piece);
  if (lf == std::string_view::npos) return Done{};
  if (!line_.ends_with("\r\n")) return broken("a line of a part's head does not end in CR LF");
  line_.resize(line_.size() - 2);
  if (line_.empty()) return begin_part();
  if (++head_lines_ > limits_.max_head_lines)
    return too_much("lines in the head of a part", limits_.max_head_lines);
  Result<Done> read = read_field(line_);
  line_.clear();
  return read;
}

Result<Done> FormReader::read_field(std::string_view line) {
  const std::size_t colon = line.find(':');
  if (colon == std::string_view::npos || !is_token(line.substr(0, colon)) || has_controls(line))
    return broken("a line of a part's head is no header field");
  const std::string_view name = line.substr(0, colon);
  const std::string_view value = trim(line.substr(colon + 1));
  if (equal_ignoring_case(name, "content-disposition")) return read_disposition(value);
  if (equal_ignoring_case(name, "content-type")) head_.content_type = value;
  if (equal_ignoring_case(name, "content-transfer-encoding"))
    head_.transfer_encoding = to_lower(value);
  return Done{};
}

Result<Done> FormReader::read_disposition(std::string_view value) {
  const std::string_view kind = value.substr(0, value.find(';'));
  std::optional<std::string> name, file, extended;
  const bool read = for_each_parameter(
      value.substr(kind.size()), [&](const std::string& parameter, std::string text) {
        if (parameter == "name") return !std::exchange(name, std::move(text)).has_value();
        if (parameter == "filename") return !std::exchange(file, std::move(text)).has_value();
        if (parameter == "filename*") return !std::exchange(extended, std::move(text)).has_value();
        return true;
      });
  if (named_ || !read || !name || !equal_ignoring_case(trim(kind), "form-data"))
    return broken("each part needs one Content-Disposition: form-data; name=\"...\"");
  named_ = true;
  head_.name = std::move(*name);
  // The name that can hold every character is the true one; some clients garble the other.
  head_.file_name = extended ? extended_value(*extended) : std::nullopt;
  if (!head_.file_name && (file || extended)) head_.file_name = std::move(file).value_or("");
  return Done{};
}

Result<Done> FormReader::begin_part() {
  if (!named_) return broken("each part needs one Content-Disposition: form-data; name=\"...\"");
  if (++parts_ > limits_.max_parts) return too_much("parts", limits_.max_parts);
  state_ = State::content;
  matched_ = never_came_ = 2;
  head_bytes_ = head_lines_ = 0;
  named_ = false;
  return sink_->begin_part(std::exchange(head_, {}));
}

Result<Done> FormReader::emit(std::string_view bytes) {
  if (bytes.empty()) return Done{};
  if (state_ == State::content) return sink_->append(bytes);
  around_ += bytes.size();
  if (around_ > limits_.max_around_bytes)
    return too_much("bytes outside its boundaries", limits_.max_around_bytes);
  return Done{};
}

}  // namespace falproxy::inline v0
