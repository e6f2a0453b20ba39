#include "surfaces/openai_images/pictures.hpp"

#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/pointer.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "surfaces/openai_images/fields.hpp"
#include "wish/files.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::openai {

using namespace wording;
namespace {

using media::ImageType;
using Raw = nlohmann::json;

bool is_supported(std::optional<ImageType> type) noexcept {
  return type.has_value() && type != ImageType::svg;
}

// The forgiving base64 of WHATWG's Infra standard, and the letters of addresses (RFC 4648, 5), as
// Codecs takes it. Empty: it cannot be base64.
std::string plain_base64(std::string_view text) {
  std::string plain;
  plain.reserve(text.size() + 3);
  for (const char c : text) {
    if (is_blank(c) || c == '\f') continue;
    plain += c == '-' ? '+' : c == '_' ? '/' : c;
  }
  for (int padding = 0; padding < 2 && plain.ends_with('='); ++padding) plain.pop_back();
  if (plain.size() % 4 == 1) return {};
  plain.append((4 - plain.size() % 4) % 4, '=');
  return plain;
}

// As browsers write it: without blanks around it or a fragment, with escapes for what may not stand
// in it. None: it is no address.
std::optional<std::string> tidy_address(std::string_view text) {
  std::string address(trim(text.substr(0, text.find('#'))));
  std::erase_if(address, [](char c) { return c == '\t' || c == '\r' || c == '\n'; });
  address = percent_encode(address, "%!$&'()*+,/:;=?@[]|^`{}");
  const std::optional<Url> url = Url::parse(address);
  if (!url.has_value()) return std::nullopt;
  return address.replace(0, url->scheme.size(), url->scheme);
}

Error not_whole(std::string_view field, std::string_view bytes) {
  std::string name(media::name_of(*media::sniff(bytes)));
  std::ranges::transform(name, name.begin(),
                         [](char c) { return static_cast<char>(c - 'a' + 'A'); });
  return {
      ErrorKind::unsupported_file,
      fmt::format("Invalid file '{}': it is not a whole {}; its beginning or its end is missing. "
                  "Send the file again.",
                  field, name),
      std::string(field)};
}

// "mask", "mask[0].image_url".
bool is_mask(std::string_view field) noexcept {
  return field.substr(0, field.find_first_of(".[")) == "mask";
}

// Takes the pictures that stand as data URLs in one of the model's own fields, however deep. A
// model may take sounds and files as well, which are no affair of falproxy's.
class Attacher {
 public:
  Attacher(const std::string& field, const PictureReader& reader, Wish& request)
      : field_(field), reader_(reader), request_(request) {}

  std::optional<Error> take(Raw& value) {
    std::optional<Error> fault;
    if (value.is_string()) return take_text(value);
    const std::size_t length = path_.size();
    std::size_t position = 0;
    for (auto one = value.begin(); one != value.end() && !fault; ++one) {
      if (!one->is_structured() && !one->is_string()) {
        ++position;
        continue;
      }
      if (value.is_array()) {
        append_step(path_, position++);
      } else {
        append_step(path_, one.key());
      }
      fault = take(*one);
      path_.resize(length);
    }
    return fault;
  }

 private:
  std::optional<Error> take_text(Raw& value) {
    const std::string& text = value.get_ref<const std::string&>();
    if (!is_data_url(text) || !reader_.is_picture(text)) return std::nullopt;
    if (!reader_.has_room(request_)) return too_many();
    Result<InputFile> picture = reader_.from_text(text, shown(field_));
    if (!picture) return std::move(picture).error();
    value = "data:(picture)";
    request_.attached.push_back({field_, path_, *std::move(picture)});
    return std::nullopt;
  }

  Error too_many() const {
    return {
        ErrorKind::invalid_value,
        fmt::format("Invalid '{}': too many pictures. A request may have at most {}, in all its "
                    "fields together.",
                    shown(field_), request_.images.size() + request_.attached.size()),
        shown(field_)};
  }

