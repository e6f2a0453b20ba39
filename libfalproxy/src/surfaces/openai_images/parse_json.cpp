#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "surfaces/openai_images/fields.hpp"
#include "surfaces/openai_images/members.hpp"
#include "surfaces/openai_images/pictures.hpp"
#include "wish/files.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
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

bool has_nul(std::string_view text) noexcept { return text.find('\0') != std::string_view::npos; }

// What a look at every string of a value brings; the parse has bounded depth and number.
struct Strings {
  bool picture = false;  // all text is a picture's, or its address
  std::size_t picture_bytes = 0;
  bool nul = false;
};
void look_at(const Raw& value, Strings& strings) {
  if (value.is_string()) {
    const std::string& text = value.get_ref<const std::string&>();
    if (strings.picture || is_data_url(text)) strings.picture_bytes += text.size();
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

// The one member of `value` that says where the picture is; null: none does.
Raw* address_in(Raw& value, std::string& field) {
  for (const char* name : {"image_url", "url", "b64_json"}) {
    const auto found = value.find(name);
    if (found == value.end() || found->is_null()) continue;
    field += std::string(".") + name;
    return found->is_object() ? address_in(*found, field) : &*found;
  }
  return nullptr;
}

Result<InputFile> read_picture(Raw& value, std::string field, const PictureReader& reader) {
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
  return reader.from_text(address->get_ref<const std::string&>(), field);
}

Result<InputFile> checked(const InputFile& picture, std::string_view field,
                          const PictureReader& reader) {
  if (!picture.url.empty()) return reader.from_text(picture.url, field);
  return reader.from_bytes(picture.owner, picture.bytes, picture.name, field);
}

}  // namespace

Result<Raw> parse_members(std::string_view body, const RequestLimits& limits) {
  if (trim(body).empty()) return unreadable("it is empty", {});
  JsonLimits json_limits = limits.json;
  json_limits.unique_names = true;
  Result<Raw> members = parse_raw(body, json_limits);
  if (!members) return unreadable(members.error().message, members.error().field);
  if (!members->is_object()) return unreadable(fmt::format("it is {}", name_of_type(*members)), {});
  return members;
}

std::optional<Error> check_strings(const Raw& members, std::size_t body_size,
                                   const RequestLimits& limits) {
  std::size_t picture_bytes = 0;
  for (auto member = members.begin(); member != members.end(); ++member) {
    Strings strings{.picture = is_picture_field(member.key())};
    look_at(*member, strings);
    if (strings.nul || has_nul(member.key())) {
      const std::string name = shown(member.key());
      return Error{ErrorKind::invalid_value,
                   fmt::format("Invalid '{}': text must not hold the character NUL.", name), name};
    }
    picture_bytes += strings.picture_bytes;
  }
  if (body_size - std::min(body_size, picture_bytes) <= limits.max_text_bytes) return std::nullopt;
  return Error{ErrorKind::body_too_large,
               fmt::format("The request body holds more than {} bytes besides pictures.",
                           limits.max_text_bytes)};
}

std::optional<Error> take_pictures(Raw& members, const std::string& name,
                                   const PictureReader& reader, Wish& request) {
  const auto found = members.find(name);
  if (found == members.end()) return std::nullopt;
  Raw value = std::move(*found);
  members.erase(found);
  if (value.is_null() || value == "") return std::nullopt;
  const bool several = value.is_array();
  const std::size_t count = several ? value.size() : 1;
  const bool mask = name == "mask";
  if (mask && count > 1)
    return Error{ErrorKind::invalid_mask, "Invalid mask image: there may be only one.", "mask"};
  if (auto fault = mask ? std::nullopt : reader.check_number(request.images.size() + count))
    return fault;
  for (std::size_t i = 0; i < count; ++i) {
    Result<InputFile> picture = read_picture(
        several ? value[i] : value, several ? fmt::format("{}[{}]", name, i) : name, reader);
    if (!picture) return std::move(picture).error();
    if (mask) {
      request.mask = *std::move(picture);
    } else {
      request.images.push_back(*std::move(picture));
    }
  }
  return std::nullopt;
}

std::optional<Error> read_rest(Raw& members, const PictureReader& reader,
                               const RequestLimits& limits, Wish& request) {
  if (auto fault = attach_pictures(members, reader, request)) return fault;
  if (auto fault = read_fields(members, limits, request)) return fault;
  return reader.check(request);
}

Result<Wish> parse_json(Intent intent, std::string_view body, const RequestLimits& limits,
                        const Codecs& codecs, MemoryBudget* memory, Medium makes) {
  Result<Raw> members = parse_members(body, limits);
  if (!members) return std::move(members).error();
  if (auto fault = check_strings(*members, body.size(), limits)) return std::move(*fault);

  Wish request{.makes = makes, .intent = intent};
  const PictureReader reader(limits, codecs, memory);
  for (const char* name : {"image", "images", "input_reference"}) {
    if (auto fault = take_pictures(*members, name, reader, request)) return std::move(*fault);
  }
  // A model's own input in other requests.
  if (intent != Intent::generation && request.images.empty()) {
    if (auto fault = take_pictures(*members, "image_url", reader, request))
      return std::move(*fault);
  }
  if (auto fault = take_pictures(*members, "mask", reader, request)) return std::move(*fault);
  if (auto fault = read_rest(*members, reader, limits, request)) return std::move(*fault);
  return request;
}

Result<Wish> make_request(Intent intent, const Json& fields, const std::vector<InputFile>& images,
                          const std::optional<InputFile>& mask, const RequestLimits& limits,
                          const Codecs& codecs) {
  Raw members = Json::Access::raw(fields);
  if (!members.is_object()) return invalid_type("fields", "an object", fields);
  if (auto fault = check_strings(members, 0, limits)) return std::move(*fault);
  Wish request{.intent = intent};
  const PictureReader reader(limits, codecs, nullptr);
  if (auto fault = reader.check_number(images.size())) return std::move(*fault);
  for (std::size_t i = 0; i < images.size(); ++i) {
    Result<InputFile> picture = checked(images[i], fmt::format("images[{}]", i), reader);
    if (!picture) return std::move(picture).error();
    request.images.push_back(*std::move(picture));
  }
  if (mask.has_value()) {
    Result<InputFile> picture = checked(*mask, "mask", reader);
    if (!picture) return std::move(picture).error();
    request.mask = *std::move(picture);
  }
  if (auto fault = read_rest(members, reader, limits, request)) return std::move(*fault);
  return request;
}

}  // namespace falproxy::inline v0::openai
