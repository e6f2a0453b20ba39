#include "settings/json_lines.hpp"

#include <algorithm>
#include <cstddef>

#include "falproxy/json.hpp"

namespace falproxy::inline v0 {
namespace {

constexpr std::size_t max_path = 3;

// One pass over the brackets, strings and line breaks; numbers and words need no look.
class Scanner {
 public:
  explicit Scanner(std::string_view text) : text_(text) {}

  JsonLines scan() {
    for (at_ = 0; at_ < text_.size(); ++at_) {
      switch (text_[at_]) {
        case '\n':
          ++line_;
          break;
        case '{':
          open_.push_back(true);
          name_next_ = true;
          break;
        case '[':
          open_.push_back(false);
          name_next_ = false;
          break;
        case '}':
        case ']':
          close();
          break;
        case ',':
          name_next_ = !open_.empty() && open_.back();
          break;
        case ':':
          name_next_ = false;
          break;
        case '"':
          string();
          break;
        default:
          break;
      }
    }
    return std::move(found_);
  }

 private:
  // Members deeper than max_path, and those inside lists, are passed over.
  [[nodiscard]] bool is_followed() const {
    if (open_.size() > max_path) return false;
    for (const bool object : open_) {
      if (!object) return false;
    }
    return true;
  }

  void string() {
    const std::size_t begin = at_;
    for (++at_; at_ < text_.size() && text_[at_] != '"'; ++at_) {
      if (text_[at_] == '\\') ++at_;
    }
    if (!name_next_ || !is_followed()) return;
    const Result<Json> name = Json::parse(text_.substr(begin, at_ + 1 - begin));
    path_.resize(open_.size());
    path_.back() = name.has_value() ? std::string(name->as_string().value_or("")) : "";
    if (found_.lines.insert_or_assign(path_, line_).second) return;
    found_.repeats.push_back({path_, line_});
    // What was in the earlier one is gone, and no repeat.
    std::erase_if(found_.lines, [&](const auto& entry) {
      return entry.first.size() > path_.size() &&
             std::equal(path_.begin(), path_.end(), entry.first.begin());
    });
  }

  void close() {
    if (!open_.empty()) open_.pop_back();
    name_next_ = false;
  }

  std::string_view text_;
  std::size_t at_ = 0;
  int line_ = 1;
  std::vector<bool> open_;  // true: an object
  bool name_next_ = false;
  JsonLines::Path path_;
  JsonLines found_;
};

}  // namespace

int JsonLines::line_of(const Path& path) const {
  const auto found = lines.find(path);
  return found == lines.end() ? 0 : found->second;
}

JsonLines json_lines(std::string_view text) { return Scanner(text).scan(); }

}  // namespace falproxy::inline v0
