#include "media_store/media_names.hpp"

#include <algorithm>
#include <utility>

#include "base/text.hpp"

namespace falproxy::app {
namespace {

constexpr std::pair<std::string_view, std::string_view> endings[] = {
    {"image/png", "png"},        {"image/jpeg", "jpg"},  {"image/webp", "webp"},
    {"image/gif", "gif"},        {"image/avif", "avif"}, {"image/svg+xml", "svg"},
    {"video/mp4", "mp4"},        {"video/webm", "webm"}, {"video/quicktime", "mov"},
    {"audio/mpeg", "mp3"},       {"audio/wav", "wav"},   {"audio/flac", "flac"},
    {"audio/ogg", "ogg"},        {"audio/aac", "aac"},   {"audio/mp4", "m4a"},
    {"model/gltf-binary", "glb"}};

// Of a path: "a/b.PNG?x" has "png".
std::string ending_of(std::string_view address) {
  const std::string_view path = address.substr(0, address.find_first_of("?#"));
  const std::string_view name = path.substr(path.rfind('/') + 1);
  const std::size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return "";
  const std::string_view ending = name.substr(dot + 1);
  const bool fine = !ending.empty() && ending.size() <= 8 && std::ranges::all_of(ending, is_alnum);
  return fine ? to_lower(ending) : "";
}

std::string_view usual_ending(Medium medium) {
  switch (medium) {
    case Medium::image:
      return "png";
    case Medium::video:
      return "mp4";
    case Medium::audio:
      return "mp3";
    case Medium::mesh:
      return "glb";
    case Medium::text:
      return "txt";
    case Medium::archive:
      return "zip";
    case Medium::embedding:
      break;
  }
  return "bin";
}

}  // namespace

std::string plain_type(std::string_view content_type) {
  const std::string_view type = trim(content_type.substr(0, content_type.find(';')));
  const std::size_t slash = type.find('/');
  const bool fine = type.size() <= 100 && slash != std::string_view::npos &&
                    is_token(type.substr(0, slash)) && is_token(type.substr(slash + 1));
  return fine ? to_lower(type) : "";
}

std::string type_of_name(std::string_view name) {
  const std::string ending = ending_of(name);
  for (const auto& [type, known] : endings) {
    if (known == ending || (ending == "jpeg" && known == "jpg")) return std::string(type);
  }
  return "application/octet-stream";
}

std::string type_of_product(const Product& product) {
  const std::string_view front =
      product.content.empty() ? std::string_view() : product.content.pieces().front().bytes;
  if (std::string said = plain_type(product.content_type); !said.empty()) return said;
  constexpr std::string_view scheme = "data:";
  if (front.starts_with(scheme)) {
    return plain_type(front.substr(scheme.size(), front.find(',') - scheme.size()));
  }
  std::string type = type_of_name(product.content.str());
  if (type != "application/octet-stream") return type;
  return product.medium == Medium::video ? "video/mp4" : "";
}

std::string extension_of(const Product& product, std::string_view content_type) {
  const std::string plain = plain_type(content_type);
  for (const auto& [type, ending] : endings) {
    if (type == plain) return std::string(ending);
  }
  const std::string_view front =
      product.content.empty() ? std::string_view() : product.content.pieces().front().bytes;
  std::string ending = front.starts_with("http") ? ending_of(product.content.str()) : "";
  return ending.empty() ? std::string(usual_ending(product.medium)) : ending;
}

bool is_active(std::string_view content_type) {
  const std::string type = plain_type(content_type);
  return type == "image/svg+xml" || type == "text/html" || type == "application/xhtml+xml" ||
         type.ends_with("/xml") || type.ends_with("+xml") || type == "application/pdf";
}

bool is_shown(std::string_view content_type) {
  const std::string type = plain_type(content_type);
  return type.starts_with("image/") || type.starts_with("video/") || type.starts_with("audio/");
}

}  // namespace falproxy::app
