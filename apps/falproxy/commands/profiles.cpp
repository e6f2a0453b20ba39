#include <algorithm>
#include <filesystem>
#include <ostream>
#include <vector>

#include "base/fmt.hpp"
#include "commands/commands.hpp"
#include "commands/documents.hpp"
#include "commands/table.hpp"
#include "configuration.hpp"
#include "falproxy/profile.hpp"

namespace falproxy::app {
namespace {

using profile::Profile;
using Rows = std::vector<std::vector<std::string>>;

bool is_shown(std::string_view category) {
  return category == "text-to-speech" || category == "speech-to-speech" ||
         std::ranges::any_of(
             std::vector<std::string_view>{"-to-image", "-to-video", "-to-audio", "-to-text"},
             [&](std::string_view ending) { return category.ends_with(ending); });
}

// "image_url (source)" for each member of an object whose values are words or lists of words.
std::string pairs_text(const Json& object) {
  std::string text;
  for (const std::string_view key : object.keys()) {
    const Json value = *object.find(key);
    std::string words;
    for (std::size_t i = 0; i < value.size(); ++i)
      words += (i == 0 ? "" : " ") + std::string(value.at(i).as_string().value_or(""));
    text += fmt::format("{}{} ({})", text.empty() ? "" : ", ", key, words);
  }
  return text;
}

// The inputs that are neither files nor sizes, by what they mean.
std::string roles_text(const Json& made) {
  std::string text;
  for (const std::string_view key : made.keys()) {
    const Json value = *made.find(key);
    const auto path = key == "length" ? value.at(0).as_string() : value.as_string();
    if (path && key != "makes" && key != "times")
      text += fmt::format("{}{}: {}", text.empty() ? "" : ", ", key, *path);
  }
  return text;
}

bool is_known(const Profile& made, const schema::Field& input, const Json& sizes) {
  const auto within = [&](const profile::RoleInput& role) {
    return role.path == input.name || role.path.starts_with(input.name + ".") ||
           role.path.starts_with(input.name + "[");
  };
  return made.file(input.name) != nullptr || sizes.find(input.name).has_value() ||
         std::ranges::any_of(made.roles, within);
}

// What a request has to give by its own name, for want of a word of OpenAI's.
std::string own_inputs(const Profile& made, const Json& sizes) {
  std::string names;
  for (const schema::Field& input : made.schema->inputs) {
    if (!input.required || input.default_value || is_known(made, input, sizes)) continue;
    names += (names.empty() ? "" : ", ") + input.name;
  }
  return names;
}

std::string not_understood(const Profile& made) {
  if (!made.makes) return "its result holds no file and no words";
  if (made.find(profile::Role::text) == nullptr && made.media.empty())
    return "it takes neither a text nor a file";
  return "";
}

}  // namespace

int run_profiles(const CommandLine& line, const Surroundings& surroundings) {
  std::vector<std::filesystem::path> paths;
  std::error_code fault;
  for (const auto& entry : std::filesystem::directory_iterator(line.profile_folder, fault)) {
    if (entry.path().extension() == ".json") paths.push_back(entry.path());
  }
  if (paths.empty())
    return fail(surroundings, fmt::format("no documents (*.json) in '{}'", line.profile_folder));
  std::ranges::sort(paths);
  Rows rows{{"ENDPOINT", "MAKES", "FILES IN", "SIZE", "OTHER INPUTS", "REQUIRED BY ITS OWN NAME"}};
  Rows unknown{{"NOT UNDERSTOOD", "WHY"}};
  std::vector<Json> items;
  for (const std::filesystem::path& path : paths) {
    const Result<std::string> text = read_file(path.string());
    const auto made = profile::read_profile(text.value_or(""));
    if (!text || !made) {
      const Error& error = text ? made.error() : text.error();
      unknown.push_back({path.filename().string(), error.message});
      continue;
    }
    const std::string& endpoint = (*made)->schema->endpoint;
    if (!is_shown((*made)->schema->category)) continue;
    const Json json = profile::to_json(**made);
    const Json sizes = *json.find("size");
    items.push_back(Json::object({{"endpoint", Json::string(endpoint)}, {"profile", json}}));
    rows.push_back({endpoint, std::string((*made)->makes ? name_of(*(*made)->makes) : "nothing"),
                    pairs_text(*json.find("media")), pairs_text(sizes), roles_text(json),
                    own_inputs(**made, sizes)});
    if (std::string why = not_understood(**made); !why.empty())
      unknown.push_back({endpoint, std::move(why)});
  }
  show(line, surroundings, Json::object({{"profiles", Json::array(items)}}),
       fmt::format("{}\n{}\n{} of {} documents\n", table_text(rows), table_text(unknown),
                   unknown.size() - 1, paths.size()));
  return ExitStatus::done;
}

}  // namespace falproxy::app
