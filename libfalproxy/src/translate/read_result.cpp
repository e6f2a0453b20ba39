#include <algorithm>
#include <array>

#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "falproxy/translate.hpp"
#include "json/access.hpp"
#include "translate/result_text.hpp"

namespace falproxy::translate {
namespace {

using Raw = nlohmann::json;

constexpr int deepest = 6;
// Members that hold the pictures, the likeliest first.
constexpr std::array<std::string_view, 14> picture_members = {
    "images",    "image",      "output",    "outputs", "result", "results", "data",
    "artifacts", "image_urls", "image_url", "urls",    "url",    "files",   "file",
};
// Members of an item with the address of its picture.
constexpr std::array<std::string_view, 4> address_members = {"url", "image_url", "data_uri", "uri"};
constexpr std::array<std::string_view, 3> svg_members = {"svg_content", "svg", "svg_code"};
constexpr std::array<std::string_view, 4> prompt_members = {"revised_prompt", "actual_prompt",
                                                            "expanded_prompt", "enhanced_prompt"};
constexpr std::array<std::string_view, 4> nsfw_members = {"has_nsfw_concepts", "has_nsfw_concept",
                                                          "nsfw_content_detected", "nsfw_content"};
// A whole picture in base64 without a data: prefix begins like this.
struct Base64Start {
  std::string_view start;
  std::string_view prefix;
};
constexpr std::array base64_starts = {
    Base64Start{"iVBORw0KGgo", "data:image/png;base64,"},
    Base64Start{"/9j/", "data:image/jpeg;base64,"},
    Base64Start{"UklGR", "data:image/webp;base64,"},
    Base64Start{"R0lGOD", "data:image/gif;base64,"},
};

bool is_http(std::string_view text) noexcept {
  return text.starts_with("https://") || text.starts_with("http://");
}

bool looks_like_svg(std::string_view text) noexcept {
  text = trim(text.substr(0, 4096));
  return text.starts_with("<svg") ||
         (text.starts_with("<?xml") && text.find("<svg") != std::string_view::npos);
}

// Base64 goes into an answer as it is, so nothing may stand in it that JSON would have to escape.
bool is_clean(std::string_view text) noexcept {
  unsigned bad = 0;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    bad |= static_cast<unsigned>(byte <= 0x20) | static_cast<unsigned>(byte >= 0x7f) |
           static_cast<unsigned>(c == '"') | static_cast<unsigned>(c == '\\');
  }
  return bad == 0;
}

// An address with blanks or letters beyond ASCII, made into one that every client understands; none
// where control characters stand in it.
std::optional<std::string> mended_address(std::string_view text) {
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string address;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f) return std::nullopt;
    if (byte > 0x20 && byte < 0x7f && c != '"' && c != '\\') {
      address += c;
    } else {
      address += {'%', hex[byte >> 4U], hex[byte & 15U]};
    }
  }
  return address;
}

std::optional<std::uint32_t> pixels(const Raw* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const auto number = value->get<double>();
  if (!(number >= 1) || number > 1e6) return std::nullopt;
  return static_cast<std::uint32_t>(number);
}

// A file that says that it is something else than a picture: a video, an archive.
bool is_other_media(const Raw& item) {
  const Raw* type = member_of(item, "content_type");
  if (type == nullptr || !type->is_string()) return false;
  const auto& text = type->get_ref<const std::string&>();
  return !text.empty() && !text.starts_with("image/") && text != "application/octet-stream" &&
         text != "binary/octet-stream";
}

class Reader {
 public:
  explicit Reader(const ResultText& text) : text_(text) {}

  [[nodiscard]] FalResult read() {
    const Raw& root = text_.root();
    FalResult result;
    result.images = find_images(root, 0);
    if (result.images.empty()) result.images = images_of(root, 0);
    read_nsfw(root, result);
    read_prompt(root, result);
    return result;
  }

 private:
  // The pictures of the likeliest member that has some.
  std::vector<FalImage> find_images(const Raw& value, int depth) {
    if (!value.is_object() || depth > deepest) return {};
    for (const std::string_view name : picture_members) {
      const Raw* found = member_of(value, name);
      if (found == nullptr) continue;
      std::vector<FalImage> images = images_of(*found, depth + 1);
      if (!images.empty()) return images;
    }
    // No name that is known: whatever holds pictures by the look of it, masks last.
    for (const bool masks : {false, true}) {
      for (const auto& [name, child] : value.items()) {
        if ((name.find("mask") != std::string::npos) != masks || !child.is_structured()) continue;
        std::vector<FalImage> images = images_of(child, depth + 1);
        if (!images.empty()) return images;
      }
    }
    return svg_of(value);
  }

