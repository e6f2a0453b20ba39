#include <cstddef>
#include <ostream>

#include "falproxy/fal_desk.hpp"
#include "pictures.hpp"

namespace falproxy::inline v0::testing {
namespace {

template <class E, std::size_t size>
std::string_view name_at(const std::string_view (&names)[size], E value) noexcept {
  const auto place = static_cast<std::size_t>(value);
  return place < size ? names[place] : "?";
}

}  // namespace

std::string_view name_of(Validation value) noexcept {
  constexpr std::string_view names[] = {"result", "submit"};
  return name_at(names, value);
}

std::string_view name_of(DeskHost value) noexcept {
  constexpr std::string_view names[] = {"main", "run", "elsewhere"};
  return name_at(names, value);
}

std::string_view name_of(FalDesk::Admission value) noexcept {
  constexpr std::string_view names[] = {"read", "read_without_notice", "reset", "close"};
  return name_at(names, value);
}

std::string_view name_of(PictureFormat value) noexcept { return extension(value); }

std::ostream& operator<<(std::ostream& out, const SeenSubmit& submit) {
  return out << std::to_string(submit.status) << " for " << submit.endpoint << ": " << submit.input;
}

std::ostream& operator<<(std::ostream& out, const SeenUpload& upload) {
  return out << std::to_string(upload.bytes.size()) << " bytes of " << upload.content_type;
}

std::ostream& operator<<(std::ostream& out, const DeskStats& stats) {
  return out << to_json(stats);
}

std::ostream& operator<<(std::ostream& out, const Fault& fault) {
  return fault.name.empty() ? out << "a fault of the step " << fault.step : out << fault.name;
}

std::ostream& operator<<(std::ostream& out, const Picture& picture) {
  return out << file_suffix(picture);
}

}  // namespace falproxy::inline v0::testing
