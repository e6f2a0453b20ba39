// wish.hpp: what somebody wants made, in nobody's API. Surfaces read requests into it; plan.hpp
// maps it onto a model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <iosfwd>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "falproxy/json.hpp"
#include "falproxy/print.hpp"
#include "falproxy/result.hpp"
#include "falproxy/vocabulary.hpp"

namespace falproxy::inline v0 {

/// What is to be done with the files of a wish.
enum class Intent {
  generation,  ///< something new; files, if there are any, help
  edit,        ///< the files are changed
  variation    ///< something like the files
};
/// As written above.
[[nodiscard]] std::string_view name_of(Intent value) noexcept;

/// What `size` asks for, or `width` and `height`, or `aspect_ratio`, if a request has those
/// instead.
struct SizeWish {
  /// How far the request settles it.
  enum class Kind {
    none,       ///< nothing was said: the model's default
    automatic,  ///< "auto"
    pixels,     ///< width and height are pixels, 1 to 16384
    ratio       ///< width and height are the terms of a ratio, in lowest terms ("19.5:9" is 13:6)
  };
  Kind kind = Kind::none;    ///< for `none` and `automatic` width and height are 0
  std::uint32_t width = 0;   ///< pixels, or the ratio's first term
  std::uint32_t height = 0;  ///< pixels, or the ratio's second term

