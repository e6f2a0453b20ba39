#include <algorithm>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "base/utf8.hpp"
#include "falproxy/openai.hpp"
#include "json/access.hpp"
#include "openai/fields.hpp"
#include "openai/pictures.hpp"
#include "openai/wording.hpp"

namespace falproxy::openai {
namespace {

using Raw = nlohmann::json;

// `image[]` and `image[3]` are `image`.
std::string_view without_brackets(std::string_view name) noexcept {
  if (!name.ends_with(']')) return name;
  const std::size_t open = name.rfind('[');
  if (open == std::string_view::npos || open == 0) return name;
  const std::string_view index = name.substr(open + 1, name.size() - open - 2);
  return std::ranges::all_of(index, is_digit) ? name.substr(0, open) : name;
}

// The value that the text of a form field stands for. Where it does not read as what the field
// takes, it stays text, and the check of types names it.
Raw value_of(std::string_view field, std::string_view text, const JsonLimits& limits) {
  const std::string_view word = trim(text);
  switch (form_of(field)) {
    case FieldForm::text:
      break;
    case FieldForm::integer: {
      if (Result<Raw> number = parse_raw(word, limits); number && number->is_number())
        return std::move(*number);
      break;
    }
    case FieldForm::boolean:
      if (equal_ignoring_case(word, "true") || word == "1") return true;
      if (equal_ignoring_case(word, "false") || word == "0") return false;
      break;
    case FieldForm::native: {
      if (Result<Raw> json = parse_raw(word, limits)) return std::move(*json);
      break;
    }
  }
  return std::string(text);
}

std::optional<Error> check_text(const FormPart& part, const RequestLimits& limits) {
  const std::string name = shown(is_utf8(part.name) ? part.name : "?");
  if (!is_utf8(part.name) || !is_utf8(part.bytes)) {
    return Error{ErrorKind::invalid_value, fmt::format("Invalid '{}': text must be UTF-8.", name),
                 name};
  }
  if (part.bytes.find('\0') != std::string_view::npos) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{}': text must not hold the character NUL.", name), name};
  }
  if (part.bytes.size() > limits.max_text_bytes) {
    return Error{
        ErrorKind::body_too_large,
        fmt::format("Invalid '{}': more than {} bytes of text.", name, limits.max_text_bytes),
        name};
  }
  return std::nullopt;
}

// Adds a text field to the members; `name[]` gathers an array.
std::optional<Error> add_text(const FormPart& part, const RequestLimits& limits, Raw& members) {
  if (auto fault = check_text(part, limits)) return fault;
  const bool gathers = part.name.size() > 2 && part.name.ends_with("[]");
  const std::string name = gathers ? part.name.substr(0, part.name.size() - 2) : part.name;
  const auto found = members.find(name);
  if (gathers) {
    Raw& elements = found == members.end() ? members[name] = Raw::array() : *found;
    if (!elements.is_array()) elements = Raw::array({std::move(elements)});
    elements.push_back(value_of(name, part.bytes, limits.json));
    return std::nullopt;
  }
  if (found != members.end()) {
    return Error{ErrorKind::invalid_value,
                 fmt::format("Invalid '{0}': the field '{0}' stands twice.", shown(name)),
                 shown(name)};
  }
  // An empty field of a form is one that nobody filled in.
  if (!part.bytes.empty()) members[name] = value_of(name, part.bytes, limits.json);
  return std::nullopt;
}

// A file, or text that is an address.
Result<ImageInput> read_picture(FormPart& part, std::string_view field,
                                const PictureReader& reader) {
  const bool text = !part.file_name.has_value() &&
                    (part.bytes.starts_with("http") || part.bytes.starts_with("data:"));
  if (text) return reader.from_text(std::string(trim(part.bytes)), field);
  return reader.from_bytes(std::move(part.owner), part.bytes, part.file_name.value_or(""), field);
}

}  // namespace

Result<ImageRequest> parse_form(ImageOperation operation, std::vector<FormPart> parts,
                                const RequestLimits& limits, const Codecs& codecs) {
  ImageRequest request{.operation = operation};
  const PictureReader reader(limits, codecs);
  Raw members = Raw::object();
  for (FormPart& part : parts) {
    const std::string_view field = without_brackets(part.name);
    const bool mask = field == "mask";
    if (mask || field == "image" || field == "images") {
      if (part.bytes.empty() && part.file_name.value_or("").empty())
        continue;  // a file field left empty
      Result<ImageInput> picture = read_picture(part, field, reader);
      if (!picture)
        return mask ? as_mask_fault(std::move(picture).error()) : std::move(picture).error();
      if (mask && request.mask.has_value()) {
        return Error{ErrorKind::invalid_mask, "Invalid mask image: there may be only one.", "mask"};
      }
      if (mask) {
        request.mask = std::move(*picture);
      } else {
        request.images.push_back(std::move(*picture));
      }
    } else if (part.file_name.has_value() && form_of(part.name) == FieldForm::native) {
      const std::string name = shown(is_utf8(part.name) ? part.name : "?");
      return Error{
          ErrorKind::unsupported_parameter,
          fmt::format("Unsupported parameter: '{}'. Files are taken in 'image' and 'mask'.", name),
          name};
    } else if (auto fault = add_text(part, limits, members)) {
      return std::move(*fault);
    }
  }
  if (auto fault = read_fields(members, limits, request)) return std::move(*fault);
  if (auto fault = reader.check(request)) return std::move(*fault);
  return request;
}

}  // namespace falproxy::openai
