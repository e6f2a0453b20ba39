#include <algorithm>
#include <array>

#include "base/fmt.hpp"
#include "base/text.hpp"
#include "falproxy/media.hpp"
#include "falproxy/plan.hpp"
#include "json/access.hpp"
#include "plan/beside.hpp"
#include "plan/read_transcript.hpp"
#include "plan/result_text.hpp"
#include "profile/vocabulary.hpp"
#include "wish/wording.hpp"

namespace falproxy::inline v0::plan {
namespace {

using Raw = nlohmann::json;

constexpr int deepest = 6;

const profile::Words& members(std::string_view list) { return profile::words("outputs", list); }

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

std::optional<double> seconds(const Raw* value) {
  if (value == nullptr || !value->is_number()) return std::nullopt;
  const auto number = value->get<double>();
  if (!(number > 0) || number > 1e6) return std::nullopt;
  return number;
}

// "image/", "video/"; empty: what is said of the file's type does not matter.
std::string_view mime_prefix(Medium medium) noexcept {
  switch (medium) {
    case Medium::image:
      return "image/";
    case Medium::video:
      return "video/";
    case Medium::audio:
      return "audio/";
    case Medium::text:
    case Medium::archive:
    case Medium::embedding:
    case Medium::mesh:
      break;
  }
  return "";
}

std::string_view content_type_of(const Raw& item) {
  const Raw* type = member_of(item, "content_type");
  return type != nullptr && type->is_string()
             ? std::string_view(type->get_ref<const std::string&>())
             : std::string_view();
}

// By what it says of itself, or by how its address ends.
bool is_surely_picture(const ResultFile& image) {
  if (image.is_data_uri || image.svg || (image.width && image.height)) return true;
  if (image.content_type.starts_with("image/")) return true;
  const std::string address = image.url.str();
  const std::string_view path = std::string_view(address).substr(0, address.find_first_of("?#"));
  const std::size_t dot = path.rfind('.');
  return dot != std::string_view::npos && media::from_name(path.substr(dot + 1)).has_value();
}

bool has_usual_name(const Raw& value) {
  return std::ranges::any_of(members("image"), [&](const profile::Word& name) {
    return member_of(value, name.text) != nullptr;
  });
}

// What the model says instead of making a picture.
std::string explanation_in(const Raw& root) {
  for (const profile::Word& word : members("explanation")) {
    const std::string text = text_of(root, word.text);
    if (!text.empty()) return fmt::format(" It says: \"{}\"", wording::shown(text));
  }
  return "";
}

class Reader {
 public:
  Reader(const ResultText& text, Medium medium)
      : text_(text), medium_(medium), mime_(mime_prefix(medium)) {}

  [[nodiscard]] JobResult read(const std::vector<std::string>& places) {
    const Raw& root = text_.root();
    JobResult result;
    for (const std::string& place : places) {
      if (result.images.empty()) result.images = images_at(root, place, 0);
    }
    if (medium_ != Medium::image) {
      if (result.images.empty()) result.images = find_typed(root, 0);
      if (medium_ == Medium::video) read_thumbnail(result);
      return result;
    }
    if (result.images.empty()) result.images = find_images(root, 0);
    if (result.images.empty()) result.images = images_of(root, 0);
    read_nsfw(root, result);
    read_prompt(root, result);
    return result;
  }

 private:
  // At a path such as "images[].url" or "render.frame".
  std::vector<ResultFile> images_at(const Raw& value, std::string_view path, int depth) {
    const std::size_t dot = std::min(path.find('.'), path.size());
    std::string_view step = path.substr(0, dot);
    const std::string_view rest = path.substr(std::min(dot + 1, path.size()));
    if (step.ends_with("[]")) step.remove_suffix(2);
    const Raw* child = member_of(value, step);
    if (child == nullptr || depth > deepest) return {};
    // What an item says of itself stands beside its address.
    if (rest.empty() || members("address").has(rest)) return images_of(*child, depth + 1);
    if (!child->is_array()) return images_at(*child, rest, depth + 1);
    return in_each(*child, [&](const Raw& item) { return images_at(item, rest, depth + 1); });
  }

  template <class F>
  static std::vector<ResultFile> in_each(const Raw& array, F&& images_in) {
    std::vector<ResultFile> images;
    for (std::size_t place = 0; place < array.size(); ++place) {
      for (ResultFile& image : images_in(array[place])) {
        image.place = place;
        images.push_back(std::move(image));
      }
    }
    return images;
  }

  // A file that says that it is something else: a video where pictures are looked for.
  [[nodiscard]] bool is_other_media(const Raw& item) const {
    const std::string_view type = content_type_of(item);
    return !type.empty() && !type.starts_with(mime_) && type != "application/octet-stream" &&
           type != "binary/octet-stream";
  }

  // Whatever says of itself that it is of the medium, wherever it stands.
  std::vector<ResultFile> find_typed(const Raw& value, int depth) {
    std::vector<ResultFile> files;
    if (!value.is_structured() || depth > deepest || mime_.empty()) return files;
    if (value.is_object() && content_type_of(value).starts_with(mime_)) {
      if (std::optional<ResultFile> file = from_item(value)) return {*std::move(file)};
    }
    for (const Raw& child : value) {
      for (ResultFile& file : find_typed(child, depth + 1)) files.push_back(std::move(file));
    }
    return files;
  }

