// json_file.hpp: what the readers of JSON files with settings share: MODELS_FILE and its like.
#pragma once

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/enum_names.hpp"
#include "falproxy/json.hpp"
#include "falproxy/settings.hpp"
#include "settings/json_lines.hpp"

namespace falproxy::inline v0 {

/// The object that a file holds, without a byte order mark. `variable`: the setting that names the
/// file; `example`: what to write instead. Errors: one fault.
[[nodiscard]] Result<Json, std::vector<SettingsFault>> parse_json_file(std::string_view& text,
                                                                       const std::string& file,
                                                                       std::string_view variable,
                                                                       std::string_view example);

/// Gathers faults, each with the line of the member that is being read.
class JsonFileReader {
 protected:
  using Faults = std::vector<SettingsFault>;

  /// `text` is JSON. `file` is kept by reference.
  JsonFileReader(std::string_view text, const std::string& file)
      : lines_(json_lines(text)), file_(file) {
    for (const JsonLines::Repeat& repeat : lines_.repeats) {
      faults_.push_back({file_, repeat.line, dotted(repeat.path), "stands in the same object twice",
                         "remove one of the two"});
    }
  }

  /// How a member is read into a value of type Into.
  template <class Reader, class Into>
  struct Row {
    std::string_view key;
    void (Reader::*read)(const Json&, Into&);
  };

  /// Each member of `value` by its row, with path_ below what it is now.
  template <class Reader, class Into>
  void read_members(const Json& value, std::span<const Row<Reader, Into>> known, Into& into) {
    for (const std::string_view key : value.keys()) {
      const Json member = *value.find(key);
      path_.emplace_back(key);
      const Row<Reader, Into>* row = nullptr;
      for (const Row<Reader, Into>& one : known) row = one.key == key ? &one : row;
      if (row == nullptr) {
        std::vector<std::string_view> keys;
        for (const Row<Reader, Into>& one : known) keys.push_back(one.key);
        unknown_key(key, keys);
      } else if (!member.is_null()) {
        (static_cast<Reader*>(this)->*row->read)(member, into);
      }
      path_.pop_back();
    }
  }

  template <class T, std::size_t n>
  void read_word(const Json& value, std::optional<T>& into, const NamedValue<T> (&words)[n]) {
    into = value_in(words, value.as_string().value_or(""));
    if (into.has_value()) return;
    std::vector<std::string_view> names;
    for (const NamedValue<T>& word : words) names.push_back(word.name);
    not_a_word(value, names);
  }

  void read_boolean(const Json& value, bool& into);
  void fault(std::string message, std::string mend);
  /// In the order of their lines.
  [[nodiscard]] Faults take_faults();

  JsonLines::Path path_;  ///< of what is being read
  Faults faults_;

 private:
  void unknown_key(std::string_view key, const std::vector<std::string_view>& keys);
  void not_a_word(const Json& value, const std::vector<std::string_view>& names);
  static std::string dotted(const JsonLines::Path& path);

  JsonLines lines_;
  const std::string& file_;
};

}  // namespace falproxy::inline v0
