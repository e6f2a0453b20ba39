#include <algorithm>

#include "base/fmt.hpp"
#include "base/printer.hpp"
#include "base/text.hpp"
#include "falproxy/chat_router.hpp"
#include "json/access.hpp"

namespace falproxy::inline v0::router {
namespace {

constexpr std::size_t longest_name = 256;

Error no_object(std::size_t at) {
  return {
      ErrorKind::invalid_json,
      fmt::format("We could not parse the JSON body of your request: it is no JSON object, from "
                  "byte {} on.",
                  at),
      {}};
}

// Goes over the members of one object.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  void skip_blanks() {
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
  }
  bool take(char c) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  // With its quotes; empty: there is no string here.
  std::string_view take_string() {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != '"') return {};
    const std::size_t end = find_string_end(text_, at_ + 1);
    if (end == std::string_view::npos) return {};
    const std::string_view token = text_.substr(at_, end + 1 - at_);
    at_ = end + 1;
    return token;
  }
  // Up to the ',' or '}' behind it. False: it does not end.
  bool skip_value() {
    int depth = 0;
    const std::size_t begin = at_;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      if (c == '"') {
        if (take_string().empty()) return false;
        continue;
      }
      if (depth == 0 && (c == ',' || c == '}')) return at_ > begin;
      if (c == '{' || c == '[') ++depth;
      if (c == '}' || c == ']') --depth;
      if (depth < 0) return false;
      ++at_;
    }
    return false;
  }
  [[nodiscard]] std::size_t at() const noexcept { return at_; }
  [[nodiscard]] bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }

 private:
  const std::string_view text_;
  std::size_t at_ = 0;
};

std::optional<std::string> text_in(std::string_view token) {
  const Result<Json> value = Json::parse(token);
  if (!value || !value->is_string()) return std::nullopt;
  return std::string(*value->as_string());
}

// `"model"`, however its letters are escaped.
bool is_model(std::string_view token) {
  if (token == R"("model")") return true;
  constexpr std::size_t longest_escaped = 40;
  return token.find('\\') != std::string_view::npos && token.size() <= longest_escaped &&
         text_in(token) == "model";
}

// Of the value between `begin` and `end`, which may end with blanks.
Result<NamedModel> read_model(std::string_view body, std::size_t begin, std::size_t end) {
  const std::string_view value = trim(body.substr(begin, end - begin));
  if (value == "null") return NamedModel{{}, begin, begin + value.size()};
  std::optional<std::string> name = text_in(value);
  if (!name.has_value()) {
    return Error{ErrorKind::invalid_type, "Invalid type for 'model': expected a string.", "model"};
  }
  if (name->size() > longest_name) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid 'model': string too long. Expected a string with maximum "
                             "length {}, but got a string with length {} instead.",
                             longest_name, name->size()),
                 "model"};
  }
  return NamedModel{*std::move(name), begin, begin + value.size()};
}

}  // namespace

std::ostream& operator<<(std::ostream& out, const NamedModel& model) {
  return Printer(out, "NamedModel")("name", model.name)("begin", model.begin)("end", model.end)
      .end();
}

Result<std::optional<NamedModel>> find_model(std::string_view body) {
  Scanner scanner(body);
  std::optional<NamedModel> found;
  if (!scanner.take('{')) return no_object(scanner.at());
  while (!scanner.take('}')) {
    const std::string_view key = scanner.take_string();
    if (key.empty() || !scanner.take(':')) return no_object(scanner.at());
    scanner.skip_blanks();
    const std::size_t begin = scanner.at();
    if (!scanner.skip_value()) return no_object(scanner.at());
    if (is_model(key)) {
      if (found.has_value()) {
        return Error{ErrorKind::invalid_json, "The body of your request has 'model' twice.",
                     "model"};
      }
      Result<NamedModel> named = read_model(body, begin, scanner.at());
      if (!named) return std::move(named).error();
      found = *std::move(named);
    }
    static_cast<void>(scanner.take(','));
  }
  if (!scanner.at_end()) return no_object(scanner.at());
  return found;
}

std::string with_model(std::string_view body, const std::optional<NamedModel>& place,
                       std::string_view name) {
  const std::size_t at = place ? place->begin : body.find('{') + 1;
  std::string text(body.substr(0, at));
  if (!place) text += R"("model":)";
  text += json_string(name);
  if (!place && body.find_first_not_of(" \t\r\n", at) != body.find('}', at)) text += ',';
  text += body.substr(place ? place->end : at);
  return text;
}

}  // namespace falproxy::inline v0::router