  /// As the field `size` is read: "auto", "1024x768", "16:9". Errors: invalid_value, of the field
  /// `size`.
  [[nodiscard]] static Result<SizeWish> parse(std::string_view text);
  bool operator==(const SizeWish&) const = default;
};
/// As above.
[[nodiscard]] std::string_view name_of(SizeWish::Kind value) noexcept;
/// "1024x768", "16:9", "auto", "none".
std::ostream& operator<<(std::ostream& out, const SizeWish& wish);

/// How closely the times of what is said are to be told.
enum class Times {
  none,      ///< nobody asks for them
  segments,  ///< of sentences, or what the model makes in their place
  words      ///< of each word
};
/// As written above.
[[nodiscard]] std::string_view name_of(Times value) noexcept;

class BodySource;

/// A file that came with a request: an address that fal may fetch, or bytes.
struct InputFile {
  std::string url = {};                                ///< http or https; empty if `bytes` is set
  std::shared_ptr<const std::string> owner = nullptr;  ///< keeps `bytes` alive
  /// The file as it was sent, of a type that media::sniff() knows, or media::sniff_sound() if
  /// `medium` says so; empty if `url` is set.
  std::string_view bytes = {};
  std::string name = {};          ///< the file's name, for messages
  Medium medium = Medium::image;  ///< image, audio or video: which inputs it may go to
  /// The whole file, if it is not in memory: `bytes` is its beginning. Never of a picture.
  std::shared_ptr<const BodySource> source = nullptr;
  /// `url` is that of a file of fal's that the client may have: if fal's files are not public, it
  /// is signed before fal is to open it.
  bool is_own = false;
  /// The same in all of it, whoever owns the bytes.
  bool operator==(const InputFile& other) const noexcept {
    return url == other.url && bytes == other.bytes && name == other.name &&
           medium == other.medium && source == other.source && is_own == other.is_own;
  }
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const InputFile& input);

/// A file that came as a data URL in one of the model's own fields; a short text stands in its
/// place. Or one that is kept here, with its address in that place.
struct AttachedFile {
  std::string field = {};  ///< Wish::native's
  std::string path = {};   ///< JSON pointer to it within the field's value; empty: it is the value
  InputFile picture = {};  ///< bytes, or an address of fal's
  bool operator==(const AttachedFile&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const AttachedFile& file);

/// One request, its values checked for type and range as far as they do not depend on the model.
struct Wish {
  /// What is to come: image, video, audio, mesh, or text: what is said in a sound. Only pictures
  /// can be had in base64.
  Medium makes = Medium::image;
  /// What is to be done with the files, if there are any.
  Intent intent = Intent::generation;
  std::optional<std::string> model =
      std::nullopt;  ///< none: the default model; make_plan() and
                     ///< the Runner's answer speak of it by this name
  /// None if it is empty, too; in characters it is bounded by the model's document.
  std::optional<std::string> prompt = std::nullopt;
  std::optional<int> n = std::nullopt;  ///< 1 or more; none: 1, or the operator's default
  bool makes_one = false;  ///< the answer has room for one: no native field asks for more
  SizeWish size = {};      ///< from `size`, else from native fields
  /// `size` in a word that the model may know: "landscape_16_9", "2K"; none if `size` is set.
  std::optional<std::string> size_word = std::nullopt;
  std::optional<double> seconds = std::nullopt;  ///< how long it is to be; more than 0
  /// OpenAI's words (low, medium, high, auto, hd, standard) or a model's own.
  std::optional<std::string> quality = std::nullopt;
  std::optional<std::string> style = std::nullopt;  ///< `natural`, `vivid`, or a model's own
  /// `transparent`, `opaque`, `auto`, or a model's own.
  std::optional<std::string> background = std::nullopt;
  std::optional<std::string> moderation = std::nullopt;  ///< `low`, `auto`, or a model's own
  /// Lower case; "jpg" is "jpeg". Of a sound: mp3, opus, aac, flac, wav, pcm, or a model's own.
  std::optional<std::string> output_format = std::nullopt;
  std::optional<int> output_compression = std::nullopt;      ///< 0..100
  std::optional<std::string> input_fidelity = std::nullopt;  ///< `low`, `high`, or a model's own
  /// None: the model's settings, the operator's default and the model's name decide.
  std::optional<ResponseFormat> response_format = std::nullopt;
  std::optional<std::string> user = std::nullopt;  ///< else safety_identifier
  bool stream = false;  ///< each file is told as soon as it is there, always in base64
  std::optional<int> partial_images = std::nullopt;  ///< 0..3: that are shown on the way
  /// How it is to be spoken, beside `prompt`, which says what.
  std::optional<std::string> instructions = std::nullopt;
  std::optional<std::string> voice = std::nullopt;  ///< OpenAI's, or a model's own
  std::optional<double> speed = std::nullopt;       ///< 1 is the model's own pace; 0.25 to 4
  /// Of what is spoken: a code (`en`, `eng`), or its English name.
  std::optional<std::string> language = std::nullopt;
  bool translate = false;     ///< the text is to come in English, whatever is spoken
  Times times = Times::none;  ///< to come with a text
  bool needs_times = false;   ///< a model that tells none cannot serve
  bool speakers = false;      ///< who speaks must be told
  /// In the order of the request; pictures, or a sound or a video if InputFile::medium says so.
  std::vector<InputFile> images = {};
  /// A PNG, or an address; as large as the first picture, as far as both came as bytes and no field
  /// of the model's own may hold the one that it belongs to.
  std::optional<InputFile> mask = std::nullopt;
  /// Every other field of the body that is not null, in bytewise order of names: the model's own
  /// (`seed` included).
  std::vector<std::pair<std::string, Json>> native = {};
  /// Of the fields in `native` that came in a form and could be text or something else (`2024`,
  /// `true`): the text. The model's document decides which of the two is meant.
  std::vector<std::pair<std::string, std::string>> native_texts = {};
  /// Files that came as data URLs in `native`, and files there that are kept here.
  std::vector<AttachedFile> attached = {};

  /// Of `images`, and behind them of `attached`; `index` must be inside.
  [[nodiscard]] const InputFile& picture(std::size_t index) const {
    return index < images.size() ? images[index] : attached[index - images.size()].picture;
  }
  bool operator==(const Wish&) const = default;
};
/// For people, in one line.
std::ostream& operator<<(std::ostream& out, const Wish& wish);

/// What one request may hold; the server fills it from the settings.
struct RequestLimits {
  int max_images = 10;                       ///< n
  std::size_t max_upload_bytes = 50u << 20;  ///< MAX_UPLOAD_BYTES, of one picture once decoded
  std::size_t max_input_images = 16;         ///< OpenAI's own limit for edits
  /// Of a JSON body without the data URIs in it, and of all text in a form but addresses of
  /// pictures.
  std::size_t max_text_bytes = 1u << 20;
  JsonLimits json = {};  ///< of a JSON body, and of JSON in the text of a form
};

}  // namespace falproxy::inline v0
