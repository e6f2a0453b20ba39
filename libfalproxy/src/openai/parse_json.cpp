#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "openai/fields.hpp"
#include "openai/pictures.hpp"
#include "openai/wording.hpp"

namespace falproxy::openai {
namespace {

using Raw = nlohmann::json;

Error unreadable(std::string_view why, std::string field) {
  return {ErrorKind::invalid_json,
          fmt::format("We could not parse the JSON body of your request: {}. (HINT: the body must "
                      "be a JSON object, "
                      "sent with the header 'Content-Type: application/json'.)",
                      why),
          std::move(field)};
}

std::string_view name_of_type(const Raw& value) {
  if (value.is_array()) return "an array";
  if (value.is_string()) return "a string";
  if (value.is_number()) return "a number";
  return value.is_boolean() ? "a boolean" : "null";
}

bool is_data_url(std::string_view text) noexcept {
  return equal_ignoring_case(text.substr(0, 5), "data:");
}
bool has_nul(std::string_view text) noexcept { return text.find('\0') != std::string_view::npos; }

// What a look at every string of a value brings; the parse has bounded depth and number.
struct Strings {
  std::size_t data_url_bytes = 0;
  bool nul = false;
};
void look_at(const Raw& value, Strings& strings) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (is_data_url(text)) strings.data_url_bytes += text.size();
    strings.nul = strings.nul || has_nul(text);
  } else if (value.is_array()) {
    for (const Raw& element : value) look_at(element, strings);
  } else if (value.is_object()) {
    for (auto member = value.begin(); member != value.end(); ++member) {
      strings.nul = strings.nul || has_nul(member.key());
      look_at(*member, strings);
    }
  }
}

std::optional<Error> check_strings(const Raw& members, std::size_t body_size,
                                   const RequestLimits& limits) {
  std::size_t data_url_bytes = 0;
  for (auto member = members.begin(); member != members.end(); ++member) {
    Strings strings;
    look_at(*member, strings);
    if (strings.nul || has_nul(member.key())) {
      const std::string name = shown(member.key());
      return Error{ErrorKind::invalid_value,
                   fmt::format("Invalid '{}': text must not hold the character NUL.", name), name};
    }
    data_url_bytes += strings.data_url_bytes;
  }
  if (body_size - std::min(body_size, data_url_bytes) <= limits.max_text_bytes) return std::nullopt;
  return Error{ErrorKind::body_too_large,
               fmt::format("The request body holds more than {} bytes besides pictures.",
                           limits.max_text_bytes)};
}

// The one member of `value` that says where the picture is; null: none does.
Raw* address_in(Raw& value, std::string& field) {
  for (const char* name : {"image_url", "url"}) {
    const auto found = value.find(name);
    if (found == value.end() || found->is_null()) continue;
    field += std::string(".") + name;
    return found->is_object() ? address_in(*found, field) : &*found;
  }
  return nullptr;
}

Result<ImageInput> read_picture(Raw& value, std::string field, const PictureReader& reader) {
  Raw* address = &value;
  if (value.is_object()) {
    if (const auto id = value.find("file_id"); id != value.end() && !id->is_null()) {
      return Error{ErrorKind::unsupported_parameter,
                   fmt::format("Unsupported parameter: '{0}.file_id'. No files are kept here; send "
                               "'{0}.image_url' with "
                               "an https address or a data URL instead.",
                               field),
                   field + ".file_id"};
    }
    address = address_in(value, field);
    if (address == nullptr) return missing_parameter(field + ".image_url");
  }
  if (!address->is_string()) {
    return invalid_type(field, "a string or an object with 'image_url'",
                        Json::Access::wrap(std::move(*address)));
  }
  return reader.from_text(std::move(address->get_ref<std::string&>()), field);
}

// Moves the pictures that stand in `members` under `name`, one or an array of them, to the end of
// `pictures`.
std::optional<Error> take_pictures(Raw& members, const std::string& name,
                                   const PictureReader& reader, std::vector<ImageInput>& pictures) {
  const auto found = members.find(name);
  if (found == members.end()) return std::nullopt;
  Raw value = std::move(*found);
  members.erase(found);
  if (value.is_null() || value == "") return std::nullopt;
  const bool several = value.is_array();
  const std::size_t count = several ? value.size() : 1;
  for (std::size_t i = 0; i < count; ++i) {
    Result<ImageInput> picture = read_picture(
        several ? value[i] : value, several ? fmt::format("{}[{}]", name, i) : name, reader);
    if (!picture) return std::move(picture).error();
    pictures.push_back(std::move(*picture));
  }
  return std::nullopt;
}

std::optional<Error> take_mask(Raw& members, const PictureReader& reader, ImageRequest& request) {
  std::vector<ImageInput> masks;
  std::optional<Error> fault = take_pictures(members, "mask", reader, masks);
  if (fault.has_value()) return as_mask_fault(std::move(*fault));
  if (masks.size() > 1)
    return Error{ErrorKind::invalid_mask, "Invalid mask image: there may be only one.", "mask"};
  if (!masks.empty()) request.mask = std::move(masks.front());
  return std::nullopt;
}

}  // namespace

Result<ImageRequest> parse_json(ImageOperation operation, std::string_view body,
                                const RequestLimits& limits, const Codecs& codecs) {
  if (trim(body).empty()) return unreadable("it is empty", {});
  JsonLimits json_limits = limits.json;
  json_limits.unique_names = true;
  Result<Raw> members = parse_raw(body, json_limits);
  if (!members) return unreadable(members.error().message, members.error().field);
  if (!members->is_object()) return unreadable(fmt::format("it is {}", name_of_type(*members)), {});
  if (auto fault = check_strings(*members, body.size(), limits)) return std::move(*fault);

  ImageRequest request{.operation = operation};
  const PictureReader reader(limits, codecs);
  for (const char* name : {"image", "images"}) {
    if (auto fault = take_pictures(*members, name, reader, request.images))
      return std::move(*fault);
  }
  // A model's own input in other requests.
  if (operation != ImageOperation::generation && request.images.empty()) {
    if (auto fault = take_pictures(*members, "image_url", reader, request.images))
      return std::move(*fault);
  }
  if (auto fault = take_mask(*members, reader, request)) return std::move(*fault);
  if (auto fault = read_fields(*members, limits, request)) return std::move(*fault);
  if (auto fault = reader.check(request)) return std::move(*fault);
  return request;
}

}  // namespace falproxy::openai
