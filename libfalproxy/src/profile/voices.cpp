#include "falproxy/profile.hpp"
#include "profile/shapes.hpp"

namespace falproxy::inline v0::profile {

std::vector<std::string> voices_of(const Profile& profile) {
  std::vector<std::string> voices;
  const RoleInput* input = profile.find(Role::voice);
  if (input == nullptr) return voices;
  const auto add = [&](const Json& value) {
    if (const auto name = value.as_string(); name && !name->empty()) voices.emplace_back(*name);
  };
  for_each_listed(*input->field, add);
  if (!voices.empty()) return voices;
  for (const Json& example : input->field->examples) {
    add(example);
    for (const Json& element : example.elements()) add(element);
  }
  return voices;
}

}  // namespace falproxy::inline v0::profile
