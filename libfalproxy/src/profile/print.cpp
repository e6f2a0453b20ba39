#include "base/enum_names.hpp"
#include "base/printer.hpp"
#include "falproxy/profile.hpp"

namespace falproxy::inline v0::profile {

std::string_view name_of(LengthUnit value) noexcept {
  constexpr std::string_view names[] = {"seconds", "milliseconds", "frames"};
  return name_at(names, value);
}

std::string_view name_of(SizeControl value) noexcept {
  constexpr std::string_view names[] = {"none", "image_size", "width_height", "aspect_ratio",
                                        "resolution"};
  return name_at(names, value);
}

std::ostream& operator<<(std::ostream& out, const MediaInput& input) {
  return Printer(out, "MediaInput")("path", input.path())("medium", input.medium)(
             "part", input.part)("required", input.required)("min_items", input.min_items)(
             "max_items", input.max_items)("most_used", input.most_used)("uses_last",
                                                                         input.uses_last)
      .end();
}

std::ostream& operator<<(std::ostream& out, const RoleInput& input) {
  return out << input.role << ": " << input.path;
}

std::ostream& operator<<(std::ostream& out, const Output& output) {
  return out << output.path << ": " << output.medium;
}

std::ostream& operator<<(std::ostream& out, const Profile& profile) {
  return out << "Profile" << to_json(profile);
}

std::ostream& operator<<(std::ostream& out, const Summary& summary) {
  return out << "Summary" << to_json(summary);
}

}  // namespace falproxy::inline v0::profile