  std::vector<FalImage> images_of(const Raw& value, int depth) {
    std::vector<FalImage> images;
    if (depth > deepest) return images;
    if (value.is_array()) {
      for (std::size_t place = 0; place < value.size(); ++place) {
        for (FalImage& image : images_of(value[place], depth + 1)) {
          image.place = place;
          images.push_back(std::move(image));
        }
      }
      return images;
    }
    if (value.is_string()) {
      if (std::optional<FalImage> image = from_text(value, {})) images.push_back(*std::move(image));
      return images;
    }
    if (!value.is_object() || is_other_media(value)) return images;
    if (std::optional<FalImage> image = from_item(value)) {
      images.push_back(*std::move(image));
      return images;
    }
    return find_images(value, depth + 1);
  }

  std::optional<FalImage> from_item(const Raw& item) {
    std::string content_type;
    if (const Raw* type = member_of(item, "content_type"); type != nullptr && type->is_string()) {
      content_type = type->get<std::string>();
    }
    for (const std::string_view name : address_members) {
      const Raw* address = member_of(item, name);
      if (address == nullptr || !address->is_string()) continue;
      std::optional<FalImage> image = from_text(*address, content_type);
      if (!image) continue;
      image->width = pixels(member_of(item, "width"));
      image->height = pixels(member_of(item, "height"));
      return image;
    }
    std::vector<FalImage> svg = svg_of(item);
    return svg.empty() ? std::nullopt : std::optional(std::move(svg.front()));
  }

  std::vector<FalImage> svg_of(const Raw& object) {
    std::vector<FalImage> images;
    for (const std::string_view name : svg_members) {
      const Raw* svg = member_of(object, name);
      if (svg == nullptr || !svg->is_string() || !images.empty()) continue;
      if (std::optional<FalImage> image = from_text(*svg, {}); image && image->svg)
        images.push_back(*std::move(image));
    }
    return images;
  }

  std::optional<FalImage> from_text(const Raw& string, std::string content_type) {
    const Piece text = text_.text(string);
    FalImage image;
    image.content_type = std::move(content_type);
    if (looks_like_svg(text.bytes)) {
      image.svg = std::string(text.bytes);
      image.content_type = media::mime_type(media::ImageType::svg);
      return image;
    }
    const bool clean = is_clean(text.bytes);
    if (is_http(text.bytes)) {
      std::optional<std::string> mended = clean ? std::nullopt : mended_address(text.bytes);
      if (!clean && !mended) return std::nullopt;
      clean ? image.url.append(text) : image.url.append(*std::move(mended));
      return image;
    }
    if (!clean) return std::nullopt;
    for (const auto& [start, prefix] : base64_starts) {
      if (!text.bytes.starts_with(start)) continue;
      image.url.append(Piece{nullptr, prefix});
      image.content_type = prefix.substr(5, prefix.find(';') - 5);
    }
    if (image.url.empty()) {
      const std::optional<media::DataUri> data = media::parse_data_uri(text.bytes);
      if (!data || !data->mime.starts_with("image/")) return std::nullopt;
      image.content_type = data->mime;
    }
    image.url.append(text);
    image.is_data_uri = true;
    return image;
  }

  static void read_nsfw(const Raw& root, FalResult& result) {
    for (const std::string_view name : nsfw_members) {
      const Raw* flags = member_of(root, name);
      if (flags == nullptr || !result.nsfw.empty()) continue;
      if (flags->is_boolean()) result.nsfw.assign(result.images.size(), flags->get<bool>());
      if (!flags->is_array()) continue;
      for (const FalImage& image : result.images) {
        const Raw* flag = image.place < flags->size() ? &(*flags)[image.place] : nullptr;
        result.nsfw.push_back(flag != nullptr && flag->is_boolean() && flag->get<bool>());
      }
    }
  }

  void read_prompt(const Raw& root, FalResult& result) const {
    for (const std::string_view name : prompt_members) {
      const Raw* prompt = member_of(root, name);
      if (prompt == nullptr || !prompt->is_string()) continue;
      const std::string text(text_.text(*prompt).bytes);
      for (FalImage& image : result.images) image.revised_prompt = text;
      return;
    }
  }

  const ResultText& text_;
};

}  // namespace

Result<FalResult> read_result(std::shared_ptr<const std::string> body) {
  Result<ResultText> text = ResultText::parse(std::move(body));
  if (!text) {
    return Error{ErrorKind::upstream_failed, "fal's result is not JSON: " + text.error().message};
  }
  FalResult result = Reader(*text).read();
  if (result.images.empty()) {
    return Error{ErrorKind::no_image, "The model finished, but its result holds no picture."};
  }
  return result;
}

std::optional<Body> base64_of(const FalImage& image) {
  if (!image.is_data_uri || image.url.pieces().empty()) return std::nullopt;
  const std::vector<Piece>& pieces = image.url.pieces();
  const Piece& last = pieces.back();
  if (pieces.size() > 1) {
    Body body;
    body.append(last);
    return body;
  }
  const std::optional<media::DataUri> data = media::parse_data_uri(last.bytes);
  if (!data) return std::nullopt;
  Body body;
  body.append(Piece{last.owner, data->base64});
  return body;
}

}  // namespace falproxy::translate