  const std::string& field_;
  const PictureReader& reader_;
  Wish& request_;
  std::string path_;
};

}  // namespace

std::optional<Error> attach_pictures(Raw& members, const PictureReader& reader, Wish& request) {
  for (auto member = members.begin(); member != members.end(); ++member) {
    if (form_of(member.key(), request.makes) != FieldForm::native) continue;
    if (!member->is_structured() && !member->is_string()) continue;
    if (auto fault = Attacher(member.key(), reader, request).take(*member)) return fault;
  }
  return std::nullopt;
}

Result<InputFile> PictureReader::from_text(std::string_view text, std::string_view field) const {
  const std::string_view trimmed = trim(text);
  if (is_data_url(trimmed)) return from_data_url(trimmed, field);
  if (trimmed.find("://") != std::string_view::npos) {
    if (std::optional<std::string> address = tidy_address(trimmed))
      return InputFile{.url = *std::move(address)};
  } else {
    const Result<Owned> bytes = decode(trimmed, field);
    if (bytes && media::mime_type(**bytes) != "application/octet-stream")
      return from_bytes(*bytes, **bytes, {}, field);
    if (!bytes && bytes.error().kind != ErrorKind::invalid_value) return bytes.error();
  }
  return Error{ErrorKind::invalid_value,
               fmt::format("Invalid value for '{}': '{}' is neither a plain http(s) address nor "
                           "a data URL such as "
                           "'data:image/png;base64,...'.",
                           field, shown(text)),
               std::string(field)};
}

std::optional<Error> PictureReader::check_number(std::size_t images) const {
  if (images <= limits_.max_input_images) return std::nullopt;
  return Error{
      ErrorKind::invalid_value,
      fmt::format(
          "Invalid 'image': array too long. Expected an array with maximum length {}, but got an "
          "array with length {} instead.",
          limits_.max_input_images, images),
      "image"};
}

bool PictureReader::has_room(const Wish& request) const noexcept {
  return request.images.size() + request.attached.size() < limits_.max_input_images;
}

bool PictureReader::is_picture(std::string_view data_url) const {
  const std::optional<media::DataUri> uri = media::parse_data_uri(data_url);
  if (!uri.has_value()) return false;
  if (is_supported(media::from_mime(uri->mime))) return true;
  // Whatever it is called: as much as tells the types apart, and no half of an escape.
  std::string_view begin = uri->base64.substr(0, 2048);
  if (const std::size_t escape = begin.rfind('%');
      escape != std::string_view::npos && escape + 3 > begin.size())
    begin = begin.substr(0, escape);
  const std::string first = plain_base64(percent_decode(begin).value_or(std::string()));
  const auto bytes = codecs_.decode_base64(std::string_view(first).substr(0, 344));
  return bytes.has_value() && is_supported(media::sniff(*bytes));
}

Result<InputFile> PictureReader::from_data_url(std::string_view text,
                                               std::string_view field) const {
  const std::optional<media::DataUri> uri = media::parse_data_uri(text);
  if (!uri.has_value()) return no_base64(field);
  std::optional<std::string> unescaped;
  MemoryShare share(memory_);
  if (uri->base64.find('%') != std::string_view::npos) {
    if (!share.resize(uri->base64.size())) return no_memory_left();
    unescaped = percent_decode(uri->base64);
  }
  const Result<Owned> bytes = decode(unescaped ? *unescaped : uri->base64, field);
  if (!bytes) return bytes.error();
  return from_bytes(*bytes, **bytes, {}, field);
}