  // The pictures of the likeliest member that has some.
  std::vector<ResultFile> find_images(const Raw& value, int depth) {
    if (!value.is_object() || depth > deepest) return {};
    for (const profile::Words* list : {&members("image"), &members("address")}) {
      for (const profile::Word& name : *list) {
        const Raw* found = member_of(value, name.text);
        if (found == nullptr) continue;
        std::vector<ResultFile> images = images_of(*found, depth + 1);
        if (!images.empty()) return images;
      }
    }
    // No name that is known: whatever holds what must be pictures, masks last.
    for (const bool masks : {false, true}) {
      for (const auto& [name, child] : value.items()) {
        if ((name.find("mask") != std::string::npos) != masks || !child.is_structured()) continue;
        std::vector<ResultFile> images = images_of(child, depth + 1);
        if (!has_usual_name(child))
          std::erase_if(images, [](const ResultFile& image) { return !is_surely_picture(image); });
        if (!images.empty()) return images;
      }
    }
    return svg_of(value);
  }

  std::vector<ResultFile> images_of(const Raw& value, int depth) {
    std::vector<ResultFile> images;
    if (depth > deepest) return images;
    if (value.is_array())
      return in_each(value, [&](const Raw& item) { return images_of(item, depth + 1); });
    if (value.is_string()) {
      if (std::optional<ResultFile> image = from_text(value, {}))
        images.push_back(*std::move(image));
      return images;
    }
    if (!value.is_object() || is_other_media(value)) return images;
    if (std::optional<ResultFile> image = from_item(value)) {
      images.push_back(*std::move(image));
      return images;
    }
    return medium_ == Medium::image ? find_images(value, depth + 1) : images;
  }

  std::optional<ResultFile> from_item(const Raw& item) {
    std::string content_type;
    if (const Raw* type = member_of(item, "content_type"); type != nullptr && type->is_string()) {
      content_type = type->get<std::string>();
    }
    for (const profile::Word& word : members("address")) {
      const Raw* address = member_of(item, word.text);
      if (address == nullptr || !address->is_string()) continue;
      std::optional<ResultFile> image = from_text(*address, content_type);
      if (!image) continue;
      image->seconds = seconds(member_of(item, "duration"));
      image->width = pixels(member_of(item, "width"));
      image->height = pixels(member_of(item, "height"));
      return image;
    }
    std::vector<ResultFile> svg = svg_of(item);
    return svg.empty() ? std::nullopt : std::optional(std::move(svg.front()));
  }

  std::vector<ResultFile> svg_of(const Raw& object) {
    std::vector<ResultFile> images;
    for (const profile::Word& word : members("svg")) {
      const Raw* svg = member_of(object, word.text);
      if (svg == nullptr || !svg->is_string() || !images.empty()) continue;
      if (std::optional<ResultFile> image = from_text(*svg, {}); image && image->svg)
        images.push_back(*std::move(image));
    }
    return images;
  }

  std::optional<ResultFile> from_text(const Raw& string, std::string content_type) {
    const Piece text = text_.text(string);
    ResultFile image;
    image.content_type = std::move(content_type);
    if (medium_ == Medium::image && media::sniff(text.bytes) == media::ImageType::svg) {
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
      if (medium_ != Medium::image || !text.bytes.starts_with(start)) continue;
      image.url.append(Piece{nullptr, prefix});
      image.content_type = prefix.substr(5, prefix.find(';') - 5);
    }
    if (image.url.empty()) {
      const std::optional<media::DataUri> data = media::parse_data_uri(text.bytes);
      if (!data || !data->mime.starts_with(mime_)) return std::nullopt;
      image.content_type = data->mime;
    }
    image.url.append(text);
    image.is_data_uri = true;
    return image;
  }

  static void read_nsfw(const Raw& root, JobResult& result) {
    for (const profile::Word& word : members("marked")) {
      const Raw* flags = member_of(root, word.text);
      if (flags == nullptr || !result.nsfw.empty()) continue;
      if (flags->is_boolean()) result.nsfw.assign(result.images.size(), flags->get<bool>());
      if (!flags->is_array()) continue;
      for (const ResultFile& image : result.images) {
        const Raw* flag = image.place < flags->size() ? &(*flags)[image.place] : nullptr;
        result.nsfw.push_back(flag != nullptr && flag->is_boolean() && flag->get<bool>());
      }
    }
  }

  // Of one video; of several nobody knows whose it is.
  void read_thumbnail(JobResult& result) const {
    if (result.images.size() == 1)
      result.images.front().thumbnail = address_beside(text_, "thumbnail");
  }

  void read_prompt(const Raw& root, JobResult& result) const {
    for (const profile::Word& word : members("revised_prompt")) {
      const Raw* prompt = member_of(root, word.text);
      if (prompt == nullptr || !prompt->is_string()) continue;
      const std::string text(text_.text(*prompt).bytes);
      for (ResultFile& image : result.images) image.revised_prompt = text;
      return;
    }
  }

  const ResultText& text_;
  const Medium medium_;
  const std::string_view mime_;
};

}  // namespace

Result<JobResult> read_result(std::shared_ptr<const std::string> body,
                              const std::vector<std::string>& places, Medium medium, Times times) {
  if (medium == Medium::text) {
    Result<Transcript> read = read_transcript(*body, places, times);
    if (!read) return std::move(read).error();
    JobResult result;
    result.images.emplace_back().transcript = *std::move(read);
    return result;
  }
  Result<ResultText> text = ResultText::parse(std::move(body));
  if (!text) {
    return Error{ErrorKind::upstream_failed, "fal's result is not JSON: " + text.error().message};
  }
  JobResult result = Reader(*text, medium).read(places);
  if (result.images.empty()) {
    return Error{ErrorKind::no_image,
                 fmt::format("The model finished, but its result holds no {}.{}",
                             medium == Medium::image ? "picture" : name_of(medium),
                             explanation_in(text->root()))};
  }
  return result;
}

std::optional<Body> base64_of(const ResultFile& image) {
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

}  // namespace falproxy::inline v0::plan