Result<PictureReader::Owned> PictureReader::decode(std::string_view text,
                                                   std::string_view field) const {
  MemoryShare share(memory_);
  if (!share.resize(2 * text.size())) return no_memory_left();
  const std::string base64 = plain_base64(text);
  if (base64.size() / 4 * 3 > limits_.max_upload_bytes + 2)
    return picture_too_large(field, limits_.max_upload_bytes);
  std::optional<std::string> bytes = codecs_.decode_base64(base64);
  if (!bytes.has_value() || bytes->empty()) return no_base64(field);
  share.charge_to(bytes->size());
  return counted(*std::move(bytes), std::move(share));
}

Error PictureReader::no_base64(std::string_view field) {
  return {ErrorKind::invalid_value,
          fmt::format("Invalid value for '{}': a data URL must look like "
                      "'data:image/png;base64,...' and hold base64.",
                      field),
          std::string(field)};
}

Result<InputFile> PictureReader::from_bytes(std::shared_ptr<const std::string> owner,
                                            std::string_view bytes, std::string name,
                                            std::string_view field) const {
  if (bytes.size() > limits_.max_upload_bytes)
    return picture_too_large(field, limits_.max_upload_bytes);
  if (is_mask(field) && media::sniff(bytes) != ImageType::png)
    return bad_mask("it must be a PNG file");
  if (bytes.empty()) {
    return Error{ErrorKind::unsupported_file,
                 fmt::format("Invalid file '{}': it is empty. Send the picture itself.", field),
                 std::string(field)};
  }
  if (!is_supported(media::sniff(bytes))) return unsupported_file(field, media::mime_type(bytes));
  if (!media::is_whole(bytes)) {
    return is_mask(field) ? bad_mask("the PNG file is broken: its beginning or its end is missing")
                          : not_whole(field, bytes);
  }
  return InputFile{.owner = std::move(owner), .bytes = bytes, .name = std::move(name)};
}

std::string_view without_brackets(std::string_view name) noexcept {
  if (!name.ends_with(']')) return name;
  const std::size_t open = name.rfind('[');
  if (open == std::string_view::npos || open == 0) return name;
  const std::string_view index = name.substr(open + 1, name.size() - open - 2);
  // An object's member, as SDKs write it into forms.
  const bool is_member = index == "image_url" || index == "url" || index == "file_id";
  return std::ranges::all_of(index, is_digit) || is_member ? name.substr(0, open) : name;
}

bool is_picture_field(std::string_view field) noexcept {
  return field == "image" || field == "images" || field == "image_url" || field == "mask" ||
         field == "input_reference";
}

Error no_field_for_files(std::string_view name) {
  const std::string field = shown_name(name);
  return {ErrorKind::unsupported_parameter,
          fmt::format("Unsupported parameter: '{}'. Files are taken in 'image' and 'mask'.", field),
          field};
}

Error picture_too_large(std::string_view field, std::size_t most) {
  return {ErrorKind::body_too_large,
          fmt::format("Invalid file '{}': it has more than the {} bytes that a picture may have.",
                      field, most),
          std::string(field)};
}

Error too_much_text(std::string_view name, std::size_t most) {
  const std::string field = shown_name(name);
  return {ErrorKind::body_too_large,
          fmt::format("Invalid '{}': the form has more than {} bytes of text.", field, most),
          field};
}

std::optional<Error> PictureReader::check(const Wish& request) const {
  const bool has_own = std::ranges::any_of(
      request.native, [&](const auto& field) { return holds_picture(request, field); });
  const bool has_picture = has_own || !request.images.empty();
  if (request.mask.has_value() && !has_picture)
    return bad_mask("there is a mask, but no image that it belongs to");
  if (request.intent != Intent::generation && !has_picture) return missing_parameter("image");
  if (request.intent == Intent::generation && !has_picture && !request.prompt.has_value()) {
    return missing_parameter("prompt");
  }
  // Of several it takes the model's document to know which one the mask belongs to.
  if (!request.mask.has_value() || has_own || request.images.size() != 1) return std::nullopt;
  return check_mask_size(request.mask->bytes, request.images.front().bytes);
}

}  // namespace falproxy::inline v0::openai
